// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package nodes

import (
	"testing"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

const (
	source = 1
	target = 2
)

func TestStatefulSetIsMigratedWithItsData(t *testing.T) {
	localfleet.NeedsNodes(t)
	kubectl(t, source, "apply", "--filename=../localfleet/cmd/shop/shop.yaml")
	before := served(t, source)

	kubectl(t, 0, "apply", "--filename=../../artifacts/examples/migrate-stateful.yaml")
	kubectl(t, 0, "wait", "migrates.backup.kurator.dev/shop", "--for=jsonpath={.status.phase}=Completed", "--timeout=2m")

	if after := served(t, target); after != before {
		t.Errorf("the application serves %q in the source and %q in the target", before, after)
	}
}

// served waits until the application of shop.yaml is ready in the nth member and returns
// what it serves: the size of its data and their SHA-256.
func served(t *testing.T, n int) string {
	t.Helper()
	kubectl(t, n, "rollout", "status", "statefulset/shop", "--namespace=shop", "--timeout=2m")
	answer, err := fleet.GetFromPod(t.Context(), n, "shop", "shop-0", 8080)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}
