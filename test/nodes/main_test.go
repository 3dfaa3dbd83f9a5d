// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package nodes

import (
	"testing"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// fleet is a fleet that all tests share, with three members that have nodes. It is nil if
// there can be no nodes, and with -short.
var fleet *localfleet.Fleet

func TestMain(m *testing.M) {
	localfleet.RunTests(m, localfleet.Options{Members: 3, Nodes: true}, func(up *localfleet.Fleet) error {
		fleet = up
		return nil
	})
}

// kubectl runs kubectl with the kubeconfig of the nth member, or of the host if n is 0, and
// returns its standard output.
func kubectl(t *testing.T, n int, args ...string) string {
	t.Helper()
	kubeconfig := fleet.HostKubeconfig()
	if n > 0 {
		kubeconfig = fleet.MemberKubeconfig(n)
	}
	output, err := fleet.Kubectl(t.Context(), kubeconfig, args...)
	if err != nil {
		t.Fatal(err)
	}
	return output
}
