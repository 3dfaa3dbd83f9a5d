// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package benchmark

import (
	"flag"
	"os"
	"testing"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// fleet has a source and three targets; nil unless a benchmark is run.
var fleet *localfleet.Fleet

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" {
		os.Exit(m.Run())
	}
	localfleet.RunTests(m, localfleet.Options{Members: 4}, func(up *localfleet.Fleet) error {
		fleet = up
		return nil
	})
}
