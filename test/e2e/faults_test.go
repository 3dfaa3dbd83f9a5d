// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

// faultCase is a fault that is injected into a migration, and its outcome. The Migrate and
// the namespace that it migrates have the name of the case; the source is kurator-member1.
type faultCase struct {
	name string
	// targets defaults to kurator-member2.
	targets []int
	// steps are performed in order; one of them applies the Migrate.
	steps []step
	// end is the terminal phase. Default: Completed.
	end v1alpha1.MigratePhase
	// ended is the status at the end.
	ended expectation
	// migrated are the members that have the migrated objects. Default: all targets if the
	// end is Completed.
	migrated []int
	// restored are the members that have a Restore at the end. Default: all targets.
	// backups is the number of Backups in the source. Default: 1.
	restored []int
	backups  int
}

// step is an action on the fleet, and the status that is reported some time after it.
type step struct {
	do       action
	reported expectation
}

// action changes something in the fleet.
type action func(t *testing.T, r *run)

// expectation is an expected status, by member: the reason of the cluster, and parts of its
// message. Member 0 is the condition Ready of the Migrate.
type expectation map[int]state

// state has one reason, or several separated by "|" if it depends on timing.
type state struct {
	reason string
	words  []string
}

// Reasons of a cluster that is held in a phase. The cause is reported after some seconds.
const (
	backupNew   = "BackupNew|VeleroNotAnswering"
	restoreNew  = "RestoreNew|VeleroNotAnswering"
	restoreHeld = "RestoreInProgress|NamespaceTerminating"
)

// reports returns a state with a reason and parts of its message.
func reports(reason string, words ...string) state { return state{reason, words} }

// none and noBackup override the defaults of faultCase with none.
var none = []int{0}

const noBackup = -1

// run is a running case.
type run struct {
	migration

	faultCase faultCase
	// uid is the UID of the Migrate.
	uid     types.UID
	network *network
	// release has the functions that end the holds of steps, by name.
	release map[string]func()
	// tokens has the tokens of a member, by ServiceAccount.
	tokens map[string]string
	// undone has the functions that restore the fleet, in reverse order.
	cleanups []func()
}

// addCleanup registers a function that runs at the end of the case, whatever its outcome.
func (r *run) addCleanup(undo func()) { r.cleanups = append(r.cleanups, undo) }

// cleanUp calls the functions of addCleanup, the last one first.
func (r *run) cleanUp() {
	for _, undo := range slices.Backward(r.cleanups) {
		undo()
	}
}

func newRun(h faultCase, network *network) *run {
	return &run{
		migration: migration{faultsNamespace, h.name},
		faultCase: h.withDefaults(),
		network:   network,
		release:   map[string]func(){},
		tokens:    map[string]string{},
	}
}

func (h faultCase) withDefaults() faultCase {
	if h.targets == nil {
		h.targets = []int{2}
	}
	if h.end == "" {
		h.end = v1alpha1.MigratePhaseCompleted
	}
	if h.restored == nil {
		h.restored = h.targets
	}
	if h.migrated == nil && h.end == v1alpha1.MigratePhaseCompleted {
		h.migrated = h.targets
	}
	switch h.backups {
	case 0:
		h.backups = 1
	case noBackup:
		h.backups = 0
	}
	return h
}

// every selects every nth fault.
var every = flag.Int("faults.every", 1, "inject every nth fault only")

// TestFaults injects faults into migrations. The files fault_*_test.go have the cases, by the
// component at fault. After all of them, each Migrate and its Velero objects must be as they
// were at its end.
func TestFaults(t *testing.T) {
	needsFleet(t)
	network := faultsFleet(t)
	var ends []end
	for i, h := range slices.Concat(serverFaults(), memberFaults(), veleroFaults(), storageFaults(), objectFaults(), accessFaults()) {
		if i%*every != 0 {
			continue
		}
		t.Run(h.name, func(t *testing.T) {
			ends = append(ends, newRun(h, network).run(t))
		})
	}
	t.Run("no write after the end", func(t *testing.T) {
		for _, e := range ends {
			e.check(t)
		}
	})
}

// run performs the steps of a case, waits for the end and checks it.
func (r *run) run(t *testing.T) end {
	defer r.cleanUp()
	ensureAbsent(t, r.name)
	members[source].apply(t, settings(r.name))
	for i, s := range r.faultCase.steps {
		s.do(t, r)
		r.awaitReport(t, fmt.Sprintf("after step %d", i+1), s.reported)
	}
	m := r.awaitEnd(t, r.faultCase.end)
	r.checkReport(t, m)
	r.checkMigrated(t)
	r.checkObjects(t, m)
	return endOf(t, m)
}

// awaitReport waits until the recorded status meets the whole expectation.
func (r *run) awaitReport(t *testing.T, when string, want expectation) {
	t.Helper()
	if len(want) == 0 {
		return
	}
	last := ""
	defer func() {
		if t.Failed() {
			t.Logf("%s: the last status differs: %s", when, last)
		}
	}()
	r.await(t, when+" the expected status", func(m *v1alpha1.Migrate) bool {
		differences := want.differences(m)
		last = strings.Join(differences, "; ")
		return len(differences) == 0
	})
}

func (r *run) checkReport(t *testing.T, m *v1alpha1.Migrate) {
	t.Helper()
	want := expectation{}
	if r.faultCase.end == v1alpha1.MigratePhaseCompleted {
		want[0], want[source] = reports("Completed"), reports("BackupCompleted")
		for _, n := range r.faultCase.targets {
			want[n] = reports("RestoreCompleted")
		}
	}
	for n, s := range r.faultCase.ended {
		want[n] = s
	}
	for _, difference := range want.differences(m) {
		t.Errorf("at the end %s", difference)
	}
}

func (r *run) checkMigrated(t *testing.T) {
	t.Helper()
	for _, n := range r.faultCase.targets {
		want := ""
		if slices.Contains(r.faultCase.migrated, n) {
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
	if r.faultCase.backups == 1 {
		var restored []int
		for _, n := range r.faultCase.restored {
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

// differences describes the clusters whose status does not meet the expectation.
func (want expectation) differences(m *v1alpha1.Migrate) []string {
	found := map[int]state{0: {condition(m, v1alpha1.ConditionReady).Reason, []string{condition(m, v1alpha1.ConditionReady).Message}}}
	add := func(status v1alpha1.ClusterStatus) {
		for n := 1; n < len(members); n++ {
			if status.ClusterName == localfleet.MemberName(n) {
				found[n] = state{status.Reason, []string{status.Message}}
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
			differences = append(differences, fmt.Sprintf("member %d is reported as %q, want %q", n, got, s))
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
		t.Errorf("the Velero objects of Migrate %s are %q, were %q at its end", name, now.objects, e.objects)
	}
}

// do performs several actions in order.
func do(actions ...action) action {
	return func(t *testing.T, r *run) {
		for _, a := range actions {
			a(t, r)
		}
	}
}

// apply applies the Migrate.
func apply(t *testing.T, r *run) {
	migrate(t, manifestIn(faultsNamespace, r.name, only(r.name), r.faultCase.targets...))
	m, err := r.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.uid = m.UID
}

// awaitTerminal waits for the end, if a step follows it.
func awaitTerminal(t *testing.T, r *run) {
	r.awaitEnd(t, r.faultCase.end)
}

// checkLive checks that migrates/status returns the recorded end.
func checkLive(t *testing.T, r *run) {
	r.checkReport(t, liveStatus(t, faultsNamespace, r.name))
}
