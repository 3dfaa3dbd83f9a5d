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
	typed "kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned/typed/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/test/localfleet"
	"kurator.dev/migrate-apiserver/test/modelvelero"
)

const (
	// The durations of the Lease are short, so that a failover takes only seconds.
	leaseDuration, renewDeadline, retryPeriod = 3 * time.Second, 2 * time.Second, 500 * time.Millisecond
	// shutdownDelay is many times what the load balancer needs to notice that a replica is not ready.
	shutdownDelay = 5 * time.Second
	// retryAfter is the Retry-After with which a replica rejects requests during its
	// shutdown (WithRetryAfter of k8s.io/apiserver); client-go waits that long.
	retryAfter = 5 * time.Second
	// minRequests is the number of requests that must succeed before and after a disruption.
	minRequests = 150
)

// TestReplicas stops or kills the processes of two replicas and an etcd of three members
// under load, one at a time.
func TestReplicas(t *testing.T) {
	fleet := startFleet(t, localfleet.Options{
		Members: 1, Replicas: 2,
		ServerFlags: []string{
			"--leader-elect-lease-duration=" + leaseDuration.String(), "--leader-elect-renew-deadline=" + renewDeadline.String(),
			"--leader-elect-retry-period=" + retryPeriod.String(), "--shutdown-delay-duration=" + shutdownDelay.String(),
		},
	})
	config := hostConfig(t, fleet)

	t.Run("no disruption", func(t *testing.T) {
		r := underLoad(t, config, "baseline", func(t *testing.T, _ *load) {})
		checkResult(t, r, 0, time.Second)
	})
	t.Run("rolling restart", func(t *testing.T) {
		r := underLoad(t, config, "rolling", func(t *testing.T, l *load) {
			for n := range fleet.Replicas() {
				p := process(t, fleet, localfleet.ReplicaName(n+1))
				if err := p.Stop(t.Context()); err != nil {
					t.Fatal(err)
				}
				start(t, p)
				l.awaitMore(t, minRequests)
			}
		})
		// No acknowledged write is lost, but some requests fail: a replica that shuts
		// down sends an HTTP/2 GOAWAY. The host's aggregator does not retry a request
		// that crosses with it and has a body, because its proxy can't read the body
		// again, and client-go does not retry a write after a 503 without Retry-After.
		checkResult(t, r, writers*fleet.Replicas(), retryAfter+2*time.Second)
		if r.relists > 0 {
			t.Errorf("the watch could not be resumed %d times", r.relists)
		}
	})
	t.Run("leader is killed", func(t *testing.T) {
		victim, _ := leaderAndFollower(t, fleet)
		checkResult(t, killUnderLoad(t, config, "leader", victim), 3*writers, 5*time.Second)
	})
	t.Run("follower is killed", func(t *testing.T) {
		_, victim := leaderAndFollower(t, fleet)
		checkResult(t, killUnderLoad(t, config, "follower", victim), 3*writers, 5*time.Second)
	})
	t.Run("etcd leader is killed", func(t *testing.T) {
		checkResult(t, killUnderLoad(t, config, "etcd-leader", etcdMember(t, fleet, true)), 3*writers, 10*time.Second)
	})
	t.Run("etcd follower is killed", func(t *testing.T) {
		checkResult(t, killUnderLoad(t, config, "etcd-follower", etcdMember(t, fleet, false)), 3*writers, 10*time.Second)
	})
	attachModelledMembers(t, fleet)
	t.Run("migration continues after its leader is killed", func(t *testing.T) { testFailover(t, fleet) })
	t.Run("an earlier version beside this one", func(t *testing.T) { testEarlierVersion(t, fleet) })
}

// underLoad calls disrupt in the middle of a load and returns the result of the load.
func underLoad(t *testing.T, config *rest.Config, label string, disrupt func(*testing.T, *load)) result {
	t.Helper()
	l := startLoad(t, config, label)
	l.awaitMore(t, minRequests)
	disrupt(t, l)
	l.awaitMore(t, minRequests)
	r := l.end(t)
	t.Log(r)
	return r
}

func killUnderLoad(t *testing.T, config *rest.Config, label string, victim *localfleet.Process) result {
	t.Helper()
	return underLoad(t, config, label, func(t *testing.T, l *load) {
		kill(t, victim)
		l.awaitMore(t, minRequests)
		start(t, victim)
	})
}

// checkResult checks the number of failed requests, which should only be those in flight
// at the disruption, and the longest time without a successful request.
func checkResult(t *testing.T, r result, maxFailed int, maxGap time.Duration) {
	t.Helper()
	if len(r.failed) > maxFailed {
		t.Errorf("%d requests failed, want at most %d", len(r.failed), maxFailed)
	}
	if r.gap > maxGap {
		t.Errorf("no request succeeded for %v, want at most %v", r.gap, maxGap)
	}
}

// etcdMember returns the leader of etcd, or a follower.
func etcdMember(t *testing.T, fleet *localfleet.Fleet, wantLeader bool) *localfleet.Process {
	t.Helper()
	leader := ""
	eventually(t, "an etcd leader", func() bool {
		var err error
		leader, err = fleet.ServerEtcdLeader(t.Context())
		return err == nil
	})
	name := leader
	for n := 1; !wantLeader && name == leader; n++ {
		name = localfleet.ServerEtcdName(n)
	}
	return process(t, fleet, name)
}

// testFailover kills the leader while a Backup is in progress.
func testFailover(t *testing.T, fleet *localfleet.Fleet) {
	m := startMigration(t, newMigrates(t, hostConfig(t, fleet)), "failover")
	leader, follower := leaderAndFollower(t, fleet)
	kill(t, leader)
	killed := time.Now()
	eventually(t, "the follower to become the leader", func() bool { return isLeader(t, follower) })
	took := time.Since(killed)
	m.await(t, v1alpha1.MigratePhaseCompleted)
	t.Logf("the follower is the leader %v after the kill, with a Lease of %v; the migration is Completed after %v",
		took.Round(time.Millisecond), leaseDuration, time.Since(killed).Round(time.Millisecond))
	// A Lease expires leaseDuration after its last renewal. A follower checks it once per
	// retry period, which client-go extends by jitter to up to 2.2 times.
	if limit := leaseDuration + 5*retryPeriod; took > limit {
		t.Errorf("the failover took %v, want at most %v", took, limit)
	}
	checkMigratedOnce(t, fleet, string(m.UID))
	start(t, leader)
}

func newMigrates(t *testing.T, config *rest.Config) typed.MigrateInterface {
	t.Helper()
	return newClient(t, config).BackupV1alpha1().Migrates(namespace)
}

// running is a Migrate of the modelled members.
type running struct {
	*v1alpha1.Migrate
	client typed.MigrateInterface
}

// startMigration creates a Migrate and waits until its Backup is in progress.
func startMigration(t *testing.T, client typed.MigrateInterface, name string) *running {
	t.Helper()
	m := &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	m.Spec.SourceCluster = v1alpha1.Destination{Fleet: "modelled", Clusters: []corev1.ObjectReference{{Kind: "AttachedCluster", Name: "source"}}}
	m.Spec.TargetCluster.Fleet = "modelled"
	created, err := client.Create(t.Context(), m, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r := &running{created, client}
	r.await(t, v1alpha1.MigratePhaseBackupInProgress)
	return r
}

// await waits until the Migrate has a phase.
func (r *running) await(t *testing.T, phase v1alpha1.MigratePhase) {
	t.Helper()
	eventually(t, "phase "+string(phase), func() bool {
		found, err := r.client.Get(t.Context(), r.Name, metav1.GetOptions{})
		if err == nil {
			r.Migrate = found
		}
		return err == nil && r.Status.Phase == phase
	})
}

// attachModelledMembers creates a fleet of two members with modelled Veleros, which are
// namespaces of one cluster, and runs the Veleros until the test ends.
func attachModelledMembers(t *testing.T, fleet *localfleet.Fleet) {
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
	done := make(chan error)
	go func() { done <- veleros.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// checkMigratedOnce checks that the source has one Backup and the target one Restore.
func checkMigratedOnce(t *testing.T, fleet *localfleet.Fleet, uid string) {
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
