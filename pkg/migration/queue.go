// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/types"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// Queue is the queue before one Velero: the Migrates that wait for their turn to have their Backup
// created, or have it. Velero has a queue of its own, which it serves once a minute only; a Backup
// that is created while Velero runs no other one starts at once. The namespaces of the Migrates take
// turns, and the Migrates of each namespace by age. The zero value is empty.
type Queue struct {
	tickets map[types.UID]Ticket
	// served has the number of the last turn of each namespace, and turns the number of all turns.
	served map[string]int
	turns  int
}

// Ticket is a Migrate in a Queue.
type Ticket struct {
	UID             types.UID
	Namespace, Name string
	// Created is when the attempt of the Migrate was requested, and Joined when it joined the queue, which Join sets.
	Created, Joined time.Time
	// Patience is its progress deadline. Backups of others that are created so long after the Migrate
	// do not go first.
	Patience time.Duration
	// Admitted is true once it was its turn.
	Admitted bool
	// Moved is when its Backup last made progress; zero if that is not known.
	Moved time.Time
}

// Running holds the Backups that a Velero runs.
type Running struct {
	// Err is why they can't be read; the other fields are undefined then.
	Err error
	// Server identifies the API server of its cluster: a cluster can't claim that of another one, so
	// Migrates of several namespaces can share a queue.
	Server  string
	Backups []RunningBackup
}

// RunningBackup is a Backup that takes, or waits for, one of the places among those that a Velero runs
// at the same time; see velero.IsRunning.
type RunningBackup struct {
	Name string
	// MigrateUID is the UID of its Migrate; empty if it has none.
	MigrateUID types.UID
	Phase      velerov1.BackupPhase
	// Created is when it was created, by the clock of the cluster, and Moved when it was last seen to
	// change.
	Created, Moved time.Time
}

// Turn is the turn of a Migrate in a Queue.
type Turn struct {
	// Err is why it is not known; the other fields are undefined then.
	Err error
	// Place is the number of Backups that must end before its own is created; 0 if it is its turn.
	Place int
	// Ahead describes what is directly ahead of it in the queue, and First what comes first. They are
	// empty if it is its turn.
	Ahead, First string
	// Blocked is set if nothing that Velero runs has moved for as long as the Migrate's progress
	// deadline, which is since Since.
	Blocked bool
	Since   time.Time
	// Remedy is what to do then.
	Remedy string
}

// Join adds a Migrate to q, or updates its ticket, and returns its turn while its Velero, which runs at
// most limit Backups at the same time, runs the given ones. A Migrate that has had its turn keeps it.
func (q *Queue) Join(ticket Ticket, running []RunningBackup, limit int, now time.Time) Turn {
	if q.tickets == nil {
		q.tickets, q.served = map[types.UID]Ticket{}, map[string]int{}
	}
	before, joined := q.tickets[ticket.UID]
	if ticket.Joined = now; joined {
		ticket.Joined = before.Joined
	}
	ticket.Admitted = ticket.Admitted || before.Admitted
	q.tickets[ticket.UID] = ticket
	turn := q.turn(ticket, running, limit, now)
	if turn.Place == 0 && !before.Admitted {
		ticket.Admitted = true
		q.tickets[ticket.UID] = ticket
		q.turns++
		q.served[ticket.Namespace] = q.turns
	}
	return turn
}

// Leave removes a Migrate from q, and returns whether it was in it.
func (q *Queue) Leave(uid types.UID) bool {
	_, is := q.tickets[uid]
	delete(q.tickets, uid)
	return is
}

// IsEmpty reports whether no Migrate is in q.
func (q *Queue) IsEmpty() bool { return len(q.tickets) == 0 }

// Waiting returns the Migrates that wait for their turn, in its order.
func (q *Queue) Waiting() []Ticket {
	return slices.DeleteFunc(q.inOrder(), func(t Ticket) bool { return t.Admitted })
}

// turn returns the turn of a Migrate in q.
func (q *Queue) turn(ticket Ticket, running []RunningBackup, limit int, now time.Time) Turn {
	if ticket.Admitted {
		return Turn{}
	}
	var turn Turn
	ahead := 0
	add := func(what, remedy string) {
		if turn.Ahead = what; ahead == 0 {
			turn.First, turn.Remedy = what, remedy
		}
		ahead++
	}
	moved := func(at time.Time) {
		if at.After(turn.Since) {
			turn.Since = at
		}
	}
	moved(ticket.Joined)
	for _, b := range slices.SortedFunc(slices.Values(running), compareRunning) {
		isLater := b.MigrateUID == "" && b.Created.After(ticket.Created.Add(ticket.Patience))
		if _, queued := q.tickets[b.MigrateUID]; !queued && !isLater {
			add("Backup "+Shorten(b.Name, maxTokenLength), b.remedy())
			moved(b.Moved)
		}
	}
	for _, t := range q.inOrder() {
		if t.UID == ticket.UID {
			break
		}
		add(fmt.Sprintf("Migrate %s/%s", t.Namespace, t.Name), "See its status.")
		if t.Admitted {
			moved(t.Moved)
		}
	}
	if ahead < limit {
		return Turn{}
	}
	turn.Place = ahead - limit + 1
	turn.Blocked = now.Sub(turn.Since) >= ticket.Patience
	return turn
}

// remedy returns what to do about b if it hangs.
func (b RunningBackup) remedy() string {
	if b.waits() {
		return "If it is not needed, delete it."
	}
	// Velero goes on to count a Backup that is deleted, and ends those that it finds at its start.
	return "If it hangs, restart Velero's server there."
}

// waits reports whether Velero has not begun with b.
func (b RunningBackup) waits() bool {
	return slices.Contains([]velerov1.BackupPhase{"", velerov1.BackupPhaseNew, velerov1.BackupPhaseQueued}, b.Phase)
}

// compareRunning orders Backups that Velero processes before those that wait, then by age.
func compareRunning(a, b RunningBackup) int {
	return cmp.Or(boolToInt(a.waits())-boolToInt(b.waits()), a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name))
}

// inOrder returns the tickets in the order of their turns: those that have it, and then one of each
// namespace after the other, the namespace that has not had a turn for the longest time first.
func (q *Queue) inOrder() []Ticket {
	tickets := slices.SortedFunc(maps.Values(q.tickets), func(a, b Ticket) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	round, rounds := map[types.UID]int{}, map[string]int{}
	for _, t := range tickets {
		if !t.Admitted {
			rounds[t.Namespace]++
			round[t.UID] = rounds[t.Namespace]
		}
	}
	slices.SortStableFunc(tickets, func(a, b Ticket) int {
		return cmp.Or(round[a.UID]-round[b.UID], q.served[a.Namespace]-q.served[b.Namespace])
	})
	return tickets
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TicketOf returns the ticket of m in the queue of its source, whose cluster it also returns. It returns
// false if m is not in the queue: its Backup can't be created now, or Velero is done with it. A Migrate
// whose source can't be read must not hold up others.
func TicketOf(m *v1alpha1.Migrate, seen Observation) (source Cluster, ticket Ticket, inQueue bool) {
	status := m.Status // apply does not modify what the two share
	seen.Plan.apply(&status)
	if IsTerminal(status.Phase) || status.SourceClusterStatus == nil || IsTerminal(status.SourceClusterStatus.Phase) {
		return Cluster{}, Ticket{}, false
	}
	cs := status.SourceClusterStatus
	source = ClusterOf(cs.ClusterStatus)
	member := seen.Members[source]
	ticket = Ticket{
		UID: m.UID, Namespace: m.Namespace, Name: m.Name, Created: StartTime(m),
		Patience: ProgressDeadline(m), Admitted: member.Backup != nil,
	}
	if ticket.Admitted {
		if cs.LastProgressTime != nil {
			ticket.Moved = cs.LastProgressTime.Time
		}
		return source, ticket, member.Err == nil && velero.IsRunning(member.Backup.Status.Phase)
	}
	_, ready := canBackUp(m, cs, status.TargetClusterStatus, seen)
	return source, ticket, ready && cs.BackupStatusInCluster == nil
}

// hasTurn reports whether it is the turn of a Migrate; if not, the state says what it waits for. While that
// is not known, as in a live read, a recorded state of that kind stays.
func hasTurn(source v1alpha1.ClusterStatus, member Member) (state, bool) {
	name, turn := source.ClusterName, member.Turn
	switch {
	case turn == nil && member.WriteErr != nil:
		return backupCreateFailed(name, member.WriteErr), false
	case turn == nil && slices.Contains(turnReasons, source.Reason):
		return state{v1alpha1.ReasonConnecting, "Checking which Backups Velero in " + name + " runs."}, false
	case turn == nil:
		return state{v1alpha1.ReasonWaitingInQueue, "Checking which Backups Velero in " + name + " runs."}, false
	case turn.Err != nil:
		return unreachable(name, Member{Err: turn.Err}), false
	case turn.Place == 0:
		return state{}, true
	}
	message := fmt.Sprintf("Place %d in the queue for Backups in %s", turn.Place, name)
	if turn.Ahead != turn.First {
		message += ", behind " + turn.Ahead
	}
	message += ". " + turn.First + " comes first"
	if turn.Blocked {
		return state{v1alpha1.ReasonQueueBlocked, fmt.Sprintf("%s, and has not changed since %s. %s", message, clockTime(turn.Since), turn.Remedy)}, false
	}
	return state{v1alpha1.ReasonWaitingInQueue, message + "."}, false
}

// turnReasons are the reasons of a source that stay while its turn is not known: all others are about what
// is known to be over.
var turnReasons = []string{
	"", v1alpha1.ReasonConnecting,
	v1alpha1.ReasonWaitingInQueue, v1alpha1.ReasonQueueBlocked, v1alpha1.ReasonBackupStarting, v1alpha1.ReasonBackupCreateFailed,
}

func backupCreateFailed(source string, err error) state {
	return state{v1alpha1.ReasonBackupCreateFailed, fmt.Sprintf("Creating the Backup in %s failed, trying again: %v", source, err)}
}

// concurrentBackups returns the number of Backups that Velero in a cluster runs at the same time, by the
// value of its annotation, or the state of the cluster if that is not valid.
func concurrentBackups(c Cluster, annotation string) (int, state, bool) {
	const most = 100
	if annotation == "" {
		return 1, state{}, true
	}
	number, err := strconv.Atoi(annotation)
	if err != nil || number < 1 || number > most {
		return 1, state{v1alpha1.ReasonInvalidAnnotation, fmt.Sprintf(
			"The annotation %s of %s %s is %q. Set it to a number from 1 to %d, or remove it.",
			v1alpha1.ConcurrentBackupsAnnotation, c.Kind, c.Name, Shorten(annotation, maxTokenLength), most)}, false
	}
	return number, state{}, true
}
