// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
)

// stream is a watch of a member, for a reflector. It passes on the objects that were requested,
// and replaces the error that ends the watch by one without the text of the member.
type stream[T object, L list] struct {
	lw        *listWatch[T, L]
	from      watch.Interface
	allowance *limits.Allowance
	foreign   int

	result   chan watch.Event
	stop     chan struct{}
	stopOnce sync.Once
	done     chan struct{}
}

func newStream[T object, L list](lw *listWatch[T, L], from watch.Interface, a *limits.Allowance) *stream[T, L] {
	s := &stream[T, L]{
		lw: lw, from: from, allowance: a,
		result: make(chan watch.Event), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go s.run()
	return s
}

func (s *stream[T, L]) ResultChan() <-chan watch.Event { return s.result }

// Stop ends the stream and waits for it.
func (s *stream[T, L]) Stop() {
	s.stopOnce.Do(func() { close(s.stop) })
	s.from.Stop()
	<-s.done
}

func (s *stream[T, L]) run() {
	defer close(s.done)
	defer close(s.result)
	defer s.from.Stop()
	err := s.forward()
	s.record(err)
}

// forward passes events on until the watch ends, and returns its error.
func (s *stream[T, L]) forward() error {
	healthy := time.NewTimer(healthyWatch)
	defer healthy.Stop()
	if !s.lw.suspect {
		s.lw.cache.works(s.lw.store.resource)
	}
	for {
		select {
		case <-s.stop:
			return nil
		case <-healthy.C:
			s.lw.short, s.lw.suspect = 0, false
			s.lw.cache.works(s.lw.store.resource)
		case event, ok := <-s.from.ResultChan():
			if !ok {
				return s.allowance.Err()
			}
			pass, err := s.check(&event)
			if pass {
				select {
				case <-s.stop:
					return nil
				case s.result <- event:
				}
			}
			if err != nil {
				return err
			}
		}
	}
}

// check reports whether to pass an event on, and returns an error if the watch ends.
func (s *stream[T, L]) check(event *watch.Event) (pass bool, err error) {
	if event.Type == watch.Error {
		err = s.explain(apierrors.FromObject(event.Object))
		// By the error the reflector decides whether to continue from its resource version.
		event.Object = &metav1.Status{Status: metav1.StatusFailure, Code: codeOf(err), Reason: apierrors.ReasonForError(err)}
		return !errors.As(err, new(*limits.Error)), err
	}
	item, isObject := event.Object.(T)
	switch {
	case isObject && event.Type == watch.Bookmark && len(item.GetResourceVersion()) <= maxVersion:
		return true, nil
	case !isObject, !s.lw.isRequested(item):
		return false, s.lw.countForeign(&s.foreign)
	}
	return true, nil
}

// explain returns the error that ended a watch, as it is reported.
func (s *stream[T, L]) explain(err error) error {
	if failed := s.allowance.Err(); failed != nil {
		return failed
	}
	var status *apierrors.StatusError
	if !errors.As(err, &status) || apierrors.HasStatusCause(err, metav1.CauseType("ClientWatchDecoding")) {
		// It may be text of the member that can't be decoded, or a connection that broke.
		return errBrokenWatch
	}
	return client.ExplainStatus(status)
}

var errBrokenWatch = errors.New("the connection breaks, or its events can't be decoded")

func codeOf(err error) int32 {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Code
	}
	return 0
}

// record records the end of the watch, and a fault if several in a row end with an error.
func (s *stream[T, L]) record(err error) {
	lw := s.lw
	if lw.short++; time.Since(lw.started) >= healthyWatch {
		lw.short = 0
	}
	var exceeded *limits.Error
	switch {
	case errors.As(err, &exceeded):
		lw.abort(exceeded)
	case err != nil && lw.short > 1 && !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err):
		lw.suspect = true
		lw.cache.note(lw.store.resource, fmt.Errorf("the watch of %s ends again and again: %w", lw.store.resource, err))
	}
}
