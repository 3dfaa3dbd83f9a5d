// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"testing"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// fleet has one real member, whose namespaces are the members of the test.
var fleet *localfleet.Fleet

func TestMain(m *testing.M) {
	localfleet.RunTests(m, localfleet.Options{Members: 1, WithoutVelero: true}, func(up *localfleet.Fleet) error {
		fleet = up
		return nil
	})
}
