// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// TestVeleroWithOldDefinitions migrates to a cluster whose definition of Restores lacks a field, as that of an old Velero does: its API
// server would drop the field in silence. It is told before the Backup, and by a preview.
func TestVeleroWithOldDefinitions(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "old")
	members[source].apply(t, settings("old"))
	const at = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/existingResourcePolicy"
	patch := func(operation string) {
		t.Helper()
		members[4].kubectl(t, "patch", "customresourcedefinition/restores.velero.io", "--type=json", "--patch=["+operation+"]")
	}
	defined := members[4].kubectl(t, "get", "customresourcedefinition/restores.velero.io", "--output=jsonpath={.spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.existingResourcePolicy}")
	if !json.Valid([]byte(defined)) {
		t.Fatalf("the definition of the field is %q", defined)
	}
	define := func() { patch(`{"op": "add", "path": "` + at + `", "value": ` + defined + `}`) }
	patch(`{"op": "remove", "path": "` + at + `"}`)
	defer define()
	dropped := func() (string, bool) {
		stored := members[4].kubectl(t, "create", "--dry-run=server", "--output=json", "--filename="+manifestFile(t,
			`{apiVersion: velero.io/v1, kind: Restore, metadata: {name: sample, namespace: velero}, spec: {backupName: none, existingResourcePolicy: update}}`), "--validate=false")
		return stored, !strings.Contains(stored, "existingResourcePolicy")
	}
	eventually(t, "the field is dropped", dropped)

	const policy = `{existingResourcePolicy: update, resourceFilter: {includedNamespaces: [old]}}`
	m := migrate(t, manifest("old", policy, 4))
	waiting := m.await(t, "the target is told to be too old", func(m *v1alpha1.Migrate) bool {
		targets := m.Status.TargetClusterStatus
		return len(targets) == 1 && targets[0].Reason == v1alpha1.ReasonVeleroTooOld
	})
	if got := waiting.Status.TargetClusterStatus[0].Message; !strings.Contains(got, "Velero in kurator-member4 does not know these fields of Restores, and would ignore them: existingResourcePolicy.") {
		t.Errorf("the message is %q", got)
	}
	if backups := members[source].backups(t, waiting.UID); len(backups) != 0 {
		t.Errorf("there are %d Backups", len(backups))
	}
	define()
	eventually(t, "the field is kept", func() (string, bool) {
		stored, isDropped := dropped()
		return stored, !isDropped
	})
	m.awaitCompleted(t)
}
