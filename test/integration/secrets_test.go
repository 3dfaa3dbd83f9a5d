// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import "testing"

// TestSecretsAreOnlyGot has the server read kubeconfigs, and finds in the host's audit
// log that nothing but get of one by name was ever asked of Secrets.
func TestSecretsAreOnlyGot(t *testing.T) {
	n := newNamespace(t)
	n.createOfDeadFleet("a")

	ours := 0
	for _, event := range audited(t, host.HostAuditLog(), "secrets") {
		if event.Verb != "get" || event.ObjectRef.Name == "" {
			t.Errorf("asked to %s Secret %q: %s", event.Verb, event.ObjectRef.Name, event.RequestURI)
		}
		if event.ObjectRef.Namespace == n.name {
			ours++
		}
	}
	if ours == 0 {
		t.Error("no Secret of the namespace was read")
	}
}
