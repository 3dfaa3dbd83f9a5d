// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned"
	"kurator.dev/migrate-apiserver/test/netproxy"
)

const (
	// patience is for what is alive, many times what it takes on an idle machine.
	patience = 5 * time.Minute
	// slowness is what the slow members' proxy adds to each chunk.
	slowness = 200 * time.Millisecond
	// observed is for how long the server's log and size are looked at while nothing
	// but the dead is left.
	observed = 30 * time.Second

	// The hundred may take this many times as long as the seventy alone, and a
	// while more: the machine has more to do, and there are more Migrates.
	slowdown = 3
	leeway   = 3 * time.Second
)

func TestThirtyOfAHundred(t *testing.T) {
	if fleet == nil {
		t.Skip("needs a fleet")
	}
	config, err := fleet.HostConfig()
	if err != nil {
		t.Fatal(err)
	}
	migrates, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	proxies := enroll(t)
	runVeleros(t)
	r := &run{t: t, migrates: migrates, seen: observe(t, migrates), meter: newMeter(t, migrates)}

	idle := r.meter.read(t.Context())
	t.Logf("at rest: %v", idle)
	// The first one meets Veleros that have just begun, and no connections.
	t.Logf("before: %v", r.oneToMany("before", seventy))
	r.meter.read(t.Context())
	aloneMany := r.oneToMany("alone", seventy)
	alonePairs := r.pairs("alone", nil)
	alone := r.meter.read(t.Context())
	t.Logf("the seventy alone: one Migrate into 69: %v; 70 Migrates: %v; %v", aloneMany, alonePairs, alone)

	proxies.set(t, netproxy.Blackhole, netproxy.Refuse, netproxy.Delay(slowness))
	_, logged := r.meter.lines(t, 0)
	began := time.Now()
	amongMany := r.oneToMany("among", hundred)
	amongPairs := r.pairs("among", troubledPairs())
	among := r.meter.read(t.Context())
	t.Logf("the seventy among the hundred: one Migrate into 69 of 99: %v; 70 of 100 Migrates: %v; %v", amongMany, amongPairs, among)

	r.awaitSlow()
	r.liveStatus("among-one")
	select {
	case <-t.Context().Done():
	case <-time.After(max(time.Until(began.Add(observed)), observed/2)):
	}
	left := r.meter.read(t.Context())
	t.Logf("only the dead are left: %v", left)
	r.checkLog(logged, time.Since(began))
	r.checkSize(idle, alone, among, left)

	proxies.set(t, netproxy.Pass, netproxy.Pass, netproxy.Pass)
	back := time.Now()
	took := r.seen.await(t, patience, r.all(back))
	t.Logf("all that was left is Completed %v after the dead are back", spreadOf(took).most.Round(time.Second))
	end := r.meter.read(t.Context())
	t.Logf("at the end: %v", end)
	// The seventy alone once more: the machine may be slower now than it was at first.
	againMany, againPairs := r.oneToMany("again", seventy), r.pairs("again", nil)
	t.Logf("the seventy alone again: one Migrate into 69: %v; 70 Migrates: %v", againMany, againPairs)
	r.compare("one Migrate", slower(aloneMany, againMany), amongMany)
	r.compare("many Migrates", slower(alonePairs, againPairs), amongPairs)
	if most := idle.goroutines + 500; end.goroutines > most {
		t.Errorf("%d goroutines are left at the end, want at most %d", end.goroutines, most)
	}
}

// run is a run of the test.
type run struct {
	t        *testing.T
	migrates versioned.Interface
	seen     *observer
	meter    *meter
	made     []string
}

// oneToMany migrates from one member into all others of a fleet, and tells how
// long it takes for those that are well.
func (r *run) oneToMany(name, fleetName string) spread {
	r.t.Helper()
	name += "-one"
	began := time.Now()
	r.create(name, fleetName, firstWell)
	ids := map[string]time.Time{}
	for n := firstWell + 1; n < members; n++ {
		ids[name+"/"+memberName(n)] = began
	}
	return spreadOf(r.seen.await(r.t, patience, ids))
}

// pair is a source and a target.
type pair struct{ source, target int }

// troubledPairs are one for each of the thirty: as the source or as the target.
func troubledPairs() []pair {
	var pairs []pair
	for n := range firstWell {
		if n%2 == 0 {
			pairs = append(pairs, pair{n, firstWell + n})
		} else {
			pairs = append(pairs, pair{firstWell + n, n})
		}
	}
	return pairs
}

// pairs migrates from each member that is well into the next one, beside other
// Migrates, and tells how long it takes.
func (r *run) pairs(name string, others []pair) spread {
	r.t.Helper()
	ids := map[string]time.Time{}
	var group errgroup.Group
	group.SetLimit(16)
	add := func(p pair) string {
		id := fmt.Sprintf("%s-%03d-%03d", name, p.source, p.target)
		group.Go(func() error { return r.tryCreate(id, hundred, p.source, p.target) })
		r.made = append(r.made, id)
		return id
	}
	began := time.Now()
	for _, p := range others {
		add(p)
	}
	for n := firstWell; n < members; n++ {
		next := firstWell + (n+1-firstWell)%(members-firstWell)
		ids[add(pair{n, next})] = began
	}
	if err := group.Wait(); err != nil {
		r.t.Fatal(err)
	}
	return spreadOf(r.seen.await(r.t, patience, ids))
}

func (r *run) create(name, fleetName string, source int, targets ...int) {
	r.t.Helper()
	r.made = append(r.made, name)
	if err := r.tryCreate(name, fleetName, source, targets...); err != nil {
		r.t.Fatal(err)
	}
}

func (r *run) tryCreate(name, fleetName string, source int, targets ...int) error {
	reference := func(n int) corev1.ObjectReference {
		return corev1.ObjectReference{Kind: "AttachedCluster", Name: memberName(n)}
	}
	m := &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	m.Spec.SourceCluster = v1alpha1.Destination{Fleet: fleetName, Clusters: []corev1.ObjectReference{reference(source)}}
	m.Spec.TargetCluster.Fleet = fleetName
	for _, n := range targets {
		m.Spec.TargetCluster.Clusters = append(m.Spec.TargetCluster.Clusters, reference(n))
	}
	_, err := r.migrates.BackupV1alpha1().Migrates(namespace).Create(r.t.Context(), m, metav1.CreateOptions{})
	return err
}

func (r *run) all(began time.Time) map[string]time.Time {
	ids := map[string]time.Time{}
	for _, name := range r.made {
		ids[name] = began
	}
	return ids
}

// slower is the slower of what was measured before and after.
func slower(a, b spread) spread { return spread{max(a.median, b.median), max(a.most, b.most)} }

// compare checks that the dead do not slow the others.
func (r *run) compare(what string, alone, among spread) {
	r.t.Helper()
	for name, pair := range map[string][2]time.Duration{"median": {alone.median, among.median}, "most": {alone.most, among.most}} {
		if limit := slowdown*pair[0] + leeway; pair[1] > limit {
			r.t.Errorf("%s: the %s is %v among the hundred, %v alone, want at most %v", what, name, pair[1], pair[0], limit)
		}
	}
}

// awaitSlow returns when the slow members are finished, which they are though
// others are dead.
func (r *run) awaitSlow() {
	r.t.Helper()
	began, ids := time.Now(), map[string]time.Time{}
	for n := deadMembers; n < firstWell; n++ {
		ids["among-one/"+memberName(n)] = began
	}
	for _, p := range troubledPairs() {
		if min(p.source, p.target) >= deadMembers {
			ids[fmt.Sprintf("among-%03d-%03d", p.source, p.target)] = began
		}
	}
	r.t.Logf("the slow are Completed %v later", spreadOf(r.seen.await(r.t, patience, ids)).most.Round(time.Millisecond))
}

// liveStatus asks for a status that needs the dead.
func (r *run) liveStatus(name string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	began := time.Now()
	live := &v1alpha1.Migrate{}
	err := r.migrates.BackupV1alpha1().RESTClient().Get().Namespace(namespace).Resource("migrates").Name(name).SubResource("status").Do(ctx).Into(live)
	took := time.Since(began)
	if err != nil {
		r.t.Errorf("live status: %v", err)
		return
	}
	unreachable := 0
	for _, target := range live.Status.TargetClusterStatus {
		if target.Reason == "MemberUnreachable" {
			unreachable++
		}
	}
	r.t.Logf("the live status of 99 targets takes %v and tells of %d that can't be asked", took.Round(time.Millisecond), unreachable)
	if unreachable != deadMembers || took > 12*time.Second {
		r.t.Errorf("the live status tells of %d that can't be asked and takes %v, want %d and at most 12s", unreachable, took, deadMembers)
	}
}

// checkLog checks that dead members are logged, and not repeatedly.
func (r *run) checkLog(from int, during time.Duration) {
	r.t.Helper()
	lines, _ := r.meter.lines(r.t, from)
	most, sum := 0, 0
	for n := range deadMembers {
		told := 0
		for _, line := range lines {
			if strings.Contains(line, memberName(n)) {
				told++
			}
		}
		if told == 0 {
			r.t.Errorf("the log does not tell that %s can't be asked", memberName(n))
		}
		most, sum = max(most, told), sum+told
	}
	minutes := during.Minutes()
	r.t.Logf("the log has %d lines in %v, of which %.1f for each dead member and minute, and at most %.1f of one",
		len(lines), during.Round(time.Second), float64(sum)/deadMembers/minutes, float64(most)/minutes)
	if limit := 6.0; float64(most)/minutes > limit {
		r.t.Errorf("the log has %.1f lines a minute of one dead member, want at most %.0f", float64(most)/minutes, limit)
	}
	if limit := 200 + 20*deadMembers; len(lines) > limit {
		r.t.Errorf("the log has %d lines, want at most %d", len(lines), limit)
	}
}

// checkSize checks that the server stays small and answers.
func (r *run) checkSize(idle, alone, among, left reading) {
	r.t.Helper()
	for what, reading := range map[string]reading{"alone": alone, "among the hundred": among, "with the dead alone": left} {
		// Each member that is watched has three watches on one connection.
		if most := idle.goroutines + 40*members; reading.peakGoroutines > most {
			r.t.Errorf("%s: %d goroutines, want at most %d", what, reading.peakGoroutines, most)
		}
		if most := 800; reading.peakMemory > most {
			r.t.Errorf("%s: %d MiB, want at most %d", what, reading.peakMemory, most)
		}
		if len(reading.failures) > 0 {
			r.t.Errorf("%s: %d requests failed, such as: %v", what, len(reading.failures), reading.failures[0])
		}
	}
	if limit := slowdown*alone.latency.median + 200*time.Millisecond; among.latency.median > limit || left.latency.median > limit {
		r.t.Errorf("LIST and GET take %v with the dead, want at most %v", max(among.latency.median, left.latency.median), limit)
	}
	if limit := 10 * time.Second; max(among.latency.most, left.latency.most) > limit {
		r.t.Errorf("a LIST and GET takes %v, want at most %v", max(among.latency.most, left.latency.most), limit)
	}
}
