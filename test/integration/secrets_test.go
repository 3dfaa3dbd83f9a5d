// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import "testing"

// TestSecretsAreReadByNameOnly checks in the host's audit log that the only requests about
// Secrets are GETs by name: the server must not list or watch them.
func TestSecretsAreReadByNameOnly(t *testing.T) {
	n := newNamespace(t)
	n.createUnreachable("a")

	ours := 0
	for _, event := range auditEvents(t, host.HostAuditLog(), "secrets") {
		if event.Verb != "get" || event.ObjectRef.Name == "" {
			t.Errorf("unexpected %s of Secret %q: %s", event.Verb, event.ObjectRef.Name, event.RequestURI)
		}
		if event.ObjectRef.Namespace == n.name {
			ours++
		}
	}
	if ours == 0 {
		t.Error("no Secret of the namespace was read")
	}
}
