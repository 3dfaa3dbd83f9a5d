// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// stopwatch watches the objects of one resource and measures how long each takes from
// its creation to a terminal phase. It reads the local clock, because the times in
// objects are whole seconds and migrations take about two.
type stopwatch struct {
	resource schema.GroupVersionResource
	client   dynamic.ResourceInterface
	ended    func(phase string) bool

	mu      sync.Mutex
	runs    map[types.UID]*run
	changed chan struct{}
}

// run is the last state of one object and the times at which it began and ended.
type run struct {
	name         string
	labels       map[string]string
	phase        string
	began, ended time.Time
}

func (r run) took() time.Duration { return r.ended.Sub(r.began) }

// startStopwatch starts a stopwatch for objects created from now on. The watch ends
// with the context.
func startStopwatch(ctx context.Context, config *rest.Config, resource schema.GroupVersionResource, namespace string, ended func(string) bool) (*stopwatch, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	s := &stopwatch{
		resource: resource,
		client:   client.Resource(resource).Namespace(namespace),
		ended:    ended,
		runs:     map[types.UID]*run{},
		changed:  make(chan struct{}),
	}
	list, err := s.client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", resource.Resource, err)
	}
	events, err := s.client.Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", resource.Resource, err)
	}
	go func() {
		for event := range events.ResultChan() {
			s.record(event, time.Now())
		}
	}()
	return s, nil
}

func (s *stopwatch) record(event watch.Event, at time.Time) {
	object, ok := event.Object.(*unstructured.Unstructured)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.runs[object.GetUID()]
	if event.Type == watch.Added && r == nil {
		r = &run{name: object.GetName(), began: at}
		s.runs[object.GetUID()] = r
	}
	if r == nil || !r.ended.IsZero() {
		return
	}
	r.labels = object.GetLabels()
	r.phase, _, _ = unstructured.NestedString(object.Object, "status", "phase")
	if s.ended(r.phase) {
		r.ended = at
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// await waits until the one object that matches has ended, and returns its run.
func (s *stopwatch) await(ctx context.Context, matches func(types.UID, run) bool) (run, error) {
	var last run
	for {
		s.mu.Lock()
		changed := s.changed
		for uid, r := range s.runs {
			if matches(uid, *r) {
				last = *r
			}
		}
		s.mu.Unlock()
		if !last.ended.IsZero() {
			return last, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return last, fmt.Errorf("wait for the end of %s %q, which is in phase %q: %w", s.resource.Resource, last.name, last.phase, ctx.Err())
		}
	}
}
