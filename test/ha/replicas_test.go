// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package ha

import (
	"context"
	"os"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned"
	"kurator.dev/migrate-apiserver/test/localfleet"
	"kurator.dev/migrate-apiserver/test/modelvelero"
)

const (
	// The times of the Lease: short ones, so that a test is.
	leaseDuration, renewDeadline, retryPeriod = 3 * time.Second, 2 * time.Second, 500 * time.Millisecond
	// shutdownDelay is many times what the balancer needs to see who is not ready.
	shutdownDelay = 5 * time.Second
	// retryAfter is after how long a replica that ends has who still asks it come again
	// (WithRetryAfter of k8s.io/apiserver); client-go waits that long.
	retryAfter = 5 * time.Second
	// enough is how many requests succeed before a disturbance, and after it.
	enough = 150
)

// TestReplicas has two replicas over an etcd of three members, and ends or kills
// one process after the other under load.
func TestReplicas(t *testing.T) {
	fleet := up(t, localfleet.Options{
		Members: 1, Replicas: 2,
		ServerFlags: []string{
			"--leader-elect-lease-duration=" + leaseDuration.String(), "--leader-elect-renew-deadline=" + renewDeadline.String(),
			"--leader-elect-retry-period=" + retryPeriod.String(), "--shutdown-delay-duration=" + shutdownDelay.String(),
		},
	})
	config := hostConfig(t, fleet)

	t.Run("nothing happens", func(t *testing.T) {
		r := underLoad(t, config, "calm", func(t *testing.T, _ *load) {})
		bounded(t, r, 0, time.Second)
	})
	t.Run("rolling restart", func(t *testing.T) {
		r := underLoad(t, config, "rolling", func(t *testing.T, l *load) {
			for n := range fleet.Replicas() {
				p := process(t, fleet, localfleet.ReplicaName(n+1))
				if err := p.Stop(t.Context()); err != nil {
					t.Fatal(err)
				}
				start(t, p)
				l.awaitMore(t, enough)
			}
		})
		// Nothing is lost. But a replica that ends tells so by an HTTP/2 GOAWAY, and a
		// request that crosses with it is not repeated by the host's aggregator if it
		// has a body, which its proxy can't read again; client-go repeats no write
		// either that was answered by 503 without Retry-After.
		bounded(t, r, writers*fleet.Replicas(), retryAfter+2*time.Second)
		if r.relists > 0 {
			t.Errorf("the watch could not be resumed %d times", r.relists)
		}
	})
	t.Run("the replica that drives is killed", func(t *testing.T) {
		victim, _ := driver(t, fleet)
		bounded(t, killedUnderLoad(t, config, "leader", victim), 3*writers, 5*time.Second)
	})
	t.Run("the other replica is killed", func(t *testing.T) {
		_, victim := driver(t, fleet)
		bounded(t, killedUnderLoad(t, config, "other", victim), 3*writers, 5*time.Second)
	})
	t.Run("the leader of etcd is killed", func(t *testing.T) {
		bounded(t, killedUnderLoad(t, config, "etcd-leader", etcdMember(t, fleet, true)), 3*writers, 10*time.Second)
	})
	t.Run("a follower of etcd is killed", func(t *testing.T) {
		bounded(t, killedUnderLoad(t, config, "etcd-follower", etcdMember(t, fleet, false)), 3*writers, 10*time.Second)
	})
	t.Run("a migration outlives the replica that drives it", func(t *testing.T) { failover(t, fleet) })
}

// underLoad has something happen in the middle of a load.
func underLoad(t *testing.T, config *rest.Config, label string, happens func(*testing.T, *load)) result {
	t.Helper()
	l := startLoad(t, config, label)
	l.awaitMore(t, enough)
	happens(t, l)
	l.awaitMore(t, enough)
	r := l.end(t)
	t.Log(r)
	return r
}

func killedUnderLoad(t *testing.T, config *rest.Config, label string, victim *localfleet.Process) result {
	t.Helper()
	return underLoad(t, config, label, func(t *testing.T, l *load) {
		kill(t, victim)
		l.awaitMore(t, enough)
		start(t, victim)
	})
}

// bounded checks that no more requests failed than those that were under way, and
// that it did not take long.
func bounded(t *testing.T, r result, failed int, gap time.Duration) {
	t.Helper()
	if len(r.failed) > failed {
		t.Errorf("%d requests failed, want at most %d", len(r.failed), failed)
	}
	if r.gap > gap {
		t.Errorf("nothing succeeded for %v, want at most %v", r.gap, gap)
	}
}

func etcdMember(t *testing.T, fleet *localfleet.Fleet, leads bool) *localfleet.Process {
	t.Helper()
	leader := ""
	eventually(t, "a leader of etcd", func() bool {
		var err error
		leader, err = fleet.ServerEtcdLeader(t.Context())
		return err == nil
	})
	name := leader
	for n := 1; !leads && name == leader; n++ {
		name = localfleet.ServerEtcdName(n)
	}
	return process(t, fleet, name)
}

// failover kills the replica that drives while a Backup is under way.
func failover(t *testing.T, fleet *localfleet.Fleet) {
	enroll(t, fleet)
	client, err := versioned.NewForConfig(hostConfig(t, fleet))
	if err != nil {
		t.Fatal(err)
	}
	migrates := client.BackupV1alpha1().Migrates(namespace)
	m := &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "failover"}}
	m.Spec.SourceCluster = v1alpha1.Destination{Fleet: "modelled", Clusters: []corev1.ObjectReference{{Kind: "AttachedCluster", Name: "source"}}}
	m.Spec.TargetCluster.Fleet = "modelled"
	if _, err := migrates.Create(t.Context(), m, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitPhase := func(phase v1alpha1.MigratePhase) {
		t.Helper()
		eventually(t, "phase "+string(phase), func() bool {
			found, err := migrates.Get(t.Context(), m.Name, metav1.GetOptions{})
			if err == nil {
				m = found
			}
			return err == nil && m.Status.Phase == phase
		})
	}
	awaitPhase(v1alpha1.MigratePhaseBackupInProgress)
	leader, other := driver(t, fleet)
	kill(t, leader)
	killed := time.Now()
	eventually(t, "the other replica to drive", func() bool { return drives(t, other) })
	took := time.Since(killed)
	awaitPhase(v1alpha1.MigratePhaseCompleted)
	t.Logf("the other replica drives %v after the kill, by a Lease of %v; the migration is Completed after %v",
		took.Round(time.Millisecond), leaseDuration, time.Since(killed).Round(time.Millisecond))
	// A Lease is good for its duration after its last renewal; a follower looks at it
	// once in a retry period, which client-go makes up to 2.2 times as long.
	if limit := leaseDuration + 5*retryPeriod; took > limit {
		t.Errorf("that took %v, want at most %v", took, limit)
	}
	once(t, fleet, string(m.UID))
	start(t, leader)
}

// enroll makes a fleet of two members with modelled Veleros, in one cluster.
func enroll(t *testing.T, fleet *localfleet.Fleet) {
	t.Helper()
	kubeconfig, err := os.ReadFile(fleet.MemberKubeconfig(1))
	if err != nil {
		t.Fatal(err)
	}
	config, err := fleet.MemberConfig(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := fleet.AddVeleroNamespaces(t.Context(), 1, "velero-source", "velero-target"); err != nil {
		t.Fatal(err)
	}
	if err := fleet.Attach(t.Context(), "modelled",
		localfleet.Attachment{Name: "source", Kubeconfig: kubeconfig, VeleroNamespace: "velero-source"},
		localfleet.Attachment{Name: "target", Kubeconfig: kubeconfig, VeleroNamespace: "velero-target"},
	); err != nil {
		t.Fatal(err)
	}
	veleros, err := modelvelero.NewVeleros(config, "velero-source", "velero-target")
	if err != nil {
		t.Fatal(err)
	}
	veleros.PhaseTime = 500 * time.Millisecond
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error)
	go func() { ended <- veleros.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// once checks that there is one Backup in the source and one Restore in the target.
func once(t *testing.T, fleet *localfleet.Fleet, uid string) {
	t.Helper()
	config, err := fleet.MemberConfig(1)
	if err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	for namespace, resource := range map[string]string{"velero-source": "backups", "velero-target": "restores"} {
		list, err := client.Resource(velerov1.SchemeGroupVersion.WithResource(resource)).Namespace(namespace).
			List(t.Context(), metav1.ListOptions{LabelSelector: "backup.kurator.dev/migrate-uid=" + uid})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Items) != 1 {
			t.Errorf("%d %s in %s, want 1", len(list.Items), resource, namespace)
		}
	}
}
