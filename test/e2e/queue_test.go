// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"
	"testing"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

// TestQueueOfBackups creates three Migrates while the source has a Backup of others that makes no
// progress, and that Velero does not know of. They wait, and are stalled, until it is deleted. Then their Backups are created one after the other.
func TestQueueOfBackups(t *testing.T) {
	needsFleet(t)
	names := []string{"queue-1", "queue-2", "queue-3"}
	ensureAbsent(t, names...)
	for _, name := range names {
		members[source].apply(t, settings(name))
	}
	members[source].apply(t, `
apiVersion: velero.io/v1
kind: Backup
metadata: {name: queue-nightly, namespace: velero}
spec: {includedNamespaces: [queue-none]}
status: {phase: InProgress}
`)
	remove := func() {
		members[source].kubectl(t, "delete", "backups.velero.io/queue-nightly", "--namespace=velero", "--ignore-not-found")
	}
	defer remove()

	var migrations []migration
	for _, name := range names {
		migrations = append(migrations, migrate(t, manifest(name, only(name)+"\n  progressDeadlineSeconds: 20", 2)))
	}
	last := migrations[2].await(t, "its place in the queue", func(m *v1alpha1.Migrate) bool {
		return m.Status.SourceClusterStatus != nil && m.Status.SourceClusterStatus.Reason == v1alpha1.ReasonWaitingInQueue
	}).Status.SourceClusterStatus
	if want := "Place 3 in the queue for Backups in kurator-member1, behind Migrate default/queue-2. Backup queue-nightly comes first."; last.Message != want {
		t.Errorf("the message of the last one is %q, want %q", last.Message, want)
	}
	if row := host.kubectl(t, "get", "migrate", "queue-3", "--no-headers"); !strings.Contains(row, "Pending") {
		t.Errorf("kubectl get shows %q", row)
	}
	stalled := migrations[0].await(t, "that it is stalled", func(m *v1alpha1.Migrate) bool {
		return condition(m, v1alpha1.ConditionStalled).Status == metav1.ConditionTrue
	})
	checkCondition(t, stalled, v1alpha1.ConditionReady, metav1.ConditionFalse, "QueueBlocked")
	if message := condition(stalled, v1alpha1.ConditionStalled).Message; !strings.Contains(message, "Backup queue-nightly comes first, and has not changed since") {
		t.Errorf("the message of Stalled is %q", message)
	}
	awaitEvents(t, stalled, "Normal kurator-member1 WaitingInQueue", "Warning kurator-member1 QueueBlocked")

	remove()
	var backups []velerov1.Backup
	for _, m := range migrations {
		done := m.awaitCompleted(t)
		checkCondition(t, done, v1alpha1.ConditionStalled, metav1.ConditionFalse, "Progressing")
		backups = append(backups, members[source].backups(t, done.UID)...)
	}
	for i := range backups[1:] {
		// Velero may still finalize the one before.
		if started, created := backups[i].Status.StartTimestamp, backups[i+1].CreationTimestamp; created.Before(started) {
			t.Errorf("Backup %s was created at %s, before %s had started at %s", backups[i+1].Name, created, backups[i].Name, started)
		}
	}
}

// BenchmarkQueue runs 30 tiny migrations at once, ten from each of three members: with the queue, and with
// that of Velero only, for which an annotation claims that the Veleros run any number of Backups at once.
func BenchmarkQueue(b *testing.B) {
	if fleet == nil {
		b.Skip("needs a fleet")
	}
	const each, sources = 10, 3
	runs := 0
	for _, queue := range []struct{ name, annotation string }{{"queue=ours", "-"}, {"queue=Velero's", "=100"}} {
		b.Run(queue.name, func(b *testing.B) {
			for n := 1; n <= sources; n++ {
				host.kubectl(b, "annotate", "--overwrite", "attachedcluster/"+localfleet.MemberName(n), v1alpha1.ConcurrentBackupsAnnotation+queue.annotation)
			}
			for b.Loop() {
				b.StopTimer()
				runs++
				var migrates strings.Builder
				for n := 1; n <= sources; n++ {
					var namespaces strings.Builder
					for i := range each {
						name := fmt.Sprintf("bench-%d-%d-%d", runs, n, i)
						namespaces.WriteString(settings(name) + "---")
						migrates.WriteString(manifestFrom(n, "default", name, only(name), 1+n%sources) + "---")
					}
					members[n].apply(b, namespaces.String())
				}
				file := manifestFile(b, migrates.String())
				b.StartTimer()
				host.kubectl(b, "create", "--filename="+file)
				host.kubectl(b, "wait", "--for=condition=Finished", "migrates", "--all", "--timeout=20m")
			}
		})
	}
}
