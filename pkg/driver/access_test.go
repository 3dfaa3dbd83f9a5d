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
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/permission"
)

// permissions are what the host's authorizer allows: everything but the use of what is
// denied.
type permissions struct {
	options permission.Options

	accessMutex sync.Mutex
	denied      []migration.Cluster
	accessErr   error
	// accessReviews counts the access reviews of the host, by the name of the cluster.
	accessReviews map[string]int
}

func (p *permissions) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	p.accessMutex.Lock()
	defer p.accessMutex.Unlock()
	if p.accessReviews == nil {
		p.accessReviews = map[string]int{}
	}
	p.accessReviews[a.GetName()]++
	if p.accessErr != nil || slices.ContainsFunc(p.denied, func(c migration.Cluster) bool { return c.Name == a.GetName() }) {
		return authorizer.DecisionNoOpinion, "", p.accessErr
	}
	return authorizer.DecisionAllow, "", nil
}

// deny sets which clusters may not be used from now on.
func (p *permissions) deny(denied ...migration.Cluster) { p.answer(nil, denied...) }

// answer has the host answer with an error, if it is not nil, or that the use of some
// clusters is denied.
func (p *permissions) answer(err error, denied ...migration.Cluster) {
	p.accessMutex.Lock()
	defer p.accessMutex.Unlock()
	p.denied, p.accessErr = denied, err
}

// mayNotUse is the message for a cluster whose use is denied to jane.
func mayNotUse(c migration.Cluster) string {
	return fmt.Sprintf(`Access to AttachedCluster %s is denied, waiting for permission: user "jane" may not use AttachedCluster default/%[1]s: they need verb "use" `+
		`on resource "attachedclusters" in API group "cluster.kurator.dev" with that name and namespace; ask for a RoleBinding to ClusterRole migrate-cluster-user, `+
		`or to a Role with that rule.`, c.Name)
}

func (callTo) Review(context.Context, migration.Review) (string, error) { return "", nil }

func (m *promptMember) Review(_ context.Context, r migration.Review) (string, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.reviews = append(m.reviews, r)
	return m.reviewRefusal, nil
}

// review sets what a review in the member finds from now on.
func (m *promptMember) review(refusal string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.reviewRefusal = refusal
}

// wantUntouched checks that a member got no call.
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

func wantPart(t *testing.T, part v1alpha1.ClusterStatus, phase v1alpha1.MigratePhase, reason, message string) {
	t.Helper()
	got := []string{string(part.Phase), part.Reason, part.Message}
	if diff := cmp.Diff([]string{string(phase), reason, message}, got); diff != "" {
		t.Errorf("part of %s (-want +got):\n%s", part.ClusterName, diff)
	}
}

func TestASourceThatMayNotBeUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.deny(m1)
		stop := w.drive()
		defer stop()
		w.apply(m2, m3)
		time.Sleep(time.Minute)

		w.wantPhase("Pending")
		status := w.migrate().Status
		told := mayNotUse(m1)
		wantPart(t, status.SourceClusterStatus.ClusterStatus, "Pending", "ClusterNotAuthorized", told)
		if got := meta.FindStatusCondition(status.Conditions, "Ready"); got.Reason != "ClusterNotAuthorized" || got.Message != "m1, since 2000-01-01T00:00:00Z: "+told {
			t.Errorf("Ready says %s: %s", got.Reason, got.Message)
		}
		w.wantUntouched(m1)
		w.wantCreates(m2)
		live, err := w.driver().LiveStatus(t.Context(), w.migrate())
		if err != nil {
			t.Fatal(err)
		}
		wantPart(t, live.SourceClusterStatus.ClusterStatus, "Pending", "ClusterNotAuthorized", told)
		w.wantUntouched(m1)

		w.deny()
		time.Sleep(deniedInterval + aMomentPasses)
		w.wantPhase("Completed")
	})
}

func TestATargetThatMayNotBeUsedDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.deny(m2)
		stop := w.drive()
		defer stop()
		w.apply(m2, m3)
		time.Sleep(aMomentPasses)

		w.wantPhase("RestoreInProgress")
		targets := w.migrate().Status.TargetClusterStatus
		wantPart(t, targets[0].ClusterStatus, "Pending", "ClusterNotAuthorized", mayNotUse(m2))
		if targets[1].Phase != v1alpha1.MigratePhaseCompleted {
			t.Errorf("m3 is %s, though only m2 is refused", targets[1].Phase)
		}
		w.wantUntouched(m2)

		w.deny()
		time.Sleep(deniedInterval + aMomentPasses)
		w.wantPhase("Completed")
		w.wantCreates(m2, "backups "+backupName, "restores "+restoreName)
	})
}

func TestAHostThatCantTellWhoMayUseWhat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.answer(errors.New("connection refused"))
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(aMomentPasses)
		w.wantPhase("Pending")
		wantPart(t, w.migrate().Status.SourceClusterStatus.ClusterStatus, "Pending", "AccessReviewFailed",
			"Checking access to AttachedCluster m1 failed, trying again: checking on the host whether user \"jane\" may use AttachedCluster default/m1: connection refused ()")
		w.wantUntouched(m1, m2)

		w.deny()
		time.Sleep(deniedInterval + aMomentPasses)
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
		w.deny(m1, m2)
		w.members[m1].change(func() { w.members[m1].unfinished = false })
		time.Sleep(aMomentPasses)
		w.wantPhase("RestoreInProgress")
		wantPart(t, w.migrate().Status.TargetClusterStatus[0].ClusterStatus, "Pending", "ClusterNotAuthorized", mayNotUse(m2))
		w.wantCreates(m2)

		w.deny()
		time.Sleep(deniedInterval + aMomentPasses)
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
		w.deny(m1)
		time.Sleep(10 * time.Minute)
		w.wantPhase("BackupInProgress")
		w.members[m1].change(func() { w.members[m1].unfinished = false })
		time.Sleep(aMomentPasses)
		w.wantPhase("Completed")
	})
}

func TestAMemberThatRefusesTheRequester(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.options.ReviewMembers = true
		w.members[m1].review(`user "jane" may not list secrets`)
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(time.Minute)

		const told = `Access to AttachedCluster m1 is denied, waiting for permission: user "jane" may not list secrets.`
		w.wantPhase("Pending")
		wantPart(t, w.migrate().Status.SourceClusterStatus.ClusterStatus, "Pending", "ClusterNotAuthorized", told)
		live, err := w.driver().LiveStatus(t.Context(), w.migrate())
		if err != nil {
			t.Fatal(err)
		}
		wantPart(t, live.SourceClusterStatus.ClusterStatus, "Pending", "ClusterNotAuthorized", told)
		w.wantUntouched(m1)

		w.members[m1].review("")
		time.Sleep(deniedInterval + aMomentPasses)
		w.wantPhase("Completed")
	})
}

// TestAReaderAsksNoMemberBeforeItsReview reads a status live before the driver has
// checked the access.
func TestAReaderAsksNoMemberBeforeItsReview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.options.ReviewMembers = true
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
			w.options.ReviewMembers = on
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
		"a ServiceAccount":          {requester: v1alpha1.Requester{Username: "system:serviceaccount:velero:velero"}, refused: "user system:serviceaccount:velero:velero of the host is another identity in m1"},
		"an administrator":          {requester: v1alpha1.Requester{Username: "root", Groups: []string{authenticated, "system:masters"}}, refused: "group system:masters of the host is another identity in m1"},
		"one that means the same":   {requester: v1alpha1.Requester{Username: "system:serviceaccount:velero:velero"}, same: true},
		"a user of a similar name":  {requester: v1alpha1.Requester{Username: "systems"}},
		"a group of a similar name": {requester: v1alpha1.Requester{Username: "joe", Groups: []string{"not-system:masters"}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.options, w.requester = permission.Options{ReviewMembers: true, ReviewHostIdentities: tt.same}, tt.requester
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
		time.Sleep(allowedInterval - time.Minute)
		before := w.members[m2].watchedEver()
		asked := w.accessReviewsOf(m2)
		time.Sleep(3 * allowedInterval)
		if now := w.accessReviewsOf(m2); now < asked+2 {
			t.Errorf("asked %d times, then %d: not asked again", asked, now)
		}
		if now := w.members[m2].watchedEver(); now != before {
			t.Errorf("%d watches were opened, and %d more while the grant was asked for again", before, now-before)
		}
		w.deny(m2)
		time.Sleep(allowedInterval + allowedGrace)
		if target := w.migrate().Status.TargetClusterStatus[0]; target.Reason != "ClusterNotAuthorized" {
			t.Errorf("a grant that was withdrawn is told as %s: %s", target.Reason, target.Message)
		}
	})
}

func (m *promptMember) watchedEver() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.watched
}

func (p *permissions) accessReviewsOf(c migration.Cluster) int {
	p.accessMutex.Lock()
	defer p.accessMutex.Unlock()
	return p.accessReviews[c.Name]
}
