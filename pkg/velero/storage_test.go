// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"testing"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

func location(provider, bucket, prefix string, config map[string]string) *velerov1.BackupStorageLocation {
	return &velerov1.BackupStorageLocation{
		ObjectMeta: metav1.ObjectMeta{Name: "default"},
		Spec: velerov1.BackupStorageLocationSpec{
			Provider: provider, Config: config,
			StorageType: velerov1.StorageType{ObjectStorage: &velerov1.ObjectStorageLocation{Bucket: bucket, Prefix: prefix}},
		},
	}
}

func withCA(ca string, l *velerov1.BackupStorageLocation) *velerov1.BackupStorageLocation {
	l.Spec.ObjectStorage.CACert = []byte(ca)
	return l
}

func endpoint(s string) map[string]string { return map[string]string{"s3Url": s} }

func TestCompareStorage(t *testing.T) {
	for _, tt := range []struct {
		name string
		a, b *velerov1.BackupStorageLocation
		want Sameness
	}{
		{"one endpoint and bucket", location("aws", "b", "", endpoint("https://s3.example.com")), location("aws", "b", "", endpoint("https://s3.example.com/")), Same},
		{"old and new name of the provider", location("aws", "b", "", nil), location("velero.io/aws", "b", "", nil), Same},
		{"region does not matter at AWS", location("aws", "b", "", map[string]string{"region": "x"}), location("aws", "b", "", map[string]string{"region": "y"}), Same},
		{"prefix with and without slashes", location("aws", "b", "/p/", nil), location("aws", "b", "p", nil), Same},
		{"a public address", location("aws", "b", "", endpoint("http://8.8.4.4:9000")), location("aws", "b", "", endpoint("http://8.8.4.4:9000")), Same},
		{"a loopback address", location("aws", "b", "", endpoint("http://127.0.0.1:9000")), location("aws", "b", "", endpoint("http://127.0.0.1:9000")), Unproven},
		{"a private address", location("aws", "b", "", endpoint("http://10.96.0.9:9000")), location("aws", "b", "", endpoint("http://10.96.0.9:9000")), Unproven},
		{"the same with one CA", withCA("x", location("aws", "b", "", endpoint("https://10.96.0.9:9000"))), withCA("x", location("aws", "b", "", endpoint("https://10.96.0.9:9000"))), Same},
		{"the same with two CAs", withCA("x", location("aws", "b", "", endpoint("https://10.96.0.9:9000"))), withCA("y", location("aws", "b", "", endpoint("https://10.96.0.9:9000"))), Unproven},
		{"another bucket", location("aws", "b", "", nil), location("aws", "c", "", nil), Different},
		{"another prefix", location("aws", "b", "p", nil), location("aws", "b", "q", nil), Different},
		{"another endpoint may have the same bucket", location("aws", "b", "", endpoint("https://a.example.com")), location("aws", "b", "", endpoint("https://b.example.com")), Unproven},
		{"another provider may have the same bucket", location("aws", "b", "", nil), location("gcp", "b", "", nil), Unproven},
		{"a Service may differ in each cluster", location("aws", "b", "", endpoint("http://minio.velero.svc:9000")), location("aws", "b", "", endpoint("http://minio.velero.svc:9000")), Unproven},
		{"a name without a domain may differ in each cluster", location("aws", "b", "", endpoint("http://minio:9000")), location("aws", "b", "", endpoint("http://minio:9000")), Unproven},
		{"one storage account", location("azure", "b", "", map[string]string{"storageAccount": "a"}), location("azure", "b", "", map[string]string{"storageAccount": "a"}), Same},
		{"two storage accounts", location("azure", "b", "", map[string]string{"storageAccount": "a"}), location("azure", "b", "", map[string]string{"storageAccount": "c"}), Unproven},
		{"an unknown provider with one config", location("x", "b", "", map[string]string{"k": "v"}), location("x", "b", "", map[string]string{"k": "v"}), Same},
		{"an unknown provider with two configs", location("x", "b", "", map[string]string{"k": "v"}), location("x", "b", "", nil), Unproven},
		{"no object storage", &velerov1.BackupStorageLocation{}, location("aws", "b", "", nil), Unproven},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := CompareStorage(tt.a, tt.b); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if got := CompareStorage(tt.b, tt.a); got != tt.want {
				t.Errorf("with a and b swapped: got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestDefaultLocation(t *testing.T) {
	named := func(name string, isDefault bool) velerov1.BackupStorageLocation {
		return velerov1.BackupStorageLocation{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: velerov1.BackupStorageLocationSpec{Default: isDefault}}
	}
	for _, tt := range []struct {
		name      string
		locations []velerov1.BackupStorageLocation
		want      string
	}{
		{"marked", []velerov1.BackupStorageLocation{named("default", false), named("a", true)}, "a"},
		{"by name", []velerov1.BackupStorageLocation{named("a", false), named("default", false)}, "default"},
		{"none", []velerov1.BackupStorageLocation{named("a", false)}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if l := DefaultLocation(tt.locations); l != nil {
				got = l.Name
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDescribeLocation(t *testing.T) {
	got := DescribeLocation(location("velero.io/aws", "velero", "/a/", endpoint("http://s3.example.com")))
	if want := "default (aws, bucket velero, prefix a, http://s3.example.com)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := DescribeLocation(nil), "an unknown BackupStorageLocation"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPhases(t *testing.T) {
	for phase, want := range map[velerov1.BackupPhase]v1alpha1.MigratePhase{
		"": "BackupInProgress", "New": "BackupInProgress", "Queued": "BackupInProgress", "ReadyToStart": "BackupInProgress",
		"InProgress": "BackupInProgress", "WaitingForPluginOperations": "BackupInProgress",
		"WaitingForPluginOperationsPartiallyFailed": "BackupInProgress", "Finalizing": "BackupInProgress",
		"FinalizingPartiallyFailed": "BackupInProgress", "SomethingNew": "BackupInProgress",
		"Completed": "Completed", "PartiallyFailed": "PartiallyFailed", "Failed": "Failed", "Deleting": "Failed",
		"FailedValidation": "FailedValidation",
	} {
		if got := BackupPhase(phase); got != want {
			t.Errorf("Backup %q: got %s, want %s", phase, got, want)
		}
	}
	for phase, want := range map[velerov1.RestorePhase]v1alpha1.MigratePhase{
		"": "RestoreInProgress", "New": "RestoreInProgress", "InProgress": "RestoreInProgress",
		"WaitingForPluginOperations":                "RestoreInProgress",
		"WaitingForPluginOperationsPartiallyFailed": "RestoreInProgress", "Finalizing": "RestoreInProgress",
		"FinalizingPartiallyFailed": "RestoreInProgress", "SomethingNew": "RestoreInProgress",
		"Completed": "Completed", "PartiallyFailed": "PartiallyFailed", "Failed": "Failed",
		"FailedValidation": "FailedValidation",
	} {
		if got := RestorePhase(phase); got != want {
			t.Errorf("Restore %q: got %s, want %s", phase, got, want)
		}
	}
}
