// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// victimVariable is set in the test process that starts an attached fleet and is then
// killed. Its value is the fleet's directory.
const victimVariable = "LOCALFLEET_TEST_VICTIM"

func TestFleetUpAndDown(t *testing.T) {
	f := up(t, t.TempDir()+"/fleet", 1)
	ctx := t.Context()

	t.Run("clusters are separate", func(t *testing.T) {
		for kubeconfig, want := range map[string]string{f.HostKubeconfig(): "attachedcluster.cluster.kurator.dev/kurator-member1\n", f.MemberKubeconfig(1): ""} {
			got, _ := f.Kubectl(ctx, kubeconfig, "get", "attachedclusters", "--output=name")
			if got != want {
				t.Errorf("%s has attached clusters %q, want %q", filepath.Base(kubeconfig), got, want)
			}
		}
	})
	t.Run("a member rejects the host's administrator", func(t *testing.T) {
		host, err := f.HostConfig()
		if err != nil {
			t.Fatal(err)
		}
		member, err := f.MemberConfig(1)
		if err != nil {
			t.Fatal(err)
		}
		host.Host, host.CAData = member.Host, member.CAData
		applier, err := newApplier(host)
		if err != nil {
			t.Fatal(err)
		}
		if err := applier.apply(ctx, newObject("v1", "Namespace", "", "intruder", nil)); err == nil {
			t.Error("the host's administrator created a namespace in a member")
		}
	})
	t.Run("Up restarts only processes that died", func(t *testing.T) {
		before := pids(f)
		victim, err := f.Process("kurator-member1-velero")
		if err != nil {
			t.Fatal(err)
		}
		if err := victim.Kill(ctx); err != nil {
			t.Fatal(err)
		}
		again, err := Up(ctx, Options{Dir: f.Dir(), BinDir: f.BinDir(), Members: 1})
		if err != nil {
			t.Fatal(err)
		}
		for name, pid := range pids(again) {
			if same := pid == before[name]; same == (name == victim.Name()) {
				t.Errorf("%s had process %d and has %d", name, before[name], pid)
			}
		}
		f = again
	})
	t.Run("the error of an unready process contains its log", func(t *testing.T) {
		p := f.process(command{name: "broken", program: "/bin/sh", args: []string{"-c", "echo alas; exit 1"}, ready: func(context.Context, time.Time) error { return io.EOF }})
		err := p.Start(ctx)
		if err == nil || !strings.Contains(err.Error(), "broken: ended") || !strings.Contains(err.Error(), "alas") {
			t.Errorf("error = %v, want one with the process's name and the end of its log", err)
		}
	})

	t.Run("the host accepts the manifests of an installation", func(t *testing.T) { applyManifests(t, f) })

	mark := f.mark()
	if err := f.Down(ctx); err != nil {
		t.Fatal(err)
	}
	assertGone(t, mark, f.Dir())
	if err := f.Down(ctx); err != nil {
		t.Errorf("second Down: %v", err)
	}
}

func TestAttachedFleetEndsWithItsProcess(t *testing.T) {
	if dir := os.Getenv(victimVariable); dir != "" {
		up(t, dir, 0)
		fmt.Println("up")
		select {}
	}
	dir := t.TempDir() + "/fleet"
	victim := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	victim.Env = append(os.Environ(), victimVariable+"="+dir)
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	var mark string
	eventually(t, "the fleet is up", func() bool {
		f, err := Load(dir)
		if err != nil {
			return false
		}
		mark = f.mark()
		for _, p := range f.Processes() {
			if !p.Running() {
				return false
			}
		}
		return true
	})
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := victim.Wait(); err == nil {
		t.Error("the process was not killed")
	}
	eventually(t, "processes and directory are removed", func() bool {
		left, err := markedProcesses(mark)
		_, statErr := os.Stat(dir)
		return err == nil && len(left) == 0 && os.IsNotExist(statErr)
	})
}

func applyManifests(t *testing.T, f *Fleet) {
	for _, etcd := range []string{"", "https://etcd.example:2379"} {
		dir := t.TempDir()
		if err := WriteManifests(t.Context(), dir, "--all-namespaces", "--etcd-servers", etcd); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := f.Kubectl(t.Context(), f.HostKubeconfig(), "apply", "--server-side", "--kustomize", dir); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func up(t *testing.T, dir string, members int) *Fleet {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a fleet")
	}
	bin, err := RepositoryBinDir()
	if err != nil {
		t.Fatal(err)
	}
	f, err := Up(t.Context(), Options{Dir: dir, BinDir: bin, Members: members, Attached: true, Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return f
}

func pids(f *Fleet) map[string]int {
	found := map[string]int{}
	for _, p := range f.Processes() {
		found[p.Name()] = p.PID()
	}
	return found
}

func assertGone(t *testing.T, mark, dir string) {
	t.Helper()
	left, err := markedProcesses(mark)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("processes %v still run", left)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s still exists", dir)
	}
}
