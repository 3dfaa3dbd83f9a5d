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
	// Created is when the Migrate was created.
	Created time.Time
	// Patience is how long Backups of others that are created later go before its own.
	Patience time.Duration
	// Admitted is true once it was its turn.
	Admitted bool
}

// Running holds the Backups that a Velero runs.
type Running struct {
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
	// Created is when it was created, and Moved when it last changed, by the clock of the cluster.
	Created, Moved time.Time
}

// Turn is the turn of a Migrate in a Queue.
type Turn struct {
	// Place is the number of Backups that must end before its own is created; 0 if it is its turn.
	Place int
	// Ahead describes what is directly ahead of it in the queue, and Running the Backup that it waits
	// for. They are empty if it is its turn.
	Ahead, Running string
	// BlockedBy is a Backup that belongs to no Migrate of the queue and has not changed for a while,
	// if it waits for no other one; nil otherwise.
	BlockedBy *RunningBackup
}

// blockedDelay is how long a Backup of others may stay unchanged before it blocks the queue.
const blockedDelay = 30 * time.Second

// Join adds a Migrate to q, or updates its ticket, and returns its turn while its Velero, which runs at
// most limit Backups at the same time, runs the given ones. A Migrate that has had its turn keeps it.
func (q *Queue) Join(ticket Ticket, running []RunningBackup, limit int, now time.Time) Turn {
	if q.tickets == nil {
		q.tickets, q.served = map[types.UID]Ticket{}, map[string]int{}
	}
	before := q.tickets[ticket.UID].Admitted
	ticket.Admitted = ticket.Admitted || before
	q.tickets[ticket.UID] = ticket
	turn := q.turn(ticket, running, limit, now)
	if turn.Place == 0 && !before {
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
	var ahead []string
	var blocker *RunningBackup
	running = slices.SortedFunc(slices.Values(running), compareRunning)
	for i := range running {
		b := &running[i]
		if _, queued := q.tickets[b.MigrateUID]; queued || b.Created.After(ticket.Created.Add(ticket.Patience)) {
			continue
		}
		ahead = append(ahead, "Backup "+Shorten(b.Name, maxTokenLength))
		if blocker == nil {
			blocker = b
		}
	}
	for _, t := range q.inOrder() {
		if t.UID == ticket.UID {
			break
		}
		if t.Admitted {
			blocker = nil // its own status reports what it waits for
		}
		ahead = append(ahead, fmt.Sprintf("Migrate %s/%s", t.Namespace, t.Name))
	}
	if len(ahead) < limit {
		return Turn{}
	}
	turn := Turn{Place: len(ahead) - limit + 1, Ahead: ahead[len(ahead)-1], Running: ahead[0]}
	if blocker != nil && now.Sub(blocker.Moved) >= blockedDelay {
		turn.BlockedBy = blocker
	}
	return turn
}

// compareRunning orders Backups that Velero processes before those that wait, then by age.
func compareRunning(a, b RunningBackup) int {
	waits := func(b RunningBackup) int {
		return boolToInt(slices.Contains([]velerov1.BackupPhase{"", velerov1.BackupPhaseNew, velerov1.BackupPhaseQueued}, b.Phase))
	}
	return cmp.Or(waits(a)-waits(b), a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name))
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
// false if m is not in the queue: it can't have its Backup created now, or Velero is done with it. A Migrate
// whose source can't be read, or refuses the Backup, must not hold up others.
func TicketOf(m *v1alpha1.Migrate, seen Observation) (source Cluster, ticket Ticket, inQueue bool) {
	status := m.Status // apply does not modify what the two share
	seen.Plan.apply(&status)
	if IsTerminal(status.Phase) || status.SourceClusterStatus == nil || IsTerminal(status.SourceClusterStatus.Phase) {
		return Cluster{}, Ticket{}, false
	}
	cs := status.SourceClusterStatus
	source = ClusterOf(cs.ClusterStatus)
	ticket = Ticket{
		UID: m.UID, Namespace: m.Namespace, Name: m.Name, Created: m.CreationTimestamp.Time,
		Patience: ProgressDeadline(m), Admitted: IsPinned(&status),
	}
	member := seen.Members[source]
	if b := member.Backup; b != nil {
		return source, ticket, member.Err == nil && velero.IsRunning(b.Status.Phase)
	}
	_, ready := canBackUp(m, cs, status.TargetClusterStatus, seen)
	return source, ticket, ready && member.WriteErr == nil && cs.BackupStatusInCluster == nil
}

// hasTurn reports whether it is the turn of a Migrate that is not pinned; if not, the state says what it
// waits for.
func hasTurn(source string, turn *Turn) (state, bool) {
	if turn == nil {
		return state{v1alpha1.ReasonConnecting, fmt.Sprintf("Checking which Backups Velero in %s runs.", source)}, false
	}
	if turn.Place == 0 {
		return state{}, true
	}
	place := fmt.Sprintf("Place %d in the queue for Backups in %s", turn.Place, source)
	if turn.Ahead != turn.Running {
		place += ", behind " + turn.Ahead
	}
	if b := turn.BlockedBy; b != nil {
		return state{v1alpha1.ReasonQueueBlocked, fmt.Sprintf(
			"%s. Backup %s there is %s and has not changed since %s; if it hangs, delete it.",
			place, Shorten(b.Name, maxTokenLength), cmp.Or(Shorten(string(b.Phase), maxTokenLength), "new"), clockTime(b.Moved))}, false
	}
	return state{v1alpha1.ReasonWaitingInQueue, fmt.Sprintf("%s. %s comes first.", place, turn.Running)}, false
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
