// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// host is a fleet without members, for all tests.
var host *localfleet.Fleet

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() || flag.Lookup("test.list").Value.String() != "" {
		os.Exit(m.Run())
	}
	code, err := runOnHost(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func runOnHost(m *testing.M) (code int, err error) {
	ctx := context.Background()
	bin, err := localfleet.RepositoryBinDir()
	if err != nil {
		return 0, err
	}
	host, err = localfleet.Up(ctx, localfleet.Options{
		BinDir:   bin,
		Server:   serverProgram(bin),
		Attached: true,
		Progress: os.Stderr,
	})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, host.Down(ctx)) }()
	if code = m.Run(); code != 0 {
		err = keepLogs(filepath.Join(filepath.Dir(bin), "integration-logs"))
	}
	return code, err
}

func serverProgram(bin string) string { return filepath.Join(bin, "migrate-apiserver") }

func keepLogs(to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.CopyFS(to, os.DirFS(filepath.Join(host.Dir(), "logs"))); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "integration: the logs of all processes are in", to)
	return nil
}
