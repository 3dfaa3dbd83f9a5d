// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// TestEveryObjectNamesTheRequester checks every kind of object that is created in members.
func TestEveryObjectNamesTheRequester(t *testing.T) {
	m := migrate("ns", "app", "c948154d-1727")
	m.Spec.Requester = &v1alpha1.Requester{Username: "system:serviceaccount:ns:jane", Groups: []string{"shop"}}
	backup := NewBackup(m, "m1", "default")
	tampered := backup.DeepCopy()
	tampered.Annotations = map[string]string{"backup.kurator.dev/requester": "root"}
	handedOver := NewHandedOverBackup(m, backup.Name, tampered, "default", 1)
	for name, object := range map[string]metav1.Object{
		"Backup": backup, "Restore": newRestore(m, "m2", "b", nil), "Backup in the target": handedOver,
		"PodVolumeBackup":     NewHandedOverPodVolumeBackup(&velerov1.PodVolumeBackup{}, handedOver),
		"ServerStatusRequest": NewServerStatusRequest(m, "m2"),
		"DownloadRequest":     NewDownloadRequest(m, velerov1.DownloadTargetKindRestoreResults, "r"),
	} {
		want := map[string]string{"backup.kurator.dev/migrate": "ns/app", "backup.kurator.dev/requester": "system:serviceaccount:ns:jane"}
		got := map[string]string{}
		for key, value := range object.GetAnnotations() {
			if _, ours := want[key]; ours {
				got[key] = value
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	m.Spec.Requester = nil
	for name, object := range map[string]metav1.Object{"Backup": NewBackup(m, "m1", "default"), "Backup in the target": NewHandedOverBackup(m, backup.Name, tampered, "default", 1)} {
		if _, named := object.GetAnnotations()["backup.kurator.dev/requester"]; named {
			t.Errorf("the %s names a requester although the Migrate has none", name)
		}
	}
}
