// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"testing"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// fleet has one member, which all others are in.
var fleet *localfleet.Fleet

func TestMain(m *testing.M) {
	localfleet.RunTests(m, localfleet.Options{Members: 1, WithoutVelero: true}, func(up *localfleet.Fleet) error {
		fleet = up
		return nil
	})
}
