// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/test/benchmark/report"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

const (
	// leastOperations are done in each batch, however long they take.
	leastOperations = 3
	// chunk is the limit of a chunked list, that of kubectl.
	chunk = 500
	// discovery reads no object, so what it takes through the aggregator beyond directly is the price of the hop.
	discovery = "discovery of the version"
	// deliveries is the number of changes whose watch events are measured in each round.
	deliveries = 100
)

// clients are the numbers of concurrent clients.
var clients = []int{1, 8, 32}

// apiBenchmark compares the requests of clients.
type apiBenchmark struct {
	*options
	fleet   *localfleet.Fleet
	sides   []*side
	example *unstructured.Unstructured
	names   atomic.Int64

	// Of the current number of stored Migrates:
	count          int
	namespace      string
	requests, cost *report.Table
}

// run measures with each number of Migrates that have ended.
func (b *apiBenchmark) run(ctx context.Context, r *report.Report, counts []int) error {
	host, err := b.fleet.HostConfig()
	if err != nil {
		return err
	}
	var names []string
	for _, s := range b.sides {
		names = append(names, s.name)
	}
	for _, count := range counts {
		b.count, b.namespace = count, "finished-"+strconv.Itoa(count)
		b.requests = r.Table(fmt.Sprintf("Requests, with %d Migrates", count), names...)
		b.cost = r.Table(fmt.Sprintf("CPU of all processes for 1,000 requests, with %d Migrates", count), names...)
		if err := createNamespace(ctx, host, b.namespace); err != nil {
			return err
		}
		b.log("storing %d Migrates on each side", count)
		if err := importFinished(ctx, b.fleet, b.example, b.namespace, count); err != nil {
			return err
		}
		if err := createFinished(ctx, b.sides[len(b.sides)-1], b.example, b.namespace, count); err != nil {
			return err
		}
		for round := range b.rounds {
			b.log("round %d of %d", round+1, b.rounds)
			if err := b.round(ctx); err != nil {
				return err
			}
		}
		if err := b.deleteAll(ctx); err != nil {
			return err
		}
	}
	return nil
}

// round measures each row once on each side, one side after the other.
func (b *apiBenchmark) round(ctx context.Context) error {
	one := func() string { return finishedName(rand.IntN(b.count)) }
	collection := func(s *side) *rest.Request { return s.raw.Get().AbsPath(s.path(b.namespace)) }
	rows := []struct {
		name    string
		clients []int
		do      func(ctx context.Context, s *side) error
	}{
		{discovery, clients, func(ctx context.Context, s *side) error {
			return discard(ctx, s.raw.Get().AbsPath("/apis/"+s.group+"/"+v1alpha1.SchemeGroupVersion.Version))
		}},
		{"get", clients, func(ctx context.Context, s *side) error {
			return discard(ctx, s.raw.Get().AbsPath(s.path(b.namespace, one())))
		}},
		{"list", []int{1, 8}, func(ctx context.Context, s *side) error { return discard(ctx, collection(s)) }},
		{"list in chunks of 500", []int{1}, func(ctx context.Context, s *side) error { return listChunks(ctx, s, b.namespace) }},
		{"list by label", []int{1}, func(ctx context.Context, s *side) error {
			return discard(ctx, collection(s).Param("labelSelector", shardLabel+"="+strconv.Itoa(rand.IntN(shards))))
		}},
		{"list by field", []int{1}, func(ctx context.Context, s *side) error {
			return discard(ctx, collection(s).Param("fieldSelector", "metadata.name="+one()))
		}},
		{"patch", clients, func(ctx context.Context, s *side) error { return b.patch(ctx, s, one()) }},
		{"server-side apply", clients, func(ctx context.Context, s *side) error { return b.apply(ctx, s, one()) }},
	}
	for _, row := range rows {
		if row.name == "list" && b.count > 2000 {
			row.clients = row.clients[:1]
		}
		for _, n := range row.clients {
			for _, s := range b.alternating() {
				if _, err := b.batch(ctx, rowName(row.name, n), n, s, func(ctx context.Context, _ int) error { return row.do(ctx, s) }); err != nil {
					return err
				}
			}
		}
	}
	for _, n := range clients {
		for _, s := range b.alternating() {
			if err := b.createAndDelete(ctx, n, s); err != nil {
				return err
			}
		}
	}
	for _, s := range b.alternating() {
		if err := b.watchDelivery(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// alternating returns the sides in a random order, so that none always has what another left behind.
func (b *apiBenchmark) alternating() []*side {
	sides := slices.Clone(b.sides)
	rand.Shuffle(len(sides), func(i, j int) { sides[i], sides[j] = sides[j], sides[i] })
	return sides
}

func rowName(name string, clients int) string {
	if clients == 1 {
		return name + ", 1 client"
	}
	return fmt.Sprintf("%s, %d clients", name, clients)
}

// batch has clients do operations for b.batchTime, and records how many they do in a second and what they cost. It returns their number.
func (b *apiBenchmark) batch(ctx context.Context, row string, clients int, s *side, do func(ctx context.Context, i int) error) (int, error) {
	before, err := cpu(b.fleet)
	if err != nil {
		return 0, err
	}
	profiled := b.profile(ctx, row+"-"+s.name)
	began := time.Now()
	done, err := concurrently(clients, func(i int) (bool, error) {
		return i >= leastOperations && time.Since(began) > b.batchTime, do(ctx, i)
	})
	took := time.Since(began)
	if err := profiled(); err != nil {
		return 0, err
	}
	if err != nil {
		return 0, fmt.Errorf("%s of %s: %w", row, s.name, err)
	}
	after, err := cpu(b.fleet)
	if err != nil {
		return 0, err
	}
	b.requests.Add(row, "1/s", s.name, float64(done)/took.Seconds())
	var all time.Duration
	for _, name := range processes {
		used := after[name] - before[name]
		all += used
		b.cost.Add(row+": "+name, "ms", s.name, float64(used.Milliseconds())*1000/float64(done))
	}
	b.cost.Add(row, "ms", s.name, float64(all.Milliseconds())*1000/float64(done))
	return done, nil
}

// profile begins a CPU profile of our server, if profiles are wanted. The function that it returns waits for its end.
func (b *apiBenchmark) profile(ctx context.Context, name string) (end func() error) {
	if b.profiles == "" {
		return func() error { return nil }
	}
	ended := make(chan error, 1)
	go func() {
		seconds := strconv.Itoa(int(max(1, b.batchTime.Seconds())))
		profile, err := b.sides[1].raw.Get().AbsPath("/debug/pprof/profile").Param("seconds", seconds).Do(ctx).Raw()
		if err != nil {
			ended <- fmt.Errorf("profile: %w", err)
			return
		}
		file := strings.NewReplacer(" ", "-", ",", "").Replace(fmt.Sprintf("%s-%d.pprof", name, b.names.Add(1)))
		ended <- errors.Join(os.MkdirAll(b.profiles, 0o755), os.WriteFile(filepath.Join(b.profiles, file), profile, 0o644))
	}()
	return func() error { return <-ended }
}

// errExhausted ends operations, because there is nothing left to do them with.
var errExhausted = errors.New("exhausted")

// concurrently has a number of clients do operations 0, 1, 2 and so on, until one of them is the last or fails. It returns
// how many succeeded.
func concurrently(clients int, do func(i int) (last bool, err error)) (int, error) {
	var next, done atomic.Int64
	var stop atomic.Bool
	failures := make([]error, clients)
	var running sync.WaitGroup
	for c := range clients {
		running.Go(func() {
			for !stop.Load() {
				last, err := do(int(next.Add(1)) - 1)
				switch {
				case err == nil:
					done.Add(1)
				case !errors.Is(err, errExhausted):
					failures[c] = err
				}
				if last || err != nil {
					stop.Store(true)
				}
			}
		})
	}
	running.Wait()
	return int(done.Load()), errors.Join(failures...)
}

// forEach has a number of clients do operations 0 to count-1.
func forEach(clients, count int, do func(i int) error) error {
	_, err := concurrently(clients, func(i int) (bool, error) {
		if i >= count {
			return true, errExhausted
		}
		return false, do(i)
	})
	return err
}

// createAndDelete measures how Migrates are created, waits until the server has settled them, and measures how they are deleted.
func (b *apiBenchmark) createAndDelete(ctx context.Context, clients int, s *side) error {
	prefix := fmt.Sprintf("created-%d-", b.names.Add(1))
	created, err := b.batch(ctx, rowName("create", clients), clients, s, func(ctx context.Context, i int) error {
		return s.raw.Post().AbsPath(s.path(b.namespace)).Body(created(s.group, prefix+strconv.Itoa(i))).Do(ctx).Error()
	})
	if err != nil {
		return err
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	deleted, err := b.batch(ctx, rowName("delete", clients), clients, s, func(ctx context.Context, i int) error {
		if i >= created {
			return errExhausted
		}
		return s.raw.Delete().AbsPath(s.path(b.namespace, prefix+strconv.Itoa(i))).Do(ctx).Error()
	})
	if err != nil {
		return err
	}
	for i := deleted; i < created; i++ {
		if err := ignoreNotFound(s.raw.Delete().AbsPath(s.path(b.namespace, prefix+strconv.Itoa(i))).Do(ctx).Error()); err != nil {
			return err
		}
	}
	return b.settle(ctx)
}

// settle waits until our server has nothing to do.
func (b *apiBenchmark) settle(ctx context.Context) error { return settle(ctx, b.fleet) }

// patch changes an annotation of a Migrate.
func (b *apiBenchmark) patch(ctx context.Context, s *side, name string) error {
	body := fmt.Appendf(nil, `{"metadata": {"annotations": {"patched": "%d"}}}`, b.names.Add(1))
	return s.raw.Patch(types.MergePatchType).AbsPath(s.path(b.namespace, name)).Body(body).Do(ctx).Error()
}

// apply applies an annotation of a Migrate.
func (b *apiBenchmark) apply(ctx context.Context, s *side, name string) error {
	body := fmt.Appendf(nil, `{"apiVersion": "%s/v1alpha1", "kind": "Migrate", "metadata": {"name": %q, "annotations": {"applied": "%d"}}}`, s.group, name, b.names.Add(1))
	return s.raw.Patch(types.ApplyYAMLPatchType).AbsPath(s.path(b.namespace, name)).Param("fieldManager", "benchmark").Body(body).Do(ctx).Error()
}

// discard sends a request and reads its answer.
func discard(ctx context.Context, request *rest.Request) error {
	_, err := request.Do(ctx).Raw()
	return err
}

// listChunks lists all Migrates of a namespace, as kubectl does.
func listChunks(ctx context.Context, s *side, namespace string) error {
	for next := ""; ; {
		answer, err := s.raw.Get().AbsPath(s.path(namespace)).Param("limit", strconv.Itoa(chunk)).Param("continue", next).Do(ctx).Raw()
		if err != nil {
			return err
		}
		var list struct {
			Metadata metav1.ListMeta `json:"metadata"`
		}
		if err := json.Unmarshal(answer, &list); err != nil {
			return err
		}
		if next = list.Metadata.Continue; next == "" {
			return nil
		}
	}
}

// watchDelivery measures the time from a change to its event.
func (b *apiBenchmark) watchDelivery(ctx context.Context, s *side) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	name := finishedName(rand.IntN(b.count))
	stream, err := s.raw.Get().AbsPath(s.path(b.namespace)).Param("watch", "true").Param("fieldSelector", "metadata.name="+name).Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	events := make(chan time.Time, deliveries)
	failed := make(chan error, 1)
	go func() {
		lines := bufio.NewReader(stream)
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				failed <- err
				return
			}
			at := time.Now()
			var event struct{ Type watch.EventType }
			if err := json.Unmarshal(line, &event); err != nil {
				failed <- err
				return
			}
			if event.Type == watch.Modified {
				events <- at
			}
		}
	}()
	var took []float64
	for range deliveries {
		began := time.Now()
		if err := b.patch(ctx, s, name); err != nil {
			return err
		}
		select {
		case at := <-events:
			took = append(took, at.Sub(began).Seconds()*1000)
		case err := <-failed:
			return err
		case <-time.After(time.Minute):
			return fmt.Errorf("the watch of %s has no event", s.name)
		}
	}
	slices.Sort(took)
	b.requests.Add("patch until its watch event", "ms", s.name, took[len(took)/2])
	b.requests.Add("patch until its watch event, p99", "ms", s.name, took[len(took)*99/100])
	return nil
}

// deleteAll measures a deletecollection of all Migrates, once through the aggregator and once of the CRD.
func (b *apiBenchmark) deleteAll(ctx context.Context) error {
	for _, s := range b.sides {
		if s.name == "direct" {
			continue
		}
		b.log("deleting all of %s", s.name)
		if err := b.once(b.requests, "deletecollection", s, func() error { return deleteCollection(ctx, s, b.namespace) }); err != nil {
			return err
		}
	}
	return b.settle(ctx)
}

// deleteCollection deletes all Migrates of a namespace. The host ends a request after a minute, and what it left is deleted by the next one.
func deleteCollection(ctx context.Context, s *side, namespace string) error {
	const tries = 20
	var err error
	for range tries {
		if err = s.raw.Delete().AbsPath(s.path(namespace)).Do(ctx).Error(); err == nil {
			return nil
		}
	}
	return err
}

// once measures one operation.
func (b *apiBenchmark) once(t *report.Table, row string, s *side, do func() error) error {
	var took time.Duration
	used, err := cpuDuring(b.fleet, func() error {
		began := time.Now()
		err := do()
		took = time.Since(began)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s of %s: %w", row, s.name, err)
	}
	t.Add(row, "s", s.name, took.Seconds())
	var all time.Duration
	for _, name := range processes {
		all += used[name]
	}
	t.Add(row+", CPU", "s", s.name, all.Seconds())
	return nil
}
