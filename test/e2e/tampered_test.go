// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// TestTamperedBackup adds objects to the tarball of a Backup in the storage, between its end and the Restore,
// with a filter and without one. Those of namespaces or kinds that the Backup did not have at its end don't
// reach the target. One of a kind and a namespace that it has does: the storage is trusted that far.
func TestTamperedBackup(t *testing.T) {
	needsFleet(t)
	for name, policy := range map[string]string{
		"filter of namespaces": `{resourceFilter: {includedNamespaces: ["tampere?"]}}`,
		"filter of labels":     `{resourceFilter: {labelSelector: {matchLabels: {only: tampered}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			ensureAbsent(t, "tampered", "planted")
			members[2].kubectl(t, "delete", "clusterrole", "planted", "--ignore-not-found")
			members[source].apply(t, settings("tampered"))
			members[source].kubectl(t, "label", "configmap/settings", "--namespace=tampered", "only=tampered", "--overwrite")
			setReady(t, metav1.NamespaceDefault, 2, false)
			defer setReady(t, metav1.NamespaceDefault, 2, true)
			m := migrate(t, manifest("tampered", policy, 2, 3)) // a Backup needs one target that is ready
			ended := m.await(t, "the Backup is completed", func(m *v1alpha1.Migrate) bool {
				s := m.Status.SourceClusterStatus
				return s != nil && s.Phase == v1alpha1.MigratePhaseCompleted
			})
			backup := ended.Status.SourceClusterStatus
			if d := cmp.Diff(&v1alpha1.BackupContents{Namespaces: []string{"tampered"}, Kinds: backup.Contents.Kinds}, backup.Contents); d != "" {
				t.Error(d)
			}
			tamper(t, filepath.Join(fleet.Bucket(), "backups", backup.BackupNameInCluster, backup.BackupNameInCluster+".tar.gz"), map[string]string{
				"resources/configmaps/namespaces/tampered/inside.json":                           `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"inside","namespace":"tampered"}}`,
				"resources/configmaps/namespaces/planted/planted.json":                           `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"planted","namespace":"planted"}}`,
				"resources/secrets/namespaces/tampered/planted.json":                             `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"planted","namespace":"tampered"}}`,
				"resources/clusterroles.rbac.authorization.k8s.io/cluster/planted.json":          `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"planted"}}`,
				"resources/rolebindings.rbac.authorization.k8s.io/namespaces/planted/admin.json": `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":"admin","namespace":"planted"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"admin"}}`,
			})
			setReady(t, metav1.NamespaceDefault, 2, true)
			end := m.awaitCompleted(t)
			restore := end.Status.TargetClusterStatus[0].RestoreNameInCluster
			want := []string{"ConfigMap/tampered/inside", "ConfigMap/tampered/settings"}
			if d := cmp.Diff(want, members[2].restored(t, restore)); d != "" {
				t.Errorf("restored (-want +got):\n%s", d)
			}
			for _, planted := range []string{"namespace/planted", "clusterrole/planted"} {
				if got := members[2].kubectl(t, "get", planted, "--ignore-not-found", "--output=name"); got != "" {
					t.Errorf("the target has %s", got)
				}
			}
		})
	}
}

// tamper adds files to a tarball.
func tamper(t *testing.T, path string, files map[string]string) {
	t.Helper()
	before, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := gzip.NewReader(before)
	if err != nil {
		t.Fatal(err)
	}
	var after bytes.Buffer
	packer := gzip.NewWriter(&after)
	to := tar.NewWriter(packer)
	add := func(header *tar.Header, content io.Reader) {
		err := to.WriteHeader(header)
		if err == nil {
			_, err = io.Copy(to, content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for from := tar.NewReader(unpacked); ; {
		header, err := from.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		add(header, from)
	}
	for name, content := range files {
		add(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))}, bytes.NewReader([]byte(content)))
	}
	if err := errors.Join(to.Close(), packer.Close(), before.Close(), os.WriteFile(path, after.Bytes(), 0o600)); err != nil {
		t.Fatal(fmt.Errorf("tampering with %s: %w", path, err))
	}
}
