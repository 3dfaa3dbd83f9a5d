// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
)

const storedBackup = `{"apiVersion":"velero.io/v1","kind":"Backup","metadata":{"name":%q,"generation":1,"labels":{"velero.io/storage-location":"default"}},
"spec":{"storageLocation":"default"},"status":{"phase":"Completed","startTimestamp":"2023-10-28T12:00:00Z","completionTimestamp":"2023-10-28T12:00:02Z"}}`

// TestStoredBackups reads the locations with their managedFields, and the completed Backups with Velero's label.
func TestStoredBackups(t *testing.T) {
	server := membertest.NewAPIServer(t)
	put := func(resource, manifest string) {
		t.Helper()
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(manifest), object); err != nil {
			t.Fatal(err)
		}
		object.SetNamespace("velero")
		server.Put(resource, object)
	}
	put("backups", fmt.Sprintf(storedBackup, "daily"))
	put("backups", strings.ReplaceAll(fmt.Sprintf(storedBackup, "running"), "Completed", "InProgress"))
	put("backups", strings.ReplaceAll(fmt.Sprintf(storedBackup, "handed-over"), `"labels":{"velero.io/storage-location":"default"}`, `"annotations":{"backup.kurator.dev/handed-over-pod-volume-backups":"0"}`))
	put("backupstoragelocations", `{apiVersion: velero.io/v1, kind: BackupStorageLocation, metadata: {name: default, managedFields: [{manager: kubectl, time: "2023-10-28T11:00:00Z", fieldsV1: {"f:spec": {}}}]}}`)
	stored, err := newTestPool(t, membertest.NewHost(server.Kubeconfig()), quick()).Member("default", velero1).StoredBackups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(stored.Backups) != 1 || stored.Backups[0].Name != "daily" || !stored.Backups[0].Synced || stored.Backups[0].Completed != 1698494402 {
		t.Errorf("the Backups are %+v", stored.Backups)
	}
	if len(stored.Locations) != 1 || len(stored.Locations[0].ManagedFields) != 1 {
		t.Errorf("the locations are %+v", stored.Locations)
	}
}

// TestStoredBackupsAreBounded reads from members that have more Backups than are read, or say so.
func TestStoredBackupsAreBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		page        string
		pages, most int
	}{
		"pages without an end":  {membertest.BackupList("more", fmt.Sprintf(storedBackup, "daily")), 2000, 2000},
		"a page that is longer": {membertest.BackupList("", strings.Repeat(fmt.Sprintf(storedBackup, "daily")+",", 2100)+fmt.Sprintf(storedBackup, "last")), 1, 2000},
	} {
		t.Run(name, func(t *testing.T) {
			server := membertest.NewAPIServer(t)
			var pages atomic.Int64
			server.SetFault(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/backupstoragelocations") {
					membertest.Answer(200, "application/json", `{"kind":"BackupStorageLocationList","apiVersion":"velero.io/v1","metadata":{},"items":[]}`)(w, r)
					return
				}
				pages.Add(1)
				if got := r.URL.Query().Get("labelSelector"); got != "velero.io/storage-location" {
					t.Errorf("the selector is %q", got)
				}
				membertest.Answer(200, "application/json", tt.page)(w, r)
			})
			stored, err := newTestPool(t, membertest.NewHost(server.Kubeconfig()), patient()).Member("default", velero1).StoredBackups(t.Context())
			if err != nil || len(stored.Backups) != tt.most || pages.Load() != int64(tt.pages) {
				t.Errorf("%d Backups in %d pages, %v; want %d in %d", len(stored.Backups), pages.Load(), err, tt.most, tt.pages)
			}
		})
	}
}
