// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"kurator.dev/migrate-apiserver/test/benchmark/report"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

// restTime is how long the CPU of a server at rest is measured.
const restTime = 30 * time.Second

// waiting measures many Migrates that wait for a fleet that does not exist: what they cost until they are settled and at rest, how they
// are listed and deleted. The custom resources beside them have no controller.
func (b *apiBenchmark) waiting(ctx context.Context, r *report.Report) error {
	host, err := b.fleet.HostConfig()
	if err != nil {
		return err
	}
	b.namespace = "pending"
	if err := createNamespace(ctx, host, b.namespace); err != nil {
		return err
	}
	ours, crd := b.sides[0], b.sides[len(b.sides)-1]
	b.requests = r.Table(fmt.Sprintf("%d Migrates that wait", b.pending), ours.name, crd.name)
	for _, s := range []*side{crd, ours} {
		if err := b.wait(ctx, s); err != nil {
			return err
		}
	}
	if err := b.start(ctx, b.fleet, b.sides[1], r); err != nil {
		return err
	}
	for range b.rounds {
		for _, s := range []*side{ours, crd} {
			if err := b.once(b.requests, "list", s, func() error { return discard(ctx, s.raw.Get().AbsPath(s.path(b.namespace))) }); err != nil {
				return err
			}
		}
	}
	for _, s := range []*side{ours, crd} {
		if err := b.once(b.requests, "deletecollection", s, func() error { return deleteCollection(ctx, s, b.namespace) }); err != nil {
			return err
		}
	}
	return b.settle(ctx)
}

// wait creates the Migrates of a side, and measures what they cost until they are settled, and then.
func (b *apiBenchmark) wait(ctx context.Context, s *side) error {
	b.log("creating %d of %s", b.pending, s.name)
	smaller, err := resident(b.fleet)
	if err != nil {
		return err
	}
	used, err := cpuDuring(b.fleet, func() error {
		began := time.Now()
		if err := forEach(writers, b.pending, func(i int) error {
			return s.raw.Post().AbsPath(s.path(b.namespace)).Body(created(s.group, "pending-"+strconv.Itoa(i))).Do(ctx).Error()
		}); err != nil {
			return err
		}
		b.requests.Add("create, 32 clients", "1/s", s.name, float64(b.pending)/time.Since(began).Seconds())
		if err := b.settle(ctx); err != nil {
			return err
		}
		b.requests.Add("create until all are settled", "s", s.name, time.Since(began).Seconds())
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range processes {
		b.requests.Add("CPU of "+name+" for each until settled", "ms", s.name, used[name].Seconds()*1000/float64(b.pending))
	}
	larger, err := resident(b.fleet)
	if err != nil {
		return err
	}
	b.requests.Add("memory of "+serverName, "MiB", s.name, float64(larger)/(1<<20))
	b.requests.Add("memory more of "+serverName, "MiB", s.name, float64(larger-smaller)/(1<<20))

	if used, err = cpuDuring(b.fleet, func() error { return pauseFor(ctx, restTime) }); err != nil {
		return err
	}
	for _, name := range processes {
		b.requests.Add("CPU of "+name+" at rest", "% of a core", s.name, used[name].Seconds()*100/restTime.Seconds())
	}
	return nil
}

// pauseFor waits, unless ctx ends.
func pauseFor(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// settle waits until our server has had nothing to do for a second.
func settle(ctx context.Context, fleet *localfleet.Fleet) error {
	const (
		quiet = time.Second
		most  = 20 * time.Millisecond
	)
	for {
		used, err := cpuDuring(fleet, func() error { return pauseFor(ctx, quiet) })
		if err != nil || used[serverName] <= most {
			return err
		}
	}
}
