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
	"testing"
)

// RunTests is the TestMain of a package whose tests share a fleet with our server in
// it. It brings the fleet up, hands it to use, runs the tests and takes the fleet down
// again. A fleet whose options name a directory, relative to the repository, is left
// running, for the next run to use. With -short or -list there is no fleet, and use is
// not called. If tests fail, the logs are kept. RunTests ends the process.
func RunTests(m *testing.M, options Options, use func(*Fleet) error) {
	flag.Parse()
	if testing.Short() || flag.Lookup("test.list").Value.String() != "" {
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

// UpForTest brings up a fleet with our server in it for one test, and takes it down
// when the test ends. If the test fails, the logs are kept. With -short the test is
// skipped.
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
		var kept error
		if t.Failed() {
			kept = f.KeepLogs(t.Name())
		}
		if err := errors.Join(kept, f.Down(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return f
}

// upForTests brings up a fleet of the programs of the repository. It is attached to
// this process unless its options name a directory, relative to the repository.
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

// ServerProgram is our server among the programs of a directory.
func ServerProgram(bin string) string { return filepath.Join(bin, serverName) }

// KeepLogs copies the logs of all processes to where they outlive the fleet, and says
// where: a directory beside BinDir, of the name of the package under test and
// what else is given.
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
