// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// RunTests implements TestMain for a package whose tests share a fleet with our server.
// It starts the fleet, calls use with it, runs the tests and takes the fleet down. If
// options.Dir is set, a path relative to the repository, the fleet keeps running for
// the next run of the tests. With -short or -list, or if the fleet can't have the nodes
// of options, RunTests starts no fleet and does not call use. If tests fail, it keeps the
// logs. RunTests exits the process.
func RunTests(m *testing.M, options Options, use func(*Fleet) error) {
	flag.Parse()
	withoutNodes := options.Nodes && NodesMissing() != nil
	if withoutNodes || testing.Short() || flag.Lookup("test.list").Value.String() != "" {
		os.Exit(m.Run())
	}
	code, err := runTests(m, options, use)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func runTests(m *testing.M, options Options, use func(*Fleet) error) (code int, err error) {
	ctx := context.Background()
	f, err := upForTests(ctx, options)
	if err != nil {
		return 0, err
	}
	if options.Dir == "" {
		defer func() { err = errors.Join(err, f.Down(ctx)) }()
	}
	if err := use(f); err != nil {
		return 0, err
	}
	if code = m.Run(); code != 0 {
		err = f.KeepLogs()
	}
	return code, err
}

const (
	// needNodesVariable, if it is not empty, makes Needs fail a test instead of skipping it.
	needNodesVariable = "NEED_NODES"
	// skippedTestsVariable names a file to which SkipByName adds a line for each test that it
	// skips: its name, a tab, and the reason.
	skippedTestsVariable = "SKIPPED_TESTS"
)

// NeedsNodes skips a test if its fleet can't have nodes, or if testing.Short.
func NeedsNodes(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs nodes")
	}
	Needs(t, NodesMissing())
}

// NeedsImage returns the name of the image of our server for tests, and the path of its archive. It
// skips a test like NeedsNodes, and if there is no image.
func NeedsImage(t *testing.T) (name, archive string) {
	t.Helper()
	NeedsNodes(t)
	bin, err := RepositoryBinDir()
	if err != nil {
		t.Fatal(err)
	}
	archive = filepath.Join(bin, "..", "image", "test", "migrate-apiserver-"+runtime.GOARCH+".tar")
	if _, err := os.Stat(archive); err != nil {
		Needs(t, errors.New("pods of the server need its image: apt-get install buildah, and make test-image"))
	}
	return "localhost/migrate-apiserver:test", archive
}

// Needs skips a test by its name if something that not every machine has is missing, and fails
// it where everything must be tested. It does nothing if missing is nil.
func Needs(t *testing.T, missing error) {
	t.Helper()
	if missing == nil {
		return
	}
	if os.Getenv(needNodesVariable) != "" {
		t.Fatal(missing)
	}
	SkipByName(t, missing)
}

// SkipByName skips a test, and has its name and the reason reported.
func SkipByName(t *testing.T, missing error) {
	t.Helper()
	if path := os.Getenv(skippedTestsVariable); path != "" {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(file, "%s\t%v\n", t.Name(), missing)
		if err := errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
	}
	t.Skip(missing)
}

// UpForTest starts a fleet with our server for one test and takes it down when the test
// ends. If the test fails, it keeps the logs. With -short it skips the test.
func UpForTest(t *testing.T, options Options) *Fleet {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a fleet")
	}
	f, err := upForTests(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		var logErr error
		if t.Failed() {
			logErr = f.KeepLogs(t.Name())
		}
		if err := errors.Join(logErr, f.Down(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return f
}

// upForTests starts a fleet of the repository's programs. It is attached to this process
// unless options.Dir is set, which is a path relative to the repository.
func upForTests(ctx context.Context, options Options) (*Fleet, error) {
	bin, err := RepositoryBinDir()
	if err != nil {
		return nil, err
	}
	options.BinDir, options.Server, options.Progress = bin, ServerProgram(bin), os.Stderr
	if options.Attached = options.Dir == ""; !options.Attached && !filepath.IsAbs(options.Dir) {
		options.Dir = filepath.Join(bin, "..", "..", options.Dir)
	}
	return Up(ctx, options)
}

// ServerProgram returns the path of our server in a directory of programs.
func ServerProgram(bin string) string { return filepath.Join(bin, serverName) }

// KeepLogs copies the logs of all processes, so that they outlive the fleet, and prints
// the path of the copy: PACKAGE-logs/NAME... in the parent of BinDir, where PACKAGE is
// the directory of the package under test.
func (f *Fleet) KeepLogs(name ...string) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	to := filepath.Join(append([]string{filepath.Dir(f.BinDir()), filepath.Base(dir) + "-logs"}, name...)...)
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "the logs of all processes are in", to)
	return os.CopyFS(to, os.DirFS(filepath.Join(f.dir, "logs")))
}
