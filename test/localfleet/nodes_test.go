// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestNodes(t *testing.T) {
	NeedsNodes(t)
	bin, err := RepositoryBinDir()
	if err != nil {
		t.Fatal(err)
	}
	options := Options{Dir: t.TempDir() + "/fleet", BinDir: bin, Members: 1, Nodes: true, Progress: t.Output()}
	ctx := t.Context()
	settings := machineSettings(t)
	f, err := Up(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	kubectl := func(args ...string) string {
		t.Helper()
		output, err := f.Kubectl(ctx, f.MemberKubeconfig(1), args...)
		if err != nil {
			t.Fatal(err)
		}
		return output
	}
	served := func() string {
		t.Helper()
		kubectl("rollout", "status", "statefulset/shop", "--namespace=shop", "--timeout=2m")
		answer, err := f.GetFromPod(ctx, 1, "shop", "shop-0", 8080)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	kubectl("apply", "--filename=cmd/shop/shop.yaml")
	before := served()
	if !strings.HasPrefix(before, "20971520 bytes, sha256 ") {
		t.Errorf("the application serves %q, want the size of its data", before)
	}

	t.Run("logs of a pod", func(t *testing.T) {
		if got := kubectl("logs", "--namespace=velero", "daemonset/node-agent"); !strings.Contains(got, "Starting Controller") {
			t.Errorf("the log of node-agent is %q", got)
		}
	})
	t.Run("Up restarts a fleet whose processes were all killed", func(t *testing.T) {
		if err := killMarked(ctx, f.mark()); err != nil {
			t.Fatal(err)
		}
		again, err := Up(ctx, options)
		if err != nil {
			t.Fatal(err)
		}
		f = again
		if after := served(); after != before {
			t.Errorf("after the restart the application serves %q, want %q", after, before)
		}
	})
	t.Run("Down after a kill leaves nothing", func(t *testing.T) {
		if err := killMarked(ctx, f.mark()); err != nil {
			t.Fatal(err)
		}
		mark, dir, cgroup := f.mark(), f.Dir(), string(f.cgroup())
		if err := f.Down(ctx); err != nil {
			t.Fatal(err)
		}
		assertGone(t, mark, dir)
		assertNoCgroup(t, cgroup)
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(mounts), dir) {
			t.Errorf("something is mounted in %s", dir)
		}
		if after := machineSettings(t); after != settings {
			t.Errorf("the machine's settings were %s and are %s", settings, after)
		}
	})
}

// TestWatchdogRemovesCgroups checks that the watchdog also removes cgroups, which
// it can only when the processes in them have ended.
func TestWatchdogRemovesCgroups(t *testing.T) {
	NeedsNodes(t)
	f := &Fleet{dir: t.TempDir() + "/fleet", state: &state{ID: strings.ReplaceAll(t.Name(), "/", "-")}}
	if err := os.Mkdir(f.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := (f.cgroup() + "/node/pod/container").Create(); err != nil {
		t.Fatal(err)
	}
	w, err := watch(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	assertGone(t, f.mark(), f.dir)
	assertNoCgroup(t, string(f.cgroup()))
}

func TestCgroupsAreRemovedWithTheirContent(t *testing.T) {
	NeedsNodes(t)
	f := &Fleet{state: &state{ID: t.Name()}}
	for range 2 {
		if err := (f.cgroup() + "/node/pod/container").Create(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 2 {
		if err := f.cgroup().Remove(ctx); err != nil {
			t.Fatal(err)
		}
		assertNoCgroup(t, string(f.cgroup()))
	}
}

func assertNoCgroup(t *testing.T, name string) {
	t.Helper()
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		found, err := filepath.Glob(pattern + name)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) > 0 {
			t.Errorf("cgroups %v still exist", found)
		}
	}
}

// machineSettings returns what a kubelet and a controller manager change by default and a
// fleet must not.
func machineSettings(t *testing.T) string {
	t.Helper()
	var settings strings.Builder
	for _, name := range []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"} {
		content, err := os.ReadFile("/proc/sys/" + name)
		if err != nil {
			t.Fatal(err)
		}
		settings.WriteString(name + "=" + string(content))
	}
	for _, dir := range []string{"/var/lib/kubelet", "/var/lib/containerd", "/opt/containerd", "/usr/libexec/kubernetes", "/etc/cni"} {
		if _, err := os.Stat(dir); err == nil {
			settings.WriteString(dir + "\n")
		}
	}
	return settings.String()
}
