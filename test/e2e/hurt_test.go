// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

// hurt is one way to hurt a migration, and what becomes of it. The Migrate and
// the namespace that it moves have the name of the case; the source is
// kurator-member1.
type hurt struct {
	name string
	// targets is kurator-member2 alone where it says nothing.
	targets []int
	// steps are taken one after the other; one of them applies the Migrate.
	steps []step
	// end is the phase that the Migrate ends in: Completed where it says nothing.
	end v1alpha1.MigratePhase
	// ended is what the status tells at the end.
	ended says
	// arrived are the members to which what is moved has come: all targets where
	// it says nothing and the end is Completed.
	arrived []int
	// restored are the members that have a Restore at the end, all targets where
	// it says nothing; backups is how many Backups the source has, 1 likewise.
	restored []int
	backups  int
}

// step is one thing that is done to the fleet, and what the status tells some
// time after it.
type step struct {
	do   action
	told says
}

// action does something to the fleet.
type action func(t *testing.T, r *run)

// says is what a status tells, by member: the reason of its part, and words that
// are in the message. Member 0 is the whole, as its condition Ready tells.
type says map[int]state

// state has one reason, or several with "|" between them where it depends on the
// time which of them it is.
type state struct {
	reason string
	words  []string
}

// Reasons of a part that is held in some moment. What it is held by is told when it
// has lasted for some seconds.
const (
	backupNew   = "BackupNew|VeleroNotAnswering"
	restoreNew  = "RestoreNew|VeleroNotAnswering"
	restoreHeld = "RestoreInProgress|NamespaceTerminating"
)

// tells is a state with a reason and words of its message.
func tells(reason string, words ...string) state { return state{reason, words} }

// none stands for no member and for no Backup, where that has to be said.
var none = []int{0}

const noBackup = -1

// run is one case as it runs.
type run struct {
	migration

	hurt hurt
	// uid is the Migrate's.
	uid     types.UID
	network *network
	// release lets what a step holds go, by its name.
	release map[string]func()
	// tokens are the credentials of a member that there have been, by
	// ServiceAccount.
	tokens map[string]string
	// undone is what puts the fleet right again, in reverse order.
	undone []func()
}

// later has something done when the case is over, however it ends.
func (r *run) later(undo func()) { r.undone = append(r.undone, undo) }

func (r *run) undo() {
	for _, undo := range slices.Backward(r.undone) {
		undo()
	}
}

func newRun(h hurt, network *network) *run {
	return &run{
		migration: migration{hurtNamespace, h.name},
		hurt:      h.withDefaults(),
		network:   network,
		release:   map[string]func(){},
		tokens:    map[string]string{},
	}
}

func (h hurt) withDefaults() hurt {
	if h.targets == nil {
		h.targets = []int{2}
	}
	if h.end == "" {
		h.end = v1alpha1.MigratePhaseCompleted
	}
	if h.restored == nil {
		h.restored = h.targets
	}
	if h.arrived == nil && h.end == v1alpha1.MigratePhaseCompleted {
		h.arrived = h.targets
	}
	switch h.backups {
	case 0:
		h.backups = 1
	case noBackup:
		h.backups = 0
	}
	return h
}

// TestHurt is the table of what may go wrong around a migration. The files
// hurt_*_test.go have its rows, by what is hurt. When all of them have run, each
// finished Migrate and its Velero objects are still what they were at its end.
func TestHurt(t *testing.T) {
	needsFleet(t)
	network := hurtFleet(t)
	var ends []end
	for _, h := range slices.Concat(hurtServers(), hurtMembers(), hurtVeleros(), hurtStorage(), hurtObjects(), hurtAccess()) {
		t.Run(h.name, func(t *testing.T) {
			ends = append(ends, newRun(h, network).toEnd(t))
		})
	}
	t.Run("nothing is written after the end", func(t *testing.T) {
		for _, e := range ends {
			e.check(t)
		}
	})
}

// toEnd takes all steps of a case, waits for the end and checks it.
func (r *run) toEnd(t *testing.T) end {
	defer r.undo()
	absent(t, r.name)
	members[source].apply(t, settings(r.name))
	for i, s := range r.hurt.steps {
		s.do(t, r)
		r.awaitTold(t, fmt.Sprintf("after step %d", i+1), s.told)
	}
	m := r.ended(t, r.hurt.end)
	r.checkTold(t, m)
	r.checkArrived(t)
	r.checkObjects(t, m)
	return endOf(t, m)
}

// awaitTold waits until the record tells all of it at once.
func (r *run) awaitTold(t *testing.T, when string, want says) {
	t.Helper()
	if len(want) == 0 {
		return
	}
	last := ""
	defer func() {
		if t.Failed() {
			t.Logf("%s it told instead: %s", when, last)
		}
	}()
	r.await(t, when+" what is wanted", func(m *v1alpha1.Migrate) bool {
		differences := want.differences(m)
		last = strings.Join(differences, "; ")
		return len(differences) == 0
	})
}

func (r *run) checkTold(t *testing.T, m *v1alpha1.Migrate) {
	t.Helper()
	want := says{}
	if r.hurt.end == v1alpha1.MigratePhaseCompleted {
		want[0], want[source] = tells("Completed"), tells("BackupCompleted")
		for _, n := range r.hurt.targets {
			want[n] = tells("RestoreCompleted")
		}
	}
	for n, s := range r.hurt.ended {
		want[n] = s
	}
	for _, difference := range want.differences(m) {
		t.Errorf("at the end %s", difference)
	}
}

func (r *run) checkArrived(t *testing.T) {
	t.Helper()
	for _, n := range r.hurt.targets {
		want := ""
		if slices.Contains(r.hurt.arrived, n) {
			want = "hello"
		}
		if got := members[n].configMap(t, r.name, "settings")["greeting"]; got != want {
			t.Errorf("%s has the ConfigMap with %q, want %q", members[n].name, got, want)
		}
	}
}

// checkObjects checks invariant 2, as checkOnce does.
func (r *run) checkObjects(t *testing.T, m *v1alpha1.Migrate) {
	t.Helper()
	if r.hurt.backups == 1 {
		var restored []int
		for _, n := range r.hurt.restored {
			if n > 0 {
				restored = append(restored, n)
			}
		}
		checkOnce(t, m, restored...)
		return
	}
	for _, c := range members[1:] {
		if found := c.objectsOf(t, m.UID); len(found) != 0 {
			t.Errorf("%s has %q of Migrate %s", c.name, found, m.Name)
		}
	}
}

// differences are what a status does not tell as it should.
func (want says) differences(m *v1alpha1.Migrate) []string {
	found := map[int]state{0: {condition(m, v1alpha1.ConditionReady).Reason, []string{condition(m, v1alpha1.ConditionReady).Message}}}
	add := func(part v1alpha1.ClusterStatus) {
		for n := 1; n < len(members); n++ {
			if part.ClusterName == localfleet.MemberName(n) {
				found[n] = state{part.Reason, []string{part.Message}}
			}
		}
	}
	if m.Status.SourceClusterStatus != nil {
		add(m.Status.SourceClusterStatus.ClusterStatus)
	}
	for _, target := range m.Status.TargetClusterStatus {
		add(target.ClusterStatus)
	}
	var differences []string
	for n, s := range want {
		if got, ok := found[n]; !ok || !s.matches(got) {
			differences = append(differences, fmt.Sprintf("member %d is told as %q, want %q", n, got, s))
		}
	}
	slices.Sort(differences)
	return differences
}

func (s state) matches(got state) bool {
	return slices.Contains(strings.Split(s.reason, "|"), got.reason) && !slices.ContainsFunc(s.words, func(words string) bool { return !strings.Contains(got.words[0], words) })
}

// end is a Migrate and its Velero objects as they were at its end.
type end struct {
	migrate *v1alpha1.Migrate
	objects []string
}

func endOf(t *testing.T, m *v1alpha1.Migrate) end {
	t.Helper()
	e := end{migrate: m}
	for _, c := range members[1:] {
		e.objects = append(e.objects, c.objectsOf(t, m.UID)...)
	}
	return e
}

// check checks invariant 3.
func (e end) check(t *testing.T) {
	t.Helper()
	name := e.migrate.Name
	m, err := migration{e.migrate.Namespace, name}.get(t.Context())
	if err != nil {
		t.Error(err)
		return
	}
	if m.ResourceVersion != e.migrate.ResourceVersion {
		t.Errorf("Migrate %s was written after its end: it is %s with resourceVersion %s, was %s with %s",
			name, m.Status.Phase, m.ResourceVersion, e.migrate.Status.Phase, e.migrate.ResourceVersion)
	}
	if now := endOf(t, m); !slices.Equal(now.objects, e.objects) {
		t.Errorf("of Migrate %s there is now %q, at its end there was %q", name, now.objects, e.objects)
	}
}

// do takes several actions at once.
func do(actions ...action) action {
	return func(t *testing.T, r *run) {
		for _, a := range actions {
			a(t, r)
		}
	}
}

// apply applies the Migrate.
func apply(t *testing.T, r *run) {
	migrate(t, manifestIn(hurtNamespace, r.name, only(r.name), r.hurt.targets...))
	m, err := r.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.uid = m.UID
}

// finish waits for the end, where a step comes after it.
func finish(t *testing.T, r *run) {
	r.ended(t, r.hurt.end)
}

// checkLive checks that a reader of migrates/status is told the recorded end.
func checkLive(t *testing.T, r *run) {
	r.checkTold(t, liveStatus(t, hurtNamespace, r.name))
}
