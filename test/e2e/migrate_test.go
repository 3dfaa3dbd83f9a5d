// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

const (
	veleroNamespace = "velero"
	uidLabel        = "backup.kurator.dev/migrate-uid"
)

var (
	backupResource          = velerov1.SchemeGroupVersion.WithResource("backups")
	restoreResource         = velerov1.SchemeGroupVersion.WithResource("restores")
	podVolumeBackupResource = velerov1.SchemeGroupVersion.WithResource("podvolumebackups")
)

// manifest returns a Migrate in namespace default of the fleet with all members, from the
// source to the given members; none means all of the fleet.
func manifest(name, policy string, targets ...int) string {
	return manifestIn(metav1.NamespaceDefault, name, policy, targets...)
}

func manifestIn(namespace, name, policy string, targets ...int) string {
	return manifestFrom(source, namespace, name, policy, targets...)
}

func manifestFrom(from int, namespace, name, policy string, targets ...int) string {
	var to strings.Builder
	for i, n := range targets {
		if i == 0 {
			to.WriteString("\n    clusters:")
		}
		fmt.Fprintf(&to, "\n    - {kind: AttachedCluster, name: %s}", localfleet.MemberName(n))
	}
	return fmt.Sprintf(`
apiVersion: backup.kurator.dev/v1alpha1
kind: Migrate
metadata:
  namespace: %s
  name: %s
spec:
  sourceCluster:
    fleet: quickstart
    clusters:
    - {kind: AttachedCluster, name: %s}
  targetCluster:
    fleet: quickstart%s
  policy: %s
`, namespace, name, localfleet.MemberName(from), to.String(), policy)
}

// migration identifies a Migrate.
type migration struct {
	namespace, name string
}

// migrate creates a Migrate from a manifest. If the test fails, the state of the Migrate is
// printed.
func migrate(t *testing.T, manifest string) migration {
	t.Helper()
	var applied v1alpha1.Migrate
	if err := yaml.UnmarshalStrict([]byte(manifest), &applied); err != nil {
		t.Fatal(err)
	}
	m := migration{applied.Namespace, applied.Name}
	m.delete(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(m.describe())
		}
	})
	host.apply(t, manifest)
	return m
}

// migrateAndComplete creates a Migrate and waits until it is Completed.
func migrateAndComplete(t *testing.T, manifest string) *v1alpha1.Migrate {
	t.Helper()
	return migrate(t, manifest).awaitCompleted(t)
}

func (m migration) delete(t *testing.T) {
	t.Helper()
	host.kubectl(t, "delete", "migrate", m.name, "--namespace="+m.namespace, "--ignore-not-found")
}

func (m migration) get(ctx context.Context) (*v1alpha1.Migrate, error) {
	return host.migrates.BackupV1alpha1().Migrates(m.namespace).Get(ctx, m.name, metav1.GetOptions{})
}

// await waits until the recorded Migrate meets a condition, and returns it.
func (m migration) await(t *testing.T, what string, met func(*v1alpha1.Migrate) bool) *v1alpha1.Migrate {
	t.Helper()
	var found *v1alpha1.Migrate
	eventually(t, fmt.Sprintf("Migrate %s/%s reports %s", m.namespace, m.name, what), func() (string, bool) {
		live, err := m.get(t.Context())
		if err != nil {
			return err.Error(), false
		}
		found = live
		return string(live.Status.Phase) + " " + condition(live, v1alpha1.ConditionReady).Message, met(live)
	})
	return found
}

func (m migration) awaitPhase(t *testing.T, phase v1alpha1.MigratePhase) *v1alpha1.Migrate {
	t.Helper()
	return m.await(t, "phase "+string(phase), func(m *v1alpha1.Migrate) bool { return m.Status.Phase == phase })
}

// awaitEnd waits until the Migrate has ended, and returns it. The test fails if it ended in
// another phase.
func (m migration) awaitEnd(t *testing.T, phase v1alpha1.MigratePhase) *v1alpha1.Migrate {
	t.Helper()
	live := m.await(t, "a terminal phase", func(m *v1alpha1.Migrate) bool {
		return slices.Contains([]v1alpha1.MigratePhase{"Completed", "PartiallyFailed", "Failed", "FailedValidation", "Canceled"}, m.Status.Phase)
	})
	if live.Status.Phase != phase {
		t.Fatalf("Migrate %s ended %s, want %s: %s", m.name, live.Status.Phase, phase, condition(live, v1alpha1.ConditionReady).Message)
	}
	return live
}

func (m migration) awaitCompleted(t *testing.T) *v1alpha1.Migrate {
	t.Helper()
	return m.awaitEnd(t, v1alpha1.MigratePhaseCompleted)
}

// describe returns the Migrate, its Events and its Velero objects as kubectl prints them.
func (m migration) describe() string {
	var text strings.Builder
	show := func(c *cluster, args ...string) {
		output, err := fleet.Kubectl(context.Background(), c.kubeconfig, args...)
		fmt.Fprintf(&text, "--- %s: kubectl %s\n%s", c.name, strings.Join(args, " "), output)
		if err != nil {
			fmt.Fprintln(&text, err)
		}
	}
	show(host, "get", "migrate", m.name, "--namespace="+m.namespace, "--output=yaml")
	show(host, "get", "events", "--namespace="+m.namespace, "--field-selector=involvedObject.name="+m.name)
	if live, err := m.get(context.Background()); err == nil {
		for _, c := range members[1:] {
			show(c, "get", "backups.velero.io,restores.velero.io", "--namespace="+veleroNamespace,
				"--selector="+uidLabel+"="+string(live.UID), "--output=yaml", "--show-managed-fields=false")
		}
	}
	fmt.Fprintf(&text, "--- logs are in %s\n", filepath.Join(fleet.Dir(), "logs"))
	return text.String()
}

func condition(m *v1alpha1.Migrate, kind string) metav1.Condition {
	if c := meta.FindStatusCondition(m.Status.Conditions, kind); c != nil {
		return *c
	}
	return metav1.Condition{}
}

// checkCondition compares a condition's status and reason.
func checkCondition(t *testing.T, m *v1alpha1.Migrate, kind string, status metav1.ConditionStatus, reason string) {
	t.Helper()
	if c := condition(m, kind); c.Status != status || c.Reason != reason {
		t.Errorf("condition %s is %s with reason %s (%s), want %s with reason %s", kind, c.Status, c.Reason, c.Message, status, reason)
	}
}

// backups returns the Backups of a Migrate in a member.
func (c *cluster) backups(t *testing.T, uid types.UID) []velerov1.Backup {
	t.Helper()
	return list[velerov1.Backup](t, c, backupResource, uidLabel+"="+string(uid))
}

// restores returns the Restores of a Migrate in a member.
func (c *cluster) restores(t *testing.T, uid types.UID) []velerov1.Restore {
	t.Helper()
	return list[velerov1.Restore](t, c, restoreResource, uidLabel+"="+string(uid))
}

func list[T any](t *testing.T, c *cluster, resource schema.GroupVersionResource, selector string) []T {
	t.Helper()
	found, err := c.dynamic.Resource(resource).Namespace(veleroNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	objects := make([]T, len(found.Items))
	for i, item := range found.Items {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &objects[i]); err != nil {
			t.Fatal(err)
		}
	}
	return objects
}

// checkOnce checks invariant 2: exactly one Backup in the source, and one Restore in each
// target.
func checkOnce(t *testing.T, m *v1alpha1.Migrate, targets ...int) {
	t.Helper()
	if found := members[source].backups(t, m.UID); len(found) != 1 || found[0].Name != m.Status.SourceClusterStatus.BackupNameInCluster {
		t.Errorf("%s has %d Backups of Migrate %s, want the one in its status", members[source].name, len(found), m.Name)
	}
	for n := 1; n < len(members); n++ {
		want := 0
		if slices.Contains(targets, n) {
			want = 1
		}
		if found := members[n].restores(t, m.UID); len(found) != want {
			t.Errorf("%s has %d Restores of Migrate %s, want %d", members[n].name, len(found), m.Name, want)
		}
	}
}
