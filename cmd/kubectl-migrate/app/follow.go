// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	watchtools "k8s.io/client-go/tools/watch"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	clientv1alpha1 "kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned/typed/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

const (
	// redraw is how often a terminal shows how much time has passed.
	redraw = time.Second
	// retryInterval is the time from a failed read of a Migrate to the next one.
	retryInterval = time.Second
)

// state is a Migrate as it was read last, and why it can't be read now.
type state struct {
	migrate *v1alpha1.Migrate
	problem error
}

// follow shows a Migrate until it has ended, and returns how it did.
func (h *host) follow(ctx context.Context, m *v1alpha1.Migrate, timeout time.Duration) error {
	screen := h.newScreen()
	ended, err := h.awaitEnd(ctx, m, timeout, screen.show)
	if err := errors.Join(err, screen.end()); err != nil {
		return err
	}
	return ofPhase(ended.Status.Phase)
}

// awaitEnd waits until a Migrate has ended. It calls show with each of its states, and every second in between.
func (h *host) awaitEnd(ctx context.Context, m *v1alpha1.Migrate, timeout time.Duration, show func(state) error) (*v1alpha1.Migrate, error) {
	client, err := h.client()
	if err != nil {
		return nil, err
	}
	ctx, cancel := watchtools.ContextWithOptionalTimeout(ctx, timeout)
	defer cancel()
	states := watchOne(ctx, client.Migrates(m.Namespace), m)
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	for current := (state{migrate: m}); ; {
		if err := show(current); err != nil {
			return nil, err
		}
		if migration.IsTerminal(current.migrate.Status.Phase) {
			return current.migrate, nil
		}
		select {
		case next, ok := <-states:
			switch {
			case !ok:
				return nil, &exit{exitUnfinished, fmt.Sprintf("migrate %s has not ended, and goes on. To see it: kubectl migrate status %s --namespace=%s --watch", m.Name, m.Name, m.Namespace)}
			case next.migrate == nil:
				return nil, next.problem
			}
			current = next
		case <-tick.C:
		}
	}
}

// watchOne returns the states of a Migrate. The last one has no Migrate if it can't be read any more; the channel is closed
// when ctx ends.
func watchOne(ctx context.Context, client clientv1alpha1.MigrateInterface, m *v1alpha1.Migrate) <-chan state {
	states := make(chan state)
	watched, cancel := context.WithCancel(ctx)
	send := func(s state) {
		select {
		case states <- s:
		case <-ctx.Done():
		}
	}
	go func() {
		defer close(states)
		defer cancel()
		wait.UntilWithContext(watched, func(ctx context.Context) {
			current, err := client.Get(ctx, m.Name, metav1.GetOptions{})
			if err == nil && current.UID != m.UID || apierrors.IsNotFound(err) {
				err = &lost{fmt.Errorf("migrate %s was deleted", m.Name)}
			}
			if err == nil {
				m = current
				send(state{migrate: m})
				m, err = relay(ctx, client, m, send)
			}
			var end *lost
			switch {
			case err == nil:
			case errors.As(err, &end), apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
				send(state{problem: err})
				cancel()
			default:
				send(state{migrate: m, problem: err})
			}
		}, retryInterval)
	}()
	return states
}

// lost is why a Migrate is there no more.
type lost struct{ error }

// relay watches a Migrate from the state that was read, and sends each state after it, until the watch ends. It returns the last one.
func relay(ctx context.Context, client clientv1alpha1.MigrateInterface, m *v1alpha1.Migrate, send func(state)) (*v1alpha1.Migrate, error) {
	watched, err := client.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + m.Name, ResourceVersion: m.ResourceVersion})
	if err != nil {
		return m, err
	}
	defer watched.Stop()
	for event := range watched.ResultChan() {
		switch event.Type {
		case watch.Modified:
			m = event.Object.(*v1alpha1.Migrate)
			send(state{migrate: m})
		case watch.Deleted:
			return m, &lost{fmt.Errorf("migrate %s was deleted", m.Name)}
		}
	}
	return m, nil
}
