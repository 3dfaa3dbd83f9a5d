// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// queueOf returns a queue of Migrates, each "namespace/name", created one second after the other. Those
// that end with a * have their turn.
func queueOf(names ...string) *Queue {
	q := &Queue{tickets: map[types.UID]Ticket{}, served: map[string]int{}}
	for i, name := range names {
		name, admitted := strings.CutSuffix(name, "*")
		namespace, of, _ := strings.Cut(name, "/")
		uid := types.UID(name)
		q.tickets[uid] = Ticket{
			UID: uid, Namespace: namespace, Name: of, Created: start.Add(time.Duration(i) * time.Second), Joined: start,
			Patience: time.Minute, Admitted: admitted,
		}
		if admitted {
			q.served[namespace]++
		}
	}
	return q
}

func TestOrderOfTheQueue(t *testing.T) {
	for name, test := range map[string]struct{ queue, want string }{
		"by age":                            {"a/1 a/2 a/3", "a/1 a/2 a/3"},
		"one of each namespace":             {"a/1 a/2 a/3 b/1 b/2 c/1", "a/1 b/1 c/1 a/2 b/2 a/3"},
		"the ones with a turn come first":   {"a/1 a/2* b/1*", "a/2* b/1* a/1"},
		"a namespace that was served waits": {"a/1* a/2 a/3 b/1 b/2", "a/1* b/1 a/2 b/2 a/3"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, ticket := range queueOf(strings.Fields(test.queue)...).inOrder() {
				name := ticket.Namespace + "/" + ticket.Name
				if ticket.Admitted {
					name += "*"
				}
				got = append(got, name)
			}
			if d := cmp.Diff(strings.Fields(test.want), got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestTurn(t *testing.T) {
	running := func(phase velerov1.BackupPhase, name, uid string, age time.Duration) RunningBackup {
		return RunningBackup{Name: name, MigrateUID: types.UID(uid), Phase: phase, Created: start.Add(-age), Moved: start.Add(-age)}
	}
	queued, inProgress := velerov1.BackupPhaseQueued, velerov1.BackupPhaseInProgress
	const place1 = "Place 1 in the queue for Backups in m1"
	for _, test := range []struct {
		name    string
		queue   string
		running []RunningBackup
		limit   int
		after   time.Duration
		want    string
	}{
		{name: "nothing runs", queue: "x/me"},
		{name: "a Migrate is before it", queue: "x/1 x/me", want: place1 + ". Migrate x/1 comes first."},
		{name: "a Migrate has its turn", queue: "x/1* x/2 x/me", want: "Place 2 in the queue for Backups in m1, behind Migrate x/2. Migrate x/1 comes first."},
		{
			name: "the Backup of a Migrate counts once", queue: "x/1* x/me",
			running: []RunningBackup{running(inProgress, "one", "x/1", 0)}, want: place1 + ". Migrate x/1 comes first.",
		},
		{
			name: "a Backup of others", queue: "x/me",
			running: []RunningBackup{running(inProgress, "nightly", "", time.Second)}, want: place1 + ". Backup nightly comes first.",
		},
		{
			name: "Backups of others, and a Migrate", queue: "x/1 x/me",
			running: []RunningBackup{running(queued, "next", "", time.Hour), running(inProgress, "nightly", "", time.Second)},
			want:    "Place 3 in the queue for Backups in m1, behind Migrate x/1. Backup nightly comes first.",
		},
		{
			name: "the Backup of a Migrate that is gone", queue: "x/me",
			running: []RunningBackup{running("", "gone", "gone", 0)}, want: place1 + ". Backup gone comes first.",
		},
		{
			name: "the Backup of a Migrate that has not joined yet", queue: "x/me",
			running: []RunningBackup{running(inProgress, "later", "later", -time.Hour)}, want: place1 + ". Backup later comes first.",
		},
		{name: "there is a free place", queue: "x/1* x/me", limit: 2},
		{name: "one more than there are places", queue: "x/1* x/2 x/me", limit: 2, want: place1 + ", behind Migrate x/2. Migrate x/1 comes first."},
		{name: "it has had its turn", queue: "x/1 x/me*", running: []RunningBackup{running(inProgress, "nightly", "", 0)}},
		{name: "a Backup that is created much later does not go first", queue: "x/me", running: []RunningBackup{running(inProgress, "late", "", -2*time.Minute)}},
		{
			name: "a Backup of others that has not moved since before the Migrate", queue: "x/me", after: 59 * time.Second,
			running: []RunningBackup{running(inProgress, "stuck", "", time.Hour)}, want: place1 + ". Backup stuck comes first.",
		},
		{
			name: "a Backup of others does not move", queue: "x/1 x/me", after: time.Minute,
			running: []RunningBackup{running(inProgress, "stuck", "", time.Hour)},
			want: "QueueBlocked: Place 2 in the queue for Backups in m1, behind Migrate x/1. Backup stuck comes first, and has not changed since 2023-10-28T15:55:13Z. " +
				"If it hangs, restart Velero's server there.",
		},
		{
			name: "a Backup of others waits", queue: "x/me", after: time.Minute,
			running: []RunningBackup{running(queued, "stuck", "", time.Hour)},
			want:    "QueueBlocked: " + place1 + ". Backup stuck comes first, and has not changed since 2023-10-28T15:55:13Z. If it is not needed, delete it.",
		},
		{
			name: "one of two Backups moves", queue: "x/me", limit: 2, after: time.Minute,
			running: []RunningBackup{running(inProgress, "stuck", "", time.Hour), running(inProgress, "moves", "", -50*time.Second)},
			want:    place1 + ", behind Backup moves. Backup stuck comes first.",
		},
		{
			name: "the Backup of a Migrate does not move", queue: "x/1* x/me", after: time.Minute,
			running: []RunningBackup{running(inProgress, "one", "x/1", -50*time.Second)},
			want:    "QueueBlocked: " + place1 + ". Migrate x/1 comes first, and has not changed since 2023-10-28T15:55:13Z. See its status.",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := queueOf(strings.Fields(test.queue)...)
			turn := q.Join(q.tickets["x/me"], test.running, max(test.limit, 1), start.Add(test.after))
			s, ok := hasTurn(v1alpha1.ClusterStatus{ClusterName: "m1"}, Member{Turn: &turn})
			got := strings.TrimPrefix(fmt.Sprintf("%s: %s", s.reason, s.message), "WaitingInQueue: ")
			if ok {
				got = strings.TrimPrefix(got, ": ")
			}
			if d := cmp.Diff(test.want, got); d != "" || ok != (test.want == "") {
				t.Errorf("its turn: %v\n%s", ok, d)
			}
		})
	}
}

// TestQueueServesAll serves random queues, in which Migrates arrive, leave and end, and checks that there
// are never more turns than places, that nobody waits while there is one, and that while Migrates of two
// namespaces wait, none of them has two turns in a row.
func TestQueueServesAll(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		limit, q, arrived, last := 1+random.IntN(3), &Queue{}, 0, ""
		for arrived < 40 || !q.IsEmpty() {
			if arrived < 40 && random.IntN(2) == 0 {
				arrived++
				uid := types.UID(fmt.Sprint(arrived))
				q.Join(Ticket{UID: uid, Namespace: fmt.Sprint(random.IntN(3)), Name: string(uid), Created: start.Add(time.Duration(arrived) * time.Second)}, backupsOfOthers(limit), limit, start)
			}
			waiting := q.Waiting()
			for _, ticket := range waiting {
				if q.Join(ticket, nil, limit, start).Place == 0 {
					if slices.ContainsFunc(waiting, func(other Ticket) bool { return other.Namespace != last }) && ticket.Namespace == last {
						t.Fatalf("seed %d: namespace %s has two turns in a row", seed, last)
					}
					last = ticket.Namespace
					break
				}
			}
			admitted := len(q.tickets) - len(q.Waiting())
			if admitted > limit || admitted == 0 && len(waiting) > 0 {
				t.Fatalf("seed %d: %d of %d have a turn, of at most %d", seed, admitted, len(q.tickets), limit)
			}
			for _, ticket := range q.inOrder() {
				if random.IntN(20) == 0 || ticket.Admitted && random.IntN(2) == 0 {
					q.Leave(ticket.UID)
				}
			}
		}
	}
}

// backupsOfOthers returns as many Backups of others as may run.
func backupsOfOthers(limit int) (running []RunningBackup) {
	for i := range limit {
		running = append(running, RunningBackup{Name: fmt.Sprint(i), Phase: velerov1.BackupPhaseInProgress, Created: start, Moved: start})
	}
	return running
}

func TestNothingStartsWithoutATurn(t *testing.T) {
	s := newFixture(t, m2)
	source := func() v1alpha1.BackupDetails { return *s.m.Status.SourceClusterStatus }
	for name, turn := range map[string]*Turn{"unknown": nil, "not yet": {Place: 2, Ahead: "Migrate a/b", First: "Backup c"}, "unreadable": {Err: errDown}} {
		s.with(m1, func(m *Member) { m.Turn = turn })
		s.record()
		s.wantNoActions()
		if source().BackupNameInCluster != "" || source().Phase != v1alpha1.MigratePhasePending {
			t.Errorf("%s: the source is %s with Backup %q", name, source().Phase, source().BackupNameInCluster)
		}
	}
	s.with(m1, func(m *Member) { m.Turn = &Turn{Place: 2, Ahead: "Migrate a/b", First: "Backup c"} })
	s.record()
	s.wantState(source().ClusterStatus, "WaitingInQueue", "Place 2 in the queue for Backups in m1, behind Migrate a/b. Backup c comes first.")
	s.wantCondition("Ready", metav1.ConditionFalse, "WaitingInQueue")

	s.now = s.now.Add(time.Hour)
	s.record()
	s.wantCondition("Stalled", metav1.ConditionFalse, "Progressing")

	s.with(m1, func(m *Member) {
		m.Turn = &Turn{Place: 1, Ahead: "Backup c", First: "Backup c", Blocked: true, Since: s.now.Add(-DefaultProgressDeadline), Remedy: "Restart it."}
	})
	s.record()
	s.wantCondition("Ready", metav1.ConditionFalse, "QueueBlocked")
	s.wantCondition("Stalled", metav1.ConditionTrue, "ProgressDeadlineExceeded")
	if message := s.condition("Stalled").Message; !strings.Contains(message, "Backup c comes first, and has not changed since") {
		t.Errorf("the message does not name the Backup: %s", message)
	}

	s.with(m1, func(m *Member) { m.Turn = &Turn{} })
	s.record()
	s.wantCondition("Stalled", metav1.ConditionFalse, "Progressing")
	if actions := s.next(); len(actions) != 1 {
		t.Errorf("actions %v", actions)
	}
}

// TestUnknownTurn computes the status while the turn is not known, as in a live read: only a state that may
// still be so stays.
func TestUnknownTurn(t *testing.T) {
	for reason, change := range map[string]func(*Member){
		"WaitingInQueue": func(m *Member) { m.Turn = &Turn{Place: 1, Ahead: "Backup c", First: "Backup c"} },
		"QueueBlocked": func(m *Member) {
			m.Turn = &Turn{Place: 1, Ahead: "Backup c", First: "Backup c", Blocked: true, Since: start}
		},
		"BackupStarting":     func(m *Member) { m.Turn = &Turn{} },
		"BackupCreateFailed": func(m *Member) { m.Turn, m.WriteErr = nil, errDown },
	} {
		s := newFixture(t, m2)
		s.with(m1, change)
		before := s.record()
		s.with(m1, func(m *Member) { m.Turn, m.WriteErr = nil, nil })
		after := s.record()
		if source := after.SourceClusterStatus; source.Reason != reason || source.Message != before.SourceClusterStatus.Message {
			t.Errorf("%s became %s: %s", reason, source.Reason, source.Message)
		}
		s.wantNoActions()
	}
	s := newFixture(t, m2)
	s.with(m1, func(m *Member) { m.Err = errDown })
	s.record()
	s.with(m1, func(m *Member) { m.Err, m.Turn = nil, nil })
	s.record()
	s.wantState(s.m.Status.SourceClusterStatus.ClusterStatus, "WaitingInQueue", "Checking which Backups Velero in m1 runs.")
}

// TestTickets checks when a Migrate is in the queue.
func TestTickets(t *testing.T) {
	s := newFixture(t, m2)
	s.with(m1, func(m *Member) { m.Turn = nil })
	want := func(when string, inQueue, admitted bool) {
		t.Helper()
		source, ticket, in := TicketOf(s.m, s.observed())
		if in != inQueue || in && (source != m1 || ticket.UID != s.m.UID || ticket.Admitted != admitted) {
			t.Errorf("%s: in the queue of %v: %v, with %+v", when, source, in, ticket)
		}
	}
	s.with(m2, func(m *Member) { m.Err = errDown })
	want("while no target is ready", false, false)
	s.with(m2, func(m *Member) { m.Err = nil })
	want("before its turn", true, false)
	s.record()
	want("while it waits", true, false)
	s.with(m1, func(m *Member) { m.Turn = &Turn{} })
	s.record()
	want("before its Backup is created", true, false)
	s.next()
	s.record()
	want("while the Backup is new", true, true)
	s.backup(velerov1.BackupPhaseInProgress, 5)
	want("while the Backup runs", true, true)
	s.with(m1, func(m *Member) { m.Err = errDown })
	want("while the source can't be read", false, false)
	s.with(m1, func(m *Member) { m.Err = nil })
	s.backup(velerov1.BackupPhaseWaitingForPluginOperations, 5)
	want("while data is moved", false, false)
	s.backup(velerov1.BackupPhaseCompleted, 5)
	want("after the Backup", false, false)
}

func TestConcurrentBackups(t *testing.T) {
	for annotation, want := range map[string]int{"": 1, "1": 1, "100": 100, "0": 0, "101": 0, "-1": 0, "two": 0, "1.5": 0} {
		s := newFixture(t, m2)
		state := usableState
		state.ConcurrentBackups = annotation
		s.host.Clusters[m1] = state
		s.record()
		if want > 0 {
			if got := s.plan().Of(m1).ConcurrentBackups; got != want {
				t.Errorf("annotation %q is %d", annotation, got)
			}
			continue
		}
		s.wantNoActions()
		s.wantState(s.m.Status.SourceClusterStatus.ClusterStatus, "InvalidAnnotation", fmt.Sprintf(
			"The annotation backup.kurator.dev/concurrent-backups of AttachedCluster m1 is %q. Set it to a number from 1 to 100, or remove it.", annotation))
	}
}
