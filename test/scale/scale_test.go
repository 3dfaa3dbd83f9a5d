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
	// timeout is many times as long as any step takes on an idle machine.
	timeout = 5 * time.Minute
	// memberDelay is the delay of the slow members' proxy.
	memberDelay = 200 * time.Millisecond
	// faultTime is the minimum time of the faults, in which the server's log and size are
	// measured.
	faultTime = 30 * time.Second

	// With faults the healthy members may take maxSlowdown times as long as without, plus
	// slowdownMargin: the test then runs more Migrates.
	maxSlowdown    = 3
	slowdownMargin = 3 * time.Second
)

// TestFaultyMembersDoNotDelayOthers migrates between healthy members before, during and
// after faults of others.
func TestFaultyMembersDoNotDelayOthers(t *testing.T) {
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
	proxies := attachMembers(t)
	runVeleros(t)
	r := &run{t: t, migrates: migrates, observer: startObserver(t, migrates), meter: newMeter(t, migrates)}

	idle := r.meter.read(t.Context())
	t.Logf("idle: %v", idle)
	// The first Migrate is slower: it meets Veleros that have just started, and no connections.
	t.Logf("warmup: %v", r.oneToMany("warmup", healthyFleet))
	r.meter.read(t.Context())
	beforeMany := r.oneToMany("before", healthyFleet)
	beforePairs := r.pairs("before", nil)
	before := r.meter.read(t.Context())
	healthy := members - firstHealthy
	t.Logf("%d healthy members: one Migrate to all others: %v; a Migrate of each: %v; %v", healthy, beforeMany, beforePairs, before)

	proxies.set(t, netproxy.Blackhole, netproxy.Refuse, netproxy.Delay(memberDelay))
	_, logged := r.meter.lines(t, 0)
	start := time.Now()
	duringMany := r.oneToMany("during", fullFleet)
	duringPairs := r.pairs("during", faultyPairs())
	during := r.meter.read(t.Context())
	t.Logf("%d members, %d of them faulty: one Migrate to all others, the healthy ones: %v; a Migrate of each, the healthy ones: %v; %v", members, firstHealthy, duringMany, duringPairs, during)

	r.awaitSlow()
	r.checkLiveStatus("during-one")
	select {
	case <-t.Context().Done():
	case <-time.After(max(time.Until(start.Add(faultTime)), faultTime/2)):
	}
	remaining := r.meter.read(t.Context())
	t.Logf("only unreachable members remain: %v", remaining)
	r.checkLog(logged, time.Since(start))
	r.checkSize(idle, before, during, remaining)

	proxies.set(t, netproxy.Pass, netproxy.Pass, netproxy.Pass)
	recovered := time.Now()
	took := r.observer.await(t, timeout, r.all(recovered))
	t.Logf("all Migrates are Completed %v after the faults end", durationsOf(took).max.Round(time.Second))
	end := r.meter.read(t.Context())
	t.Logf("at the end: %v", end)
	// The machine may be slower now than it was at first.
	afterMany, afterPairs := r.oneToMany("after", healthyFleet), r.pairs("after", nil)
	t.Logf("%d healthy members again: one Migrate to all others: %v; a Migrate of each: %v", healthy, afterMany, afterPairs)
	r.compare("one Migrate", slower(beforeMany, afterMany), duringMany)
	r.compare("many Migrates", slower(beforePairs, afterPairs), duringPairs)
	if limit := idle.goroutines + 500; end.goroutines > limit {
		t.Errorf("%d goroutines at the end, want at most %d", end.goroutines, limit)
	}
}

// run is a run of the test, with the names of the Migrates that it has created.
type run struct {
	t        *testing.T
	migrates versioned.Interface
	observer *observer
	meter    *meter
	created  []string
}

// oneToMany migrates from one healthy member to all others of a fleet, and returns the
// durations of the healthy targets.
func (r *run) oneToMany(name, fleetName string) durations {
	r.t.Helper()
	name += "-one"
	start := time.Now()
	r.create(name, fleetName, firstHealthy)
	ids := map[string]time.Time{}
	for n := firstHealthy + 1; n < members; n++ {
		ids[name+"/"+memberName(n)] = start
	}
	return durationsOf(r.observer.await(r.t, timeout, ids))
}

// pair is a source and a target.
type pair struct{ source, target int }

// faultyPairs returns one pair for each faulty member, which is the source or the target.
func faultyPairs() []pair {
	var pairs []pair
	for n := range firstHealthy {
		if n%2 == 0 {
			pairs = append(pairs, pair{n, firstHealthy + n})
		} else {
			pairs = append(pairs, pair{firstHealthy + n, n})
		}
	}
	return pairs
}

// pairs migrates from each healthy member to the next one, concurrently with other pairs,
// and returns the durations of the healthy pairs.
func (r *run) pairs(name string, others []pair) durations {
	r.t.Helper()
	ids := map[string]time.Time{}
	var group errgroup.Group
	group.SetLimit(16)
	add := func(p pair) string {
		id := fmt.Sprintf("%s-%03d-%03d", name, p.source, p.target)
		group.Go(func() error { return r.tryCreate(id, fullFleet, p.source, p.target) })
		r.created = append(r.created, id)
		return id
	}
	start := time.Now()
	for _, p := range others {
		add(p)
	}
	for n := firstHealthy; n < members; n++ {
		next := firstHealthy + (n+1-firstHealthy)%(members-firstHealthy)
		ids[add(pair{n, next})] = start
	}
	if err := group.Wait(); err != nil {
		r.t.Fatal(err)
	}
	return durationsOf(r.observer.await(r.t, timeout, ids))
}

func (r *run) create(name, fleetName string, source int, targets ...int) {
	r.t.Helper()
	r.created = append(r.created, name)
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

// all returns all created Migrates with a start time, for await.
func (r *run) all(start time.Time) map[string]time.Time {
	ids := map[string]time.Time{}
	for _, name := range r.created {
		ids[name] = start
	}
	return ids
}

func slower(a, b durations) durations { return durations{max(a.median, b.median), max(a.max, b.max)} }

// compare checks that the faults do not delay the healthy members.
func (r *run) compare(what string, healthy, faulty durations) {
	r.t.Helper()
	for name, pair := range map[string][2]time.Duration{"median": {healthy.median, faulty.median}, "max": {healthy.max, faulty.max}} {
		if limit := maxSlowdown*pair[0] + slowdownMargin; pair[1] > limit {
			r.t.Errorf("%s: the %s is %v with faults, %v without, want at most %v", what, name, pair[1], pair[0], limit)
		}
	}
}

// awaitSlow waits until the migrations of the slow members are Completed, which the
// unreachable ones must not prevent.
func (r *run) awaitSlow() {
	r.t.Helper()
	start, ids := time.Now(), map[string]time.Time{}
	for n := unreachableMembers; n < firstHealthy; n++ {
		ids["during-one/"+memberName(n)] = start
	}
	for _, p := range faultyPairs() {
		if min(p.source, p.target) >= unreachableMembers {
			ids[fmt.Sprintf("during-%03d-%03d", p.source, p.target)] = start
		}
	}
	r.t.Logf("the slow members are Completed %v later", durationsOf(r.observer.await(r.t, timeout, ids)).max.Round(time.Millisecond))
}

// checkLiveStatus reads the live status of a Migrate with unreachable targets.
func (r *run) checkLiveStatus(name string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), timeout)
	defer cancel()
	start := time.Now()
	live := &v1alpha1.Migrate{}
	err := r.migrates.BackupV1alpha1().RESTClient().Get().Namespace(namespace).Resource("migrates").Name(name).SubResource("status").Do(ctx).Into(live)
	took := time.Since(start)
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
	r.t.Logf("the live status of %d targets took %v and reports %d as unreachable", members-1, took.Round(time.Millisecond), unreachable)
	if unreachable != unreachableMembers || took > 12*time.Second {
		r.t.Errorf("the live status reports %d targets as unreachable and took %v, want %d and at most 12s", unreachable, took, unreachableMembers)
	}
}

// checkLog checks that each unreachable member is logged, but not too often.
func (r *run) checkLog(from int, during time.Duration) {
	r.t.Helper()
	lines, _ := r.meter.lines(r.t, from)
	highest, sum := 0, 0
	for n := range unreachableMembers {
		mentions := 0
		for _, line := range lines {
			if strings.Contains(line, memberName(n)) {
				mentions++
			}
		}
		if mentions == 0 {
			r.t.Errorf("the log does not mention %s", memberName(n))
		}
		highest, sum = max(highest, mentions), sum+mentions
	}
	minutes := during.Minutes()
	r.t.Logf("the log has %d lines in %v, of which %.1f for each unreachable member and minute, and at most %.1f for one",
		len(lines), during.Round(time.Second), float64(sum)/float64(unreachableMembers)/minutes, float64(highest)/minutes)
	if limit := 6.0; float64(highest)/minutes > limit {
		r.t.Errorf("the log has %.1f lines per minute for one unreachable member, want at most %.0f", float64(highest)/minutes, limit)
	}
	if limit := 200 + 20*unreachableMembers; len(lines) > limit {
		r.t.Errorf("the log has %d lines, want at most %d", len(lines), limit)
	}
}

// checkSize checks the goroutines, the memory and the response times of the server.
func (r *run) checkSize(idle, before, during, remaining reading) {
	r.t.Helper()
	for what, reading := range map[string]reading{"before the faults": before, "during the faults": during, "unreachable members only": remaining} {
		// The server has three watches of each member, on one connection.
		if limit := idle.goroutines + 40*members; reading.peakGoroutines > limit {
			r.t.Errorf("%s: %d goroutines, want at most %d", what, reading.peakGoroutines, limit)
		}
		if limit := 800; reading.peakMemory > limit {
			r.t.Errorf("%s: %d MiB, want at most %d", what, reading.peakMemory, limit)
		}
		if len(reading.failures) > 0 {
			r.t.Errorf("%s: %d requests failed, such as: %v", what, len(reading.failures), reading.failures[0])
		}
	}
	if limit := maxSlowdown*before.latency.median + 200*time.Millisecond; during.latency.median > limit || remaining.latency.median > limit {
		r.t.Errorf("the median of LIST and GET is %v with faults, want at most %v", max(during.latency.median, remaining.latency.median), limit)
	}
	if limit := 10 * time.Second; max(during.latency.max, remaining.latency.max) > limit {
		r.t.Errorf("the slowest LIST and GET took %v, want at most %v", max(during.latency.max, remaining.latency.max), limit)
	}
}
