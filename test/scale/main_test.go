// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package scale

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

// fleet has one member, which all others are in.
var fleet *localfleet.Fleet

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() || flag.Lookup("test.list").Value.String() != "" {
		os.Exit(m.Run())
	}
	code, err := runOnFleet(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func runOnFleet(m *testing.M) (code int, err error) {
	ctx := context.Background()
	bin, err := localfleet.RepositoryBinDir()
	if err != nil {
		return 0, err
	}
	fleet, err = localfleet.Up(ctx, localfleet.Options{
		BinDir:        bin,
		Members:       1,
		WithoutVelero: true,
		Server:        filepath.Join(bin, "migrate-apiserver"),
		Attached:      true,
		Progress:      os.Stderr,
	})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, fleet.Down(ctx)) }()
	if code = m.Run(); code != 0 {
		err = keepLogs(filepath.Join(filepath.Dir(bin), "scale-logs"))
	}
	return code, err
}

func keepLogs(to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.CopyFS(to, os.DirFS(filepath.Join(fleet.Dir(), "logs"))); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "scale: the logs of all processes are in", to)
	return nil
}
