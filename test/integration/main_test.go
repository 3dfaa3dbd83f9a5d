// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// host is a fleet without members that all tests share. It is nil with -short.
var host *localfleet.Fleet

func TestMain(m *testing.M) {
	localfleet.RunTests(m, localfleet.Options{}, func(up *localfleet.Fleet) error {
		host = up
		return nil
	})
}

// ourServer returns the process of our server.
func ourServer(t *testing.T) *localfleet.Process {
	t.Helper()
	process, err := host.Process("migrate-apiserver")
	if err != nil {
		t.Fatal(err)
	}
	return process
}
