// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned"
	clientv1alpha1 "kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned/typed/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/test/benchmark/report"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

// crowdNamespace is the namespace of the Fleets, and so of the Migrates.
const crowdNamespace = metav1.NamespaceDefault

// crowdBenchmark measures many migrations at once.
type crowdBenchmark struct {
	*options
	fleet    *localfleet.Fleet
	ours     *side // through the aggregator
	server   *side // directly
	migrates clientv1alpha1.MigrateInterface
	host     kubernetes.Interface
}

// crowd measures many migrations at once: some between real Veleros, and very many between modelled ones.
func (o *options) crowd(ctx context.Context, fleet *localfleet.Fleet, sides []*side, r *report.Report) error {
	host, err := fleet.HostConfig()
	if err != nil {
		return err
	}
	host.QPS = -1
	b := &crowdBenchmark{
		options: o, fleet: fleet, ours: sides[0], server: sides[1],
		migrates: versioned.NewForConfigOrDie(host).BackupV1alpha1().Migrates(crowdNamespace), host: kubernetes.NewForConfigOrDie(host),
	}
	if err := b.unmodelled(ctx, r); err != nil {
		return fmt.Errorf("migrations at once: %w", err)
	}
	if err := b.modelled(ctx, r); err != nil {
		return fmt.Errorf("migrations at once between modelled Veleros: %w", err)
	}
	return nil
}

// unmodelled measures migrations between three real members: each from one of them to the next one, into a namespace of its own.
func (b *crowdBenchmark) unmodelled(ctx context.Context, r *report.Report) error {
	const (
		namespace = "crowd"
		between   = 3
	)
	var veleros []int
	for n := 1; n <= between; n++ {
		veleros = append(veleros, n)
		if err := fill(ctx, b.fleet, n, namespace, 10); err != nil {
			return err
		}
	}
	var all []*v1alpha1.Migrate
	for i := range b.atOnce {
		source, target := 1+i%between, 1+(i+1)%between
		m := migrateBetween("crowd-"+strconv.Itoa(i), localfleet.FleetName, localfleet.MemberName(source), localfleet.MemberName(target))
		m.Spec.Policy = &v1alpha1.MigratePolicy{
			ResourceFilter:   &v1alpha1.ResourceFilter{IncludedNamespaces: []string{namespace}},
			NamespaceMapping: map[string]string{namespace: m.Name},
		}
		all = append(all, m)
	}
	return b.run(ctx, r.Table(fmt.Sprintf("%d migrations of 10 objects at once, between %d members", b.atOnce, between), ours), all, veleros)
}

// run measures migrations that are created at once. The Veleros are those of some members.
func (b *crowdBenchmark) run(ctx context.Context, t *report.Table, all []*v1alpha1.Migrate, veleros []int) error {
	b.log("%s", t.Title)
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	if err := settle(ctx, b.fleet); err != nil {
		return err
	}
	seen := &sightings{inMembers: map[string]time.Time{}, atHost: map[string]time.Time{}, ends: sets.New[types.UID]()}
	for _, n := range veleros {
		if err := seen.watchMember(ctx, b.fleet, n); err != nil {
			return err
		}
	}
	list, err := b.migrates.List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return err
	}
	// The server ends a watch that is read too slowly.
	watched, err := watchtools.NewRetryWatcherWithContext(ctx, list.ResourceVersion, &cache.ListWatch{WatchFuncWithContext: b.migrates.Watch})
	if err != nil {
		return err
	}
	defer watched.Stop()
	if err := resetPeak(b.fleet); err != nil {
		return err
	}
	requestsBefore, err := memberRequests(ctx, b.server)
	if err != nil {
		return err
	}
	var writes int
	var took time.Duration
	used, err := cpuDuring(b.fleet, func() error {
		began := time.Now()
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error {
			return forEach(writers, len(all), func(i int) error {
				_, err := b.migrates.Create(ctx, all[i], metav1.CreateOptions{})
				return err
			})
		})
		group.Go(func() (err error) {
			writes, err = seen.awaitEnds(ctx, watched, len(all))
			took = time.Since(began)
			return err
		})
		return group.Wait()
	})
	if err != nil {
		return err
	}
	requests, err := memberRequests(ctx, b.server)
	if err != nil {
		return err
	}
	peak, err := memory(b.fleet, "VmHWM")
	if err != nil {
		return err
	}
	if err := settle(ctx, b.fleet); err != nil {
		return err
	}
	events, err := b.host.EventsV1().Events(crowdNamespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	ofMigrates := 0
	for _, e := range events.Items {
		if seen.ends.Has(e.Regarding.UID) {
			ofMigrates++
		}
	}
	sent := 0.0
	for verb := range requests {
		sent += requests[verb] - requestsBefore[verb]
	}
	each := float64(len(all))
	t.Add("from the first creation to the last end", "s", ours, took.Seconds())
	t.Add("migrations", "1/s", ours, each/took.Seconds())
	for _, name := range processes {
		t.Add("CPU of "+name+" for each", "ms", ours, used[name].Seconds()*1000/each)
	}
	t.Add("memory, peak", "MiB", ours, float64(peak)/(1<<20))
	t.Add("writes of each Migrate", "", ours, float64(writes)/each)
	t.Add("Events of each", "", ours, float64(ofMigrates)/each)
	t.Add("requests to the members for each", "", ours, sent/each)
	table{t}.addQuantiles("a Backup InProgress in a member until the watch event", seen.ages())
	// The next round must not find the Migrates of this one.
	if err := deleteCollection(ctx, b.ours, crowdNamespace); err != nil {
		return err
	}
	return settle(ctx, b.fleet)
}

// sightings are the times at which Backups were seen InProgress first, by name. That is a new phase of a Migrate, which is recorded at
// once.
type sightings struct {
	mutex             sync.Mutex
	inMembers, atHost map[string]time.Time
	// ends are the Migrates that have ended.
	ends sets.Set[types.UID]
}

func (s *sightings) add(to map[string]time.Time, backup, phase string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if _, known := to[backup]; !known && phase == string(velerov1.BackupPhaseInProgress) {
		to[backup] = time.Now()
	}
}

// watchMember watches the Backups of the nth member until ctx ends.
func (s *sightings) watchMember(ctx context.Context, fleet *localfleet.Fleet, n int) error {
	config, err := fleet.MemberConfig(n)
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	watched, err := watchFromNow(ctx, client.Resource(velerov1.SchemeGroupVersion.WithResource("backups")))
	if err != nil {
		return err
	}
	go func() {
		for event := range watched.ResultChan() {
			if object, ok := event.Object.(*unstructured.Unstructured); ok {
				phase, _, _ := unstructured.NestedString(object.Object, "status", "phase")
				s.add(s.inMembers, object.GetName(), phase)
			}
		}
	}()
	return nil
}

// awaitEnds waits until count Migrates are Completed, and returns how often Migrates were written until then.
func (s *sightings) awaitEnds(ctx context.Context, watched watch.Interface, count int) (writes int, err error) {
	for event := range watched.ResultChan() {
		m, ok := event.Object.(*v1alpha1.Migrate)
		if !ok {
			return writes, fmt.Errorf("the watch of the Migrates has %s %v", event.Type, event.Object)
		}
		if event.Type != watch.Added && event.Type != watch.Modified {
			continue
		}
		writes++
		if source := m.Status.SourceClusterStatus; source != nil && source.BackupStatusInCluster != nil {
			s.add(s.atHost, source.BackupNameInCluster, string(source.BackupStatusInCluster.Phase))
		}
		if !migration.IsTerminal(m.Status.Phase) {
			continue
		}
		if m.Status.Phase != v1alpha1.MigratePhaseCompleted {
			return writes, fmt.Errorf("%s is %s: %v", m.Name, m.Status.Phase, m.Status.Conditions)
		}
		if s.ends.Insert(m.UID).Len() == count {
			return writes, nil
		}
	}
	return writes, fmt.Errorf("%d of %d Migrates have ended: %w", s.ends.Len(), count, context.Cause(ctx))
}

// ages returns how much later Backups were seen InProgress at the host than in the members, in milliseconds, without those that were
// over before.
func (s *sightings) ages() (milliseconds []float64) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for backup, at := range s.inMembers {
		if seen, ok := s.atHost[backup]; ok {
			milliseconds = append(milliseconds, max(0, seen.Sub(at).Seconds()*1000))
		}
	}
	return milliseconds
}
