// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/apitesting/roundtrip"
	"k8s.io/apimachinery/pkg/runtime"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/fuzzer"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/install"
)

func TestRoundTrip(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := install.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	roundtrip.RoundTripTestForScheme(t, scheme, fuzzer.Funcs)
}
