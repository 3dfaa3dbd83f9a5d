// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// TestProgressDeadlineIgnoresTimeInAQueue makes one Restore wait for a Terminating
// namespace and another one queue behind it. Only the first exceeds its progress
// deadline, because time in a queue does not count.
func TestProgressDeadlineIgnoresTimeInAQueue(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "held", "behind")
	members[source].apply(t, settings("held"))
	members[source].apply(t, settings("behind"))
	release := holdTerminating(t, members[2], "held")

	const deadline = "\n  progressDeadlineSeconds: 20"
	held := migrate(t, manifest("held", only("held")+deadline, 2))
	reason := func(want string) func(*v1alpha1.Migrate) bool {
		return func(m *v1alpha1.Migrate) bool {
			targets := m.Status.TargetClusterStatus
			return len(targets) == 1 && targets[0].Reason == want
		}
	}
	first := held.await(t, "that a namespace is Terminating", reason("NamespaceTerminating"))
	status := first.Status.TargetClusterStatus[0]
	if !strings.Contains(status.Message, "Velero is waiting for a namespace of this Restore that is being deleted in kurator-member2: held. "+
		"See what blocks the deletion: kubectl get namespace held --output=yaml") {
		t.Errorf("the target's message is %q", status.Message)
	}
	if status.LastTransitionTime == nil {
		t.Error("the target's status has no lastTransitionTime")
	}

	behind := migrate(t, manifest("behind", only("behind")+deadline, 2))
	queued := behind.await(t, "that it is queued", reason("RestoreQueued"))
	if message := queued.Status.TargetClusterStatus[0].Message; !strings.HasSuffix(message, "Velero in kurator-member2 is processing Restore "+first.Status.TargetClusterStatus[0].RestoreNameInCluster+".") {
		t.Errorf("the message of the queued target is %q", message)
	}
	late := held.await(t, "that it is stalled", func(m *v1alpha1.Migrate) bool {
		return condition(m, v1alpha1.ConditionStalled).Reason == "ProgressDeadlineExceeded"
	})
	if late.Status.Phase != v1alpha1.MigratePhaseRestoreInProgress {
		t.Errorf("the phase is %s while the Migrate is stalled", late.Status.Phase)
	}
	if message := condition(late, v1alpha1.ConditionStalled).Message; !strings.HasPrefix(message, "kurator-member2 has made no progress since ") {
		t.Errorf("the message of Stalled is %q", message)
	}
	t.Logf("kubectl describe of the stalled Migrate:\n%s", host.kubectl(t, "describe", "migrate", "held"))

	// The second Migrate has waited as long, but in a queue.
	if live, err := behind.get(t.Context()); err != nil {
		t.Error(err)
	} else {
		checkCondition(t, live, v1alpha1.ConditionStalled, metav1.ConditionFalse, "Progressing")
	}
	release()
	done := held.awaitCompleted(t)
	checkCondition(t, done, v1alpha1.ConditionStalled, metav1.ConditionFalse, "Progressing")
	checkOnce(t, done, 2)
	checkOnce(t, behind.awaitCompleted(t), 2)
}

// holdTerminating creates a namespace that is Terminating until release or the end of
// the test, because a ConfigMap in it has a finalizer.
func holdTerminating(t *testing.T, c *cluster, namespace string) (release func()) {
	t.Helper()
	c.apply(t, `
apiVersion: v1
kind: Namespace
metadata: {name: `+namespace+`}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: held, namespace: `+namespace+`, finalizers: [example.com/hold]}
`)
	c.kubectl(t, "delete", "namespace", namespace, "--wait=false")
	removeFinalizer := []string{"patch", "configmap", "held", "--namespace=" + namespace, "--type=merge", `--patch={"metadata":{"finalizers":null}}`}
	// The test's context has ended when its cleanup runs.
	release = sync.OnceFunc(func() {
		if _, err := fleet.Kubectl(context.WithoutCancel(t.Context()), c.kubeconfig, removeFinalizer...); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	})
	t.Cleanup(release)
	return release
}
