// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// TestSecretsAreOnlyGot has the server read kubeconfigs, and finds in the host's audit
// log that nothing but get of one by name was ever asked of Secrets.
func TestSecretsAreOnlyGot(t *testing.T) {
	n := newNamespace(t)
	n.createOfDeadFleet("a")

	content, err := os.ReadFile(host.HostAuditLog())
	if err != nil {
		t.Fatal(err)
	}
	ours := 0
	for line := range strings.Lines(string(content)) {
		var event auditv1.Event
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatal(err)
		}
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
