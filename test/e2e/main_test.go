// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

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

// fleetVariable names the directory of a fleet to use and to leave.
const fleetVariable = "FLEET_DIR"

// The fleet of all cases, and its clusters: members[0] is nobody, so that
// members are counted from 1 as their names are.
var (
	fleet   *localfleet.Fleet
	host    *cluster
	members [5]*cluster
)

// source is the member that every Migrate starts from.
const source = 1

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() || flag.Lookup("test.list").Value.String() != "" {
		os.Exit(m.Run())
	}
	code, err := runOnFleet(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
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
	options := localfleet.Options{
		BinDir:   bin,
		Members:  len(members) - 1,
		Server:   filepath.Join(bin, "migrate-apiserver"),
		Attached: true,
		Progress: os.Stderr,
	}
	root := filepath.Dir(filepath.Dir(bin))
	if dir := os.Getenv(fleetVariable); dir != "" {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(root, dir)
		}
		options.Dir, options.Attached = dir, false
	}
	if fleet, err = localfleet.Up(ctx, options); err != nil {
		return 0, err
	}
	if options.Attached {
		defer func() { err = errors.Join(err, fleet.Down(ctx)) }()
	}
	if err := connect(); err != nil {
		return 0, err
	}
	if code = m.Run(); code != 0 {
		return code, keepLogs(filepath.Join(root, "_output", "e2e-logs"))
	}
	return 0, nil
}

func connect() error {
	config, err := fleet.HostConfig()
	if err != nil {
		return err
	}
	if host, err = newCluster("host", fleet.HostKubeconfig(), config); err != nil {
		return err
	}
	for n := 1; n < len(members); n++ {
		if config, err = fleet.MemberConfig(n); err != nil {
			return err
		}
		if members[n], err = newCluster(localfleet.MemberName(n), fleet.MemberKubeconfig(n), config); err != nil {
			return err
		}
	}
	return nil
}

func keepLogs(to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.CopyFS(to, os.DirFS(filepath.Join(fleet.Dir(), "logs"))); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "e2e: the logs of all processes are in", to)
	return nil
}

func needsFleet(t *testing.T) {
	t.Helper()
	if fleet == nil {
		t.Skip("needs a fleet")
	}
}
