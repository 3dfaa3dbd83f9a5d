// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"flag"
	"testing"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// fleet has one real member, whose namespaces are the members of the test.
var fleet *localfleet.Fleet

var tens = flag.Int("members.tens", 10, "number of members, in tens")

func TestMain(m *testing.M) {
	flag.Parse()
	setMembers(*tens)
	localfleet.RunTests(m, localfleet.Options{Members: 1, WithoutVelero: true}, func(up *localfleet.Fleet) error {
		fleet = up
		return nil
	})
}
