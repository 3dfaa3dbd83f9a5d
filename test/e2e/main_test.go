// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

const (
	// fleetVariable names the directory of a fleet that the tests use and leave running.
	fleetVariable = "FLEET_DIR"
	// kubernetesVariable lists the directories of kube-apiserver and kube-controller-manager of the host and of
	// members 1, 2 and so on, as PATH does; the last one is that of all others.
	kubernetesVariable = "KUBERNETES_DIR"
	// velerosVariable lists the directories of the Velero of members 1, 2 and so on, as PATH does; the
	// last one is that of all others.
	velerosVariable = "VELERO_DIRS"
)

// The fleet of all cases and its clusters. members[0] is unused, so that members are
// counted from 1, as in their names.
var (
	fleet   *localfleet.Fleet
	host    *cluster
	members [5]*cluster
)

// source is the number of the member that is the source of every Migrate.
const source = 1

func TestMain(m *testing.M) {
	options := localfleet.Options{Dir: os.Getenv(fleetVariable), Members: len(members) - 1, Veleros: filepath.SplitList(os.Getenv(velerosVariable))}
	if dirs := filepath.SplitList(os.Getenv(kubernetesVariable)); len(dirs) > 0 {
		options.KubernetesDir, options.MemberKubernetes = dirs[0], dirs[1:]
	}
	localfleet.RunTests(m, options, func(up *localfleet.Fleet) error {
		fleet = up
		return connect()
	})
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

func needsFleet(t *testing.T) {
	t.Helper()
	if fleet == nil {
		t.Skip("needs a fleet")
	}
}
