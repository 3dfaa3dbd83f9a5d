// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package nodes

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

const (
	guide = "../../docs/user-guide.md"
	// commandDeadline is many times longer than any of its commands takes.
	commandDeadline = 4 * time.Minute
)

// TestUserGuide runs the commands of the user guide, which begin with a dollar sign, one after the other in a directory that looks
// like a checkout after `make up`. A comment behind a command has the exit code, if it is not 0.
func TestUserGuide(t *testing.T) {
	localfleet.NeedsNodes(t)
	content, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for link, to := range map[string]string{
		"_output/fleet": fleet.Dir(), "_output/bin": fleet.BinDir(), "artifacts": "../../artifacts", "test": "..",
	} {
		target, err := filepath.Abs(to)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, link)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	removeExamples(t)
	defer removeExamples(t)
	exports := ""
	expected := regexp.MustCompile(`# exit code (\d+)$`)
	commands := 0
	for line := range strings.Lines(string(content)) {
		command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ ")
		switch {
		case !ok, strings.HasPrefix(command, "make up"):
			continue
		case strings.HasPrefix(command, "export "):
			exports += command + "\n"
			continue
		}
		commands++
		want := 0
		if found := expected.FindStringSubmatch(command); found != nil {
			if want, err = strconv.Atoi(found[1]); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), commandDeadline)
		run := exec.CommandContext(ctx, "bash", "-c", exports+command)
		run.Dir = dir
		run.Env = append(fleet.KubectlEnvironment(""), "LANG=C.UTF-8")
		output, err := run.CombinedOutput()
		cancel()
		if run.ProcessState == nil {
			t.Fatal(err)
		}
		if code := run.ProcessState.ExitCode(); code != want {
			t.Fatalf("%s\nended with exit code %d, want %d:\n%s", command, code, want, output)
		}
		t.Logf("%s\n%s", command, output)
	}
	if commands < 20 {
		t.Errorf("the guide has %d commands", commands)
	}
}

// removeExamples deletes what the guide creates.
func removeExamples(t *testing.T) {
	kubectl(t, 0, "delete", "migrates", "select-labels", "shop", "tonight", "tomorrow", "again", "--ignore-not-found")
	for n := 1; n <= 2; n++ {
		kubectl(t, n, "delete", "namespace", "busybox", "tonight", "shop", "--ignore-not-found")
	}
}
