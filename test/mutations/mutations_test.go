// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package mutations

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// failed is the prefix of what the simulation prints when a check fails.
const failed = "simulation failed: "

// every selects every nth mutation. The others are only applied, so that the table stays up to date.
var every = flag.Int("mutations.every", 1, "run the simulation with every nth mutation only")

// TestMutations runs the simulation with each mutation, one after the other, because each child
// compiles with all CPUs.
func TestMutations(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			changed := overlay(t, root, m)
			if i%*every != 0 {
				return
			}
			output, err := simulate(t, root, changed)
			_, check, found := strings.Cut(output, failed)
			switch {
			case err == nil:
				t.Errorf("the simulation did not fail, want it to find the bug")
			case !found:
				t.Errorf("no check of the simulation failed, but: %v\n%s", err, output)
			default:
				check, _, _ = strings.Cut(check, "\n")
				t.Logf("caught: %s", check)
			}
		})
	}
}

// simulate runs the simulations with an overlay: the random ones only if no other finds the bug.
func simulate(t *testing.T, root, overlay string) (output string, err error) {
	t.Helper()
	run := func(program string, args ...string) (string, error) {
		child := exec.CommandContext(t.Context(), program, args...)
		child.Dir = filepath.Join(root, "pkg", "driver")
		child.Env = append(os.Environ(), "CGO_ENABLED=0")
		printed, err := child.CombinedOutput()
		return string(printed), err
	}
	program := filepath.Join(t.TempDir(), "driver.test")
	if output, err := run("go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", program, "."); err != nil {
		return output, err
	}
	for _, args := range [][]string{{"-test.run=^TestSimulationOf"}, {"-test.run=^TestRandomSimulations$", "-simulation.count=2000"}} {
		if output, err = run(program, args...); err != nil {
			break
		}
	}
	return output, err
}

// overlay writes the changed file and the overlay for go build into a temporary directory.
func overlay(t *testing.T, root string, m mutation) string {
	t.Helper()
	path := filepath.Join(root, m.file)
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), m.old); n != 1 {
		t.Fatalf("%s has the text %d times, want it once; update the table:\n%s", m.file, n, m.old)
	}
	dir := t.TempDir()
	mutated := filepath.Join(dir, "mutated.go")
	replaced, err := json.Marshal(map[string]any{"Replace": map[string]string{path: mutated}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	for name, content := range map[string][]byte{
		mutated: []byte(strings.Replace(string(source), m.old, m.new, 1)),
		file:    replaced,
	} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file
}
