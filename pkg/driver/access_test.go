// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// permissions are what a host says that a requester may use: everything but what is
// refused.
type permissions struct {
	reviewMembers, reviewHostIdentities bool

	accessMutex sync.Mutex
	refusals    map[migration.Cluster]string
	accessErr   error
	// accessAsked is how many times the host was asked about a cluster.
	accessAsked map[migration.Cluster]int
}

func (p *permissions) MayUse(_ context.Context, _ *v1alpha1.Migrate, _ v1alpha1.Destination, c migration.Cluster) (string, error) {
	p.accessMutex.Lock()
	defer p.accessMutex.Unlock()
	if p.accessAsked == nil {
		p.accessAsked = map[migration.Cluster]int{}
	}
	p.accessAsked[c]++
	return p.refusals[c], p.accessErr
}

// permit sets what is refused from now on.
func (p *permissions) permit(refusals map[migration.Cluster]string, err error) {
	p.accessMutex.Lock()
	defer p.accessMutex.Unlock()
	p.refusals, p.accessErr = refusals, err
}

// grantsAll is a host on which everybody may use everything.
type grantsAll struct{}

func (grantsAll) MayUse(context.Context, *v1alpha1.Migrate, v1alpha1.Destination, migration.Cluster) (string, error) {
	return "", nil
}

func (callTo) Review(context.Context, migration.Review) (string, error) { return "", nil }

func (m *modelMember) Review(_ context.Context, r migration.Review) (string, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.reviews = append(m.reviews, r)
	return m.reviewRefusal, nil
}

// review sets what a review in the member finds from now on.
func (m *modelMember) review(refusal string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.reviewRefusal = refusal
}

// wantUntouched checks that nothing was ever asked of a member, let alone written.
func (w *world) wantUntouched(clusters ...migration.Cluster) {
	w.t.Helper()
	for _, c := range clusters {
		m := w.members[c]
		m.mutex.Lock()
		if m.watched != 0 || m.asked != 0 || len(m.creates) != 0 {
			w.t.Errorf("%s was watched %d times, asked %d times, and %v created there", c.Name, m.watched, m.asked, m.creates)
		}
		m.mutex.Unlock()
	}
}

func wantPart(t *testing.T, part v1alpha1.ClusterPart, phase v1alpha1.MigratePhase, reason, message string) {
	t.Helper()
	got := []string{string(part.Phase), part.Reason, part.Message}
	if diff := cmp.Diff([]string{string(phase), reason, message}, got); diff != "" {
		t.Errorf("part of %s (-want +got):\n%s", part.ClusterName, diff)
	}
}

func TestASourceThatMayNotBeUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.permit(map[migration.Cluster]string{m1: `user "jane" may not`}, nil)
		stop := w.drive()
		defer stop()
		w.apply(m2, m3)
		time.Sleep(time.Minute)

		w.wantPhase("Pending")
		status := w.migrate().Status
		const told = `AttachedCluster m1 may not be used, waiting for the permission: user "jane" may not.`
		wantPart(t, status.SourceClusterStatus.ClusterPart, "Pending", "ClusterNotAuthorized", told)
		if got := meta.FindStatusCondition(status.Conditions, "Ready"); got.Reason != "ClusterNotAuthorized" || got.Message != "m1, since 2000-01-01T00:00:00Z: "+told {
			t.Errorf("Ready says %s: %s", got.Reason, got.Message)
		}
		w.wantUntouched(m1)
		w.wantCreates(m2)
		live, err := w.driver().LiveStatus(t.Context(), w.migrate())
		if err != nil {
			t.Fatal(err)
		}
		wantPart(t, live.SourceClusterStatus.ClusterPart, "Pending", "ClusterNotAuthorized", told)
		w.wantUntouched(m1)

		w.permit(nil, nil)
		time.Sleep(refusedInterval + aMomentPasses)
		w.wantPhase("Completed")
	})
}

func TestATargetThatMayNotBeUsedDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.permit(map[migration.Cluster]string{m2: `user "jane" may not`}, nil)
		stop := w.drive()
		defer stop()
		w.apply(m2, m3)
		time.Sleep(aMomentPasses)

		w.wantPhase("RestoreInProgress")
		targets := w.migrate().Status.TargetClusterStatus
		wantPart(t, targets[0].ClusterPart, "Pending", "ClusterNotAuthorized",
			`AttachedCluster m2 may not be used, waiting for the permission: user "jane" may not.`)
		if targets[1].Phase != v1alpha1.MigratePhaseCompleted {
			t.Errorf("m3 is %s, though only m2 is refused", targets[1].Phase)
		}
		w.wantUntouched(m2)

		w.permit(nil, nil)
		time.Sleep(refusedInterval + aMomentPasses)
		w.wantPhase("Completed")
		w.wantCreates(m2, "backups "+backupName, "restores "+restoreName)
	})
}

func TestAHostThatCantTellWhoMayUseWhat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.permit(nil, errors.New("connection refused"))
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(aMomentPasses)
		w.wantPhase("Pending")
		wantPart(t, w.migrate().Status.SourceClusterStatus.ClusterPart, "Pending", "AccessReviewFailed",
			"It can't be found out whether AttachedCluster m1 may be used, trying again: connection refused")
		w.wantUntouched(m1, m2)

		w.permit(nil, nil)
		time.Sleep(refusedInterval + aMomentPasses)
		w.wantPhase("Completed")
	})
}

// TestAPermissionThatIsTakenAway takes the permissions away while the Backup is
// made: whoever was asked a while ago is asked again before something is written.
func TestAPermissionThatIsTakenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.members[m1].unfinished = true
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(aMomentPasses)
		w.wantPhase("BackupInProgress")

		time.Sleep(time.Minute)
		w.permit(map[migration.Cluster]string{m1: "no longer", m2: "no longer"}, nil)
		w.members[m1].change(func() {
			finished := w.members[m1].backup.DeepCopy()
			finished.Status.Phase = velerov1.BackupPhaseCompleted
			w.members[m1].backup = finished
		})
		time.Sleep(aMomentPasses)
		w.wantPhase("RestoreInProgress")
		wantPart(t, w.migrate().Status.TargetClusterStatus[0].ClusterPart, "Pending", "ClusterNotAuthorized",
			"AttachedCluster m2 may not be used, waiting for the permission: no longer.")
		w.wantCreates(m2)

		w.permit(nil, nil)
		time.Sleep(refusedInterval + aMomentPasses)
		w.wantPhase("Completed")
	})
}

// TestWhatIsBegunGoesOn takes a permission away when the Restore is made: what
// Velero does can't be taken back, and is told to the end.
func TestWhatIsBegunGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.members[m1].unfinished = true
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(aMomentPasses)
		w.permit(map[migration.Cluster]string{m1: "no longer"}, nil)
		time.Sleep(10 * time.Minute)
		w.wantPhase("BackupInProgress")
		w.members[m1].change(func() {
			finished := w.members[m1].backup.DeepCopy()
			finished.Status.Phase = velerov1.BackupPhaseCompleted
			w.members[m1].backup = finished
		})
		time.Sleep(aMomentPasses)
		w.wantPhase("Completed")
	})
}

func TestAMemberThatRefusesTheRequester(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.reviewMembers = true
		w.members[m1].review(`user "jane" may not list secrets`)
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(time.Minute)

		const told = `AttachedCluster m1 may not be used, waiting for the permission: user "jane" may not list secrets.`
		w.wantPhase("Pending")
		wantPart(t, w.migrate().Status.SourceClusterStatus.ClusterPart, "Pending", "ClusterNotAuthorized", told)
		live, err := w.driver().LiveStatus(t.Context(), w.migrate())
		if err != nil {
			t.Fatal(err)
		}
		wantPart(t, live.SourceClusterStatus.ClusterPart, "Pending", "ClusterNotAuthorized", told)
		w.wantUntouched(m1)

		w.members[m1].review("")
		time.Sleep(refusedInterval + aMomentPasses)
		w.wantPhase("Completed")
	})
}

// TestAReaderAsksNoMemberBeforeItsReview reads a status live before the driver has
// had the members asked.
func TestAReaderAsksNoMemberBeforeItsReview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.reviewMembers = true
		w.apply(m2, m3)
		live, err := w.driver().LiveStatus(t.Context(), w.migrate())
		if err != nil {
			t.Fatal(err)
		}
		if got := live.SourceClusterStatus.Reason; got != "Connecting" {
			t.Errorf("the source says %s", got)
		}
		w.wantUntouched(m1, m2, m3)
	})
}

// TestWhatIsReviewed checks that a member is asked about reading in the source and
// about creating in the target, and not at all where the flag is off.
func TestWhatIsReviewed(t *testing.T) {
	for _, on := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.reviewMembers = on
			stop := w.drive()
			w.apply(m2)
			time.Sleep(aMomentPasses)
			stop()
			w.wantPhase("Completed")
			var want, got [][]string
			if on {
				want = [][]string{{"get", "list"}, {"create"}}
			}
			for _, c := range []migration.Cluster{m1, m2} {
				for _, r := range w.members[c].reviews {
					got = append(got, r.Verbs)
				}
			}
			// An answer that comes while a turn looks for it is asked for once more.
			got = slices.CompactFunc(got, slices.Equal[[]string])
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("reviewed with the flag %v (-want +got):\n%s", on, diff)
			}
		})
	}
}

// TestHostIdentitiesAreNotReviewed by a member, where they are somebody else's, unless the
// operator says that they mean the same.
func TestHostIdentitiesAreNotReviewed(t *testing.T) {
	const authenticated = "system:authenticated"
	for name, tt := range map[string]struct {
		requester v1alpha1.Requester
		same      bool
		refused   string
	}{
		"a user":                    {requester: v1alpha1.Requester{Username: "jane", Groups: []string{"shop", authenticated}}},
		"a ServiceAccount":          {requester: v1alpha1.Requester{Username: "system:serviceaccount:velero:velero"}, refused: "user system:serviceaccount:velero:velero of the host names somebody else in m1"},
		"an administrator":          {requester: v1alpha1.Requester{Username: "root", Groups: []string{authenticated, "system:masters"}}, refused: "group system:masters of the host names somebody else in m1"},
		"one that means the same":   {requester: v1alpha1.Requester{Username: "system:serviceaccount:velero:velero"}, same: true},
		"a user of a similar name":  {requester: v1alpha1.Requester{Username: "systems"}},
		"a group of a similar name": {requester: v1alpha1.Requester{Username: "joe", Groups: []string{"not-system:masters"}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.reviewMembers, w.reviewHostIdentities, w.requester = true, tt.same, &tt.requester
				stop := w.drive()
				defer stop()
				w.apply(m2)
				time.Sleep(aMomentPasses)
				if tt.refused == "" {
					w.wantPhase("Completed")
					return
				}
				w.wantPhase("Pending")
				source := w.migrate().Status.SourceClusterStatus
				if source.Reason != "ClusterNotAuthorized" || !strings.Contains(source.Message, tt.refused) {
					t.Errorf("the source's status says %s: %s", source.Reason, source.Message)
				}
				if n := len(w.members[m1].reviews); n != 0 {
					t.Errorf("the member was asked %d times", n)
				}
			})
		})
	}
}

// TestAGrantHoldsWhileItIsAskedForAgain: no watch is closed for the question, and that it
// is withdrawn is noticed.
func TestAGrantHoldsWhileItIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.members[m1].refuse = errors.New("quota exceeded") // nothing begins
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(grantedInterval - time.Minute)
		before := w.members[m2].watchedEver()
		asked := w.accessAskedOf(m2)
		time.Sleep(3 * grantedInterval)
		if now := w.accessAskedOf(m2); now < asked+2 {
			t.Errorf("asked %d times, then %d: not asked again", asked, now)
		}
		if now := w.members[m2].watchedEver(); now != before {
			t.Errorf("%d watches were opened, and %d more while the grant was asked for again", before, now-before)
		}
		w.permit(map[migration.Cluster]string{m2: "no more"}, nil)
		time.Sleep(grantedInterval + grantedPatience)
		if target := w.migrate().Status.TargetClusterStatus[0]; target.Reason != "ClusterNotAuthorized" {
			t.Errorf("a grant that was withdrawn is told as %s: %s", target.Reason, target.Message)
		}
	})
}

func (m *modelMember) watchedEver() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.watched
}

func (p *permissions) accessAskedOf(c migration.Cluster) int {
	p.accessMutex.Lock()
	defer p.accessMutex.Unlock()
	return p.accessAsked[c]
}

// mostAtOnce counts how many questions are under way at a time.
type mostAtOnce struct {
	mutex      sync.Mutex
	now, most  int
	permission chan struct{}
}

func (a *mostAtOnce) MayUse(context.Context, *v1alpha1.Migrate, v1alpha1.Destination, migration.Cluster) (string, error) {
	a.mutex.Lock()
	a.now++
	a.most = max(a.most, a.now)
	a.mutex.Unlock()
	<-a.permission
	a.mutex.Lock()
	a.now--
	a.mutex.Unlock()
	return "", nil
}

// TestALiveReadAsksTheHostBitByBit about 500 targets.
func TestALiveReadAsksTheHostBitByBit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		config := w.driver().Config
		access := &mostAtOnce{permission: make(chan struct{})}
		config.Access = access
		d := New(config)
		w.apply(m2)
		m := w.migrate()
		inventory := w.Observe("default", &m.Spec)
		for i := range 500 {
			c := migration.Cluster{Kind: migration.KindAttachedCluster, Name: fmt.Sprint("t", i)}
			inventory.TargetFleet.Members = append(inventory.TargetFleet.Members, c)
			inventory.Clusters[c] = migration.ClusterState{Ready: true, VeleroNamespace: "velero"}
			m.Spec.TargetCluster.Clusters = append(m.Spec.TargetCluster.Clusters, corev1.ObjectReference{Kind: c.Kind, Name: c.Name})
		}
		inventory.SourceFleet = inventory.TargetFleet
		done := make(chan struct{})
		go func() {
			defer close(done)
			d.authorize(t.Context(), m, inventory)
		}()
		synctest.Wait()
		close(access.permission)
		<-done
		if access.most != maxReviews {
			t.Errorf("%d questions at once, want %d", access.most, maxReviews)
		}
	})
}
