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
func (h *host) follow(ctx context.Context, m *v1alpha1.Migrate) error {
	screen := h.newScreen()
	ended, err := h.awaitEnd(ctx, m, screen.show)
	if err := errors.Join(err, screen.end()); err != nil {
		return err
	}
	return ofPhase(ended.Status.Phase)
}

// awaitEnd waits until a Migrate has ended, or ctx has. It calls show with each of its states, and every second in between.
func (h *host) awaitEnd(ctx context.Context, m *v1alpha1.Migrate, show func(state) error) (*v1alpha1.Migrate, error) {
	client, err := h.client()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
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
				return nil, unfinished(current)
			case next.migrate == nil:
				return nil, next.problem
			}
			current = next
		case <-tick.C:
		}
	}
}

// unfinished returns the end of a command that does not wait any longer.
func unfinished(last state) error {
	m := last.migrate
	message := fmt.Sprintf("migrate %s has not ended, and goes on", m.Name)
	if last.problem != nil {
		message = fmt.Sprintf("migrate %s had not ended when it was read last, and can't be read: %v", m.Name, last.problem)
	}
	return &exit{exitUnfinished, fmt.Sprintf("%s. To see it: kubectl migrate status %s --namespace=%s --watch", message, m.Name, m.Namespace)}
}

// watchOne returns the states of a Migrate. The last one has no Migrate if it was deleted; the channel is closed when ctx ends.
func watchOne(ctx context.Context, client clientv1alpha1.MigrateInterface, m *v1alpha1.Migrate) <-chan state {
	states := make(chan state)
	watched, cancel := context.WithCancel(ctx)
	send := func(s state) {
		if ctx.Err() != nil {
			return // its problem is that the time is over
		}
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
			if err == nil && current.UID != m.UID || isGone(err) {
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
			case errors.As(err, &end):
				send(state{problem: err})
				cancel()
			default: // also a 401 or 403, which may be over when the credentials have been renewed
				send(state{migrate: m, problem: err})
			}
		}, retryInterval)
	}()
	return states
}

// isGone reports whether an error says that an object does not exist, and not that its API is not served now.
func isGone(err error) bool {
	return apierrors.IsNotFound(err) && !apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
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
