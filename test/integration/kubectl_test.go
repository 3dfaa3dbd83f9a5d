// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// waitTimeout limits each wait and each call of kubectl, which normally take seconds.
const waitTimeout = time.Minute

// namespace is the namespace of a test, in which it runs kubectl as the administrator.
type namespace struct {
	t    *testing.T
	name string
}

// newNamespace creates a namespace with the name of the test.
func newNamespace(t *testing.T) namespace {
	t.Helper()
	if host == nil {
		t.Skip("needs a host")
	}
	n := namespace{t, strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))}
	n.run("create", "namespace", n.name)
	return n
}

// run runs kubectl, which must succeed, and returns its output.
func (n namespace) run(args ...string) string {
	n.t.Helper()
	out, err := n.try("", args...)
	if err != nil {
		n.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// fail runs kubectl, which must fail, and returns its output.
func (n namespace) fail(args ...string) string {
	n.t.Helper()
	out, err := n.try("", args...)
	if err == nil {
		n.t.Fatalf("kubectl %s succeeded:\n%s", strings.Join(args, " "), out)
	}
	return out
}

// try runs kubectl with an input and returns its output and errors.
func (n namespace) try(input string, args ...string) (string, error) {
	return n.tryWith(n.t.Context(), input, args...)
}

// tryWith is try with a context, for cleanups: they run after the test's context is canceled.
func (n namespace) tryWith(ctx context.Context, input string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	var out bytes.Buffer
	command := n.command(ctx, args...)
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(input), &out, &out
	err := command.Run()
	return out.String(), err
}

// runAtCleanup runs kubectl after the test.
func (n namespace) runAtCleanup(args ...string) {
	n.t.Cleanup(func() {
		if out, err := n.command(context.Background(), args...).CombinedOutput(); err != nil {
			n.t.Errorf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	})
}

func (n namespace) command(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, host.KubectlPath(), append([]string{"--namespace", n.name}, args...)...)
	command.Env = host.KubectlEnvironment(host.HostKubeconfig())
	return command
}

// file writes a temporary file and returns its path.
func (n namespace) file(name, content string, mode os.FileMode) string {
	n.t.Helper()
	path := filepath.Join(n.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		n.t.Fatal(err)
	}
	return path
}

// create creates a Migrate whose Fleet does not exist, so that it stays Pending.
func (n namespace) create(name string) {
	n.t.Helper()
	n.run("create", "-f", n.file("migrate.yaml", manifest(name), 0o600))
}

// get returns a field of a Migrate.
func (n namespace) get(name, jsonpath string) string {
	n.t.Helper()
	return n.run("get", "migrate", name, "-o", "jsonpath="+jsonpath)
}

func manifest(name string) string {
	return `apiVersion: backup.kurator.dev/v1alpha1
kind: Migrate
metadata:
  name: ` + name + `
  labels:
    tier: test
spec:
  sourceCluster:
    fleet: nowhere
    clusters:
    - kind: AttachedCluster
      name: member1
  targetCluster:
    fleet: nowhere
    clusters:
    - kind: AttachedCluster
      name: member2
    - kind: AttachedCluster
      name: member3
  policy:
    resourceFilter:
      labelSelector:
        matchLabels:
          app: busybox
`
}

func contains(t *testing.T, out string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
}

func equal(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}
