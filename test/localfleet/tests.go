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
// again. Programs are taken from RepositoryBinDir. A fleet of a directory, relative to
// the repository, is left running, for the next run to use. With -short or -list there
// is no fleet, and use is not called. It ends the process.
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
	bin, err := RepositoryBinDir()
	if err != nil {
		return 0, err
	}
	options.BinDir, options.Server, options.Progress = bin, ServerProgram(bin), os.Stderr
	if options.Attached = options.Dir == ""; !options.Attached && !filepath.IsAbs(options.Dir) {
		options.Dir = filepath.Join(bin, "..", "..", options.Dir)
	}
	f, err := Up(ctx, options)
	if err != nil {
		return 0, err
	}
	if options.Attached {
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
