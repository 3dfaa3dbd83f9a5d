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

// permissions is an authorizer of the host that allows everything except the use of the denied
// clusters.
type permissions struct {
	options permission.Options

	accessMutex sync.Mutex
	denied      []migration.Cluster
	accessErr   error
	// accessReviews counts the access reviews on the host, by the name of the cluster.
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

// deny sets the denied clusters.
func (p *permissions) deny(denied ...migration.Cluster) { p.setAnswers(nil, denied...) }

// setAnswers sets the authorizer's error and the denied clusters.
func (p *permissions) setAnswers(err error, denied ...migration.Cluster) {
	p.accessMutex.Lock()
	defer p.accessMutex.Unlock()
	p.denied, p.accessErr = denied, err
}

// deniedMessage returns the message for a cluster that jane may not use.
func deniedMessage(c migration.Cluster) string {
	return fmt.Sprintf(`Access to AttachedCluster %s is denied, waiting for permission: user "jane" may not use AttachedCluster default/%[1]s: they need verb "use" `+
		`on resource "attachedclusters" in API group "cluster.kurator.dev" with that name and namespace; ask for a RoleBinding to ClusterRole migrate-cluster-user, `+
		`or to a Role with that rule.`, c.Name)
}

func (memberClient) Review(context.Context, migration.Review) (string, error) { return "", nil }

func (m *immediateMember) Review(_ context.Context, r migration.Review) (string, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.reviews = append(m.reviews, r)
	return m.reviewDenial, nil
}

// setReview sets the result of the member's reviews: a denial, or none if it is empty.
func (m *immediateMember) setReview(denial string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.reviewDenial = denial
}

// wantNoCalls checks that the members were not called.
func (w *world) wantNoCalls(clusters ...migration.Cluster) {
	w.t.Helper()
	for _, c := range clusters {
		m := w.members[c]
		m.mutex.Lock()
		if m.watched != 0 || m.reads != 0 || len(m.creates) != 0 {
			w.t.Errorf("%s has %d watches, %d reads, and the created objects %v", c.Name, m.watched, m.reads, m.creates)
		}
		m.mutex.Unlock()
	}
}

func wantClusterStatus(t *testing.T, cs v1alpha1.ClusterStatus, phase v1alpha1.MigratePhase, reason, message string) {
	t.Helper()
	got := []string{string(cs.Phase), cs.Reason, cs.Message}
	if diff := cmp.Diff([]string{string(phase), reason, message}, got); diff != "" {
		t.Errorf("status of cluster %s (-want +got):\n%s", cs.ClusterName, diff)
	}
}

func TestDriverWaitsForAccessToTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.deny(m1)
		stop := w.drive()
		defer stop()
		w.apply(m2, m3)
		time.Sleep(time.Minute)

		w.wantPhase("Pending")
		status := w.migrate().Status
		denied := deniedMessage(m1)
		wantClusterStatus(t, status.SourceClusterStatus.ClusterStatus, "Pending", "ClusterNotAuthorized", denied)
		if got := meta.FindStatusCondition(status.Conditions, "Ready"); got.Reason != "ClusterNotAuthorized" || got.Message != "m1, since 2000-01-01T00:00:00Z: "+denied {
			t.Errorf("condition Ready is %s: %s", got.Reason, got.Message)
		}
		w.wantNoCalls(m1)
		w.wantCreates(m2)
		live, err := w.driver().LiveStatus(t.Context(), w.migrate())
		if err != nil {
			t.Fatal(err)
		}
		wantClusterStatus(t, live.SourceClusterStatus.ClusterStatus, "Pending", "ClusterNotAuthorized", denied)
		w.wantNoCalls(m1)

		w.deny()
		time.Sleep(deniedInterval + processingTime)
		w.wantPhase("Completed")
	})
}

func TestDeniedTargetDoesNotDelayOtherTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.deny(m2)
		stop := w.drive()
		defer stop()
		w.apply(m2, m3)
		time.Sleep(stepInterval + processingTime)

		w.wantPhase("RestoreInProgress")
		targets := w.migrate().Status.TargetClusterStatus
		wantClusterStatus(t, targets[0].ClusterStatus, "Pending", "ClusterNotAuthorized", deniedMessage(m2))
		if targets[1].Phase != v1alpha1.MigratePhaseCompleted {
			t.Errorf("m3 is %s, want Completed: only m2 is denied", targets[1].Phase)
		}
		w.wantNoCalls(m2)

		w.deny()
		time.Sleep(deniedInterval + processingTime)
		w.wantPhase("Completed")
		w.wantCreates(m2, "backups "+backupName, "restores "+restoreName)
	})
}

func TestDriverRetriesAFailedAccessReview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.setAnswers(errors.New("connection refused"))
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(processingTime)
		w.wantPhase("Pending")
		wantClusterStatus(t, w.migrate().Status.SourceClusterStatus.ClusterStatus, "Pending", "AccessReviewFailed",
			"Checking access to AttachedCluster m1 failed, trying again: checking on the host whether user \"jane\" may use AttachedCluster default/m1: connection refused ()")
		w.wantNoCalls(m1, m2)

		w.deny()
		time.Sleep(deniedInterval + processingTime)
		w.wantPhase("Completed")
	})
}

// TestDriverChecksAccessAgainBeforeAWrite revokes the permissions while the Backup is running: before
// its next write, the driver checks the access again.
func TestDriverChecksAccessAgainBeforeAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.members[m1].backupRunning = true
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(processingTime)
		w.wantPhase("BackupInProgress")

		time.Sleep(time.Minute)
		w.deny(m1, m2)
		w.members[m1].change(func() { w.members[m1].backupRunning = false })
		time.Sleep(processingTime)
		w.wantPhase("RestoreInProgress")
		wantClusterStatus(t, w.migrate().Status.TargetClusterStatus[0].ClusterStatus, "Pending", "ClusterNotAuthorized", deniedMessage(m2))
		w.wantCreates(m2)

		w.deny()
		time.Sleep(deniedInterval + processingTime)
		w.wantPhase("Completed")
	})
}

// TestRevokedAccessDoesNotStopAStartedMigration revokes the access to the source while the Backup is
// running: Velero's work can't be undone, so the driver observes it to its end.
func TestRevokedAccessDoesNotStopAStartedMigration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.members[m1].backupRunning = true
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(processingTime)
		w.deny(m1)
		time.Sleep(10 * time.Minute)
		w.wantPhase("BackupInProgress")
		w.members[m1].change(func() { w.members[m1].backupRunning = false })
		time.Sleep(processingTime)
		w.wantPhase("Completed")
	})
}

func TestDriverWaitsForAccessInTheMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.options.ReviewMembers = true
		w.members[m1].setReview(`user "jane" may not list secrets`)
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(time.Minute)

		const denied = `Access to AttachedCluster m1 is denied, waiting for permission: user "jane" may not list secrets.`
		w.wantPhase("Pending")
		wantClusterStatus(t, w.migrate().Status.SourceClusterStatus.ClusterStatus, "Pending", "ClusterNotAuthorized", denied)
		live, err := w.driver().LiveStatus(t.Context(), w.migrate())
		if err != nil {
			t.Fatal(err)
		}
		wantClusterStatus(t, live.SourceClusterStatus.ClusterStatus, "Pending", "ClusterNotAuthorized", denied)
		w.wantNoCalls(m1)

		w.members[m1].setReview("")
		time.Sleep(deniedInterval + processingTime)
		w.wantPhase("Completed")
	})
}

// TestLiveStatusCallsNoMemberBeforeItsReview reads the live status before the driver has checked the
// access.
func TestLiveStatusCallsNoMemberBeforeItsReview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.options.ReviewMembers = true
		w.apply(m2, m3)
		live, err := w.driver().LiveStatus(t.Context(), w.migrate())
		if err != nil {
			t.Fatal(err)
		}
		if got := live.SourceClusterStatus.Reason; got != "Connecting" {
			t.Errorf("the source has reason %s, want Connecting", got)
		}
		w.wantNoCalls(m1, m2, m3)
	})
}

// TestDriverReviewsReadsInTheSourceAndCreatesInTheTarget checks the verbs of the reviews, and that
// there are none while the flag is off.
func TestDriverReviewsReadsInTheSourceAndCreatesInTheTarget(t *testing.T) {
	for _, on := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.options.ReviewMembers = on
			stop := w.drive()
			w.apply(m2)
			time.Sleep(processingTime)
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
			// A check that finishes during a sync may be repeated once.
			got = slices.CompactFunc(got, slices.Equal[[]string])
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("reviewed verbs with the flag %v (-want +got):\n%s", on, diff)
			}
		})
	}
}

// TestDriverDoesNotReviewHostIdentitiesInMembers checks that a member does not review identities that
// only the host defines, unless the operator declares that both define them equally.
func TestDriverDoesNotReviewHostIdentitiesInMembers(t *testing.T) {
	const authenticated = "system:authenticated"
	for name, tt := range map[string]struct {
		requester v1alpha1.Requester
		same      bool
		denied    string
	}{
		"a user":                      {requester: v1alpha1.Requester{Username: "jane", Groups: []string{"shop", authenticated}}},
		"a ServiceAccount":            {requester: v1alpha1.Requester{Username: "system:serviceaccount:velero:velero"}, denied: "user system:serviceaccount:velero:velero of the host is another identity in m1"},
		"an administrator":            {requester: v1alpha1.Requester{Username: "root", Groups: []string{authenticated, "system:masters"}}, denied: "group system:masters of the host is another identity in m1"},
		"an equal ServiceAccount":     {requester: v1alpha1.Requester{Username: "system:serviceaccount:velero:velero"}, same: true},
		"a user with a similar name":  {requester: v1alpha1.Requester{Username: "systems"}},
		"a group with a similar name": {requester: v1alpha1.Requester{Username: "joe", Groups: []string{"not-system:masters"}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.options, w.requester = permission.Options{ReviewMembers: true, ReviewHostIdentities: tt.same}, tt.requester
				stop := w.drive()
				defer stop()
				w.apply(m2)
				time.Sleep(processingTime)
				if tt.denied == "" {
					w.wantPhase("Completed")
					return
				}
				w.wantPhase("Pending")
				source := w.migrate().Status.SourceClusterStatus
				if source.Reason != "ClusterNotAuthorized" || !strings.Contains(source.Message, tt.denied) {
					t.Errorf("the source has status %s: %s", source.Reason, source.Message)
				}
				if n := len(w.members[m1].reviews); n != 0 {
					t.Errorf("the member got %d reviews, want none", n)
				}
			})
		})
	}
}

// TestAccessStaysAllowedDuringARepeatedCheck checks that a repeated check closes no watch, and that
// the driver reports revoked access.
func TestAccessStaysAllowedDuringARepeatedCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.members[m1].createErr = errors.New("quota exceeded") // nothing starts
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(allowedInterval - time.Minute)
		before := w.members[m2].watchesOpened()
		reviews := w.accessReviewsOf(m2)
		time.Sleep(3 * allowedInterval)
		if now := w.accessReviewsOf(m2); now < reviews+2 {
			t.Errorf("%d access reviews, then %d: the check is not repeated", reviews, now)
		}
		if now := w.members[m2].watchesOpened(); now != before {
			t.Errorf("%d watches were opened, and %d more during the repeated checks", before, now-before)
		}
		w.deny(m2)
		time.Sleep(allowedInterval + allowedGrace)
		if target := w.migrate().Status.TargetClusterStatus[0]; target.Reason != "ClusterNotAuthorized" {
			t.Errorf("revoked access is reported as %s: %s", target.Reason, target.Message)
		}
	})
}

func (m *immediateMember) watchesOpened() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.watched
}

func (p *permissions) accessReviewsOf(c migration.Cluster) int {
	p.accessMutex.Lock()
	defer p.accessMutex.Unlock()
	return p.accessReviews[c.Name]
}
