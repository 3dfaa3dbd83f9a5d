// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package ha

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned"
	typed "kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned/typed/backup/v1alpha1"
)

const (
	// namespace is the namespace of the Migrates of a load. Their fleet does not exist.
	namespace = "default"
	// writers is the number of clients, each with its own connections.
	writers = 4
	// pause is the time between two rounds of a writer.
	pause = 20 * time.Millisecond
	// revision is the label that a writer increments.
	revision = "ha.test/revision"
	// requestTimeout is the timeout of a request, including its retries.
	requestTimeout = 30 * time.Second
)

// load writes and reads until it is stopped, and records what was acknowledged.
type load struct {
	label   string
	migrate typed.MigrateInterface
	watcher *watcher
	stop    context.CancelFunc
	running sync.WaitGroup
	start   time.Time

	mu        sync.Mutex
	succeeded []time.Time
	slowest   time.Duration
	failures  []error
	objects   map[string]*objectState
}

// objectState is the acknowledged state of an object.
type objectState struct {
	created, deleted bool
	revision         int
	// failed is the write that failed, if any; it may have been stored nevertheless. No
	// other write follows it.
	failed string
}

// startLoad starts the writers, which also read, and a watch of the objects with a label.
func startLoad(t *testing.T, config *rest.Config, label string) *load {
	t.Helper()
	client := newClient(t, config)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	l := &load{label: label, migrate: client.BackupV1alpha1().Migrates(namespace), stop: cancel, start: time.Now(), objects: map[string]*objectState{}}
	l.watcher = startWatcher(ctx, t, client.BackupV1alpha1().Migrates(namespace), label)
	for n := range writers {
		// With their own connections, the loss of one fails the requests of one writer only.
		writer := newClient(t, config).BackupV1alpha1().Migrates(namespace)
		l.running.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				l.round(ctx, writer, fmt.Sprintf("%s-%d-%d", label, n, i))
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		l.running.Wait()
	})
	return l
}

func newClient(t *testing.T, config *rest.Config) versioned.Interface {
	t.Helper()
	config = rest.CopyConfig(config)
	config.QPS = -1
	// With its own dial function, client-go does not share connections between clients.
	config.Dial = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	client, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// round creates an object, patches it twice, gets it and a list, and deletes every second
// object.
func (l *load) round(ctx context.Context, client typed.MigrateInterface, name string) {
	state := &objectState{}
	l.mu.Lock()
	l.objects[name] = state
	l.mu.Unlock()
	if !l.do(ctx, state, "create", func(ctx context.Context) error {
		_, err := client.Create(ctx, l.object(name), metav1.CreateOptions{})
		return err
	}, func() { state.created = true }) {
		return
	}
	for i := 1; i <= 2; i++ {
		patch := fmt.Appendf(nil, "{\"metadata\":{\"labels\":{%q:%q}}}", revision, strconv.Itoa(i))
		if !l.do(ctx, state, "patch", func(ctx context.Context) error {
			_, err := client.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
			return err
		}, func() { state.revision = i }) {
			return
		}
	}
	l.do(ctx, nil, "get", func(ctx context.Context) error {
		_, err := client.Get(ctx, name, metav1.GetOptions{})
		return err
	}, func() {})
	l.do(ctx, nil, "list", func(ctx context.Context) error {
		_, err := client.List(ctx, metav1.ListOptions{Limit: 20})
		return err
	}, func() {})
	if name[len(name)-1]%2 == 0 {
		l.do(ctx, state, "delete", func(ctx context.Context) error {
			return client.Delete(ctx, name, metav1.DeleteOptions{})
		}, func() { state.deleted = true })
	}
}

func (l *load) object(name string) *v1alpha1.Migrate {
	m := &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: name, Labels: map[string]string{"ha.test/load": l.label, revision: "0"},
	}}
	m.Spec.SourceCluster.Fleet, m.Spec.TargetCluster.Fleet = "nowhere", "nowhere"
	return m
}

// do makes a request, records its outcome, and calls acknowledged and returns true if it
// succeeded. state is nil for a read.
func (l *load) do(ctx context.Context, state *objectState, what string, request func(context.Context) error, acknowledged func()) bool {
	// A request that has started is finished even if the load is stopped.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	start := time.Now()
	err := request(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, time.Since(start))
	if err != nil {
		l.failures = append(l.failures, fmt.Errorf("%s after %v: %w%s", what, time.Since(start).Round(time.Millisecond), err, body(err)))
		if state != nil {
			state.failed = what
		}
		return false
	}
	l.succeeded = append(l.succeeded, time.Now())
	acknowledged()
	return true
}

// body returns the body of a response that is not a Status: with one the
// host's aggregator reports why it could not proxy a request.
func body(err error) string {
	var status *apierrors.StatusError
	if !errors.As(err, &status) || status.ErrStatus.Details == nil {
		return ""
	}
	text := ""
	for _, cause := range status.ErrStatus.Details.Causes {
		if cause.Type == metav1.CauseTypeUnexpectedServerResponse {
			text += ": " + cause.Message
		}
	}
	return text
}

// count returns the number of requests that have succeeded.
func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.succeeded)
}

// awaitMore waits until n more requests have succeeded.
func (l *load) awaitMore(t *testing.T, n int) {
	t.Helper()
	want := l.count() + n
	eventually(t, fmt.Sprintf("%d more requests to succeed", n), func() bool { return l.count() >= want })
}

// result is the result of a load.
type result struct {
	requests int
	failed   []error
	// gap is the longest time without a successful request, slowest the duration of the
	// slowest request.
	gap, slowest time.Duration
	relists      int
}

func (r result) String() string {
	s := fmt.Sprintf("%d requests, %d failed, longest gap %v, slowest request %v, %d relists",
		r.requests, len(r.failed), r.gap.Round(time.Millisecond), r.slowest.Round(time.Millisecond), r.relists)
	for i, err := range r.failed {
		if i == 3 {
			s += "\n    …"
			break
		}
		s += "\n    " + err.Error()
	}
	return s
}

// end stops the load, checks what is stored and what the watch has seen, and returns the result.
func (l *load) end(t *testing.T) result {
	t.Helper()
	l.stop()
	l.running.Wait()
	all := l.list(t)
	stored := map[string]*v1alpha1.Migrate{}
	for i := range all.Items {
		stored[all.Items[i].Name] = &all.Items[i]
	}
	l.check(t, stored)
	l.watcher.awaitVersion(t, all)
	for name, state := range l.objects {
		if state.created {
			l.watcher.check(t, name, state)
		}
	}
	l.watcher.checkEqual(t, stored)

	times := append([]time.Time{l.start}, l.succeeded...)
	slices.SortFunc(times, time.Time.Compare)
	r := result{requests: len(l.succeeded) + len(l.failures), failed: l.failures, slowest: l.slowest, relists: l.watcher.relists}
	for i := 1; i < len(times); i++ {
		r.gap = max(r.gap, times[i].Sub(times[i-1]))
	}
	return r
}

// list lists the objects of the load as soon as the server is available.
func (l *load) list(t *testing.T) *v1alpha1.MigrateList {
	t.Helper()
	var all *v1alpha1.MigrateList
	eventually(t, "a list", func() bool {
		var err error
		all, err = l.migrate.List(t.Context(), metav1.ListOptions{LabelSelector: "ha.test/load=" + l.label})
		return err == nil
	})
	return all
}

// check compares the stored objects with the acknowledged writes.
func (l *load) check(t *testing.T, stored map[string]*v1alpha1.Migrate) {
	t.Helper()
	for name, state := range l.objects {
		m := stored[name]
		switch {
		case state.deleted && m != nil:
			t.Errorf("%s was deleted but is stored", name)
		case state.created && !state.deleted && m == nil && state.failed != "delete":
			t.Errorf("%s was created but is not stored", name)
		case state.created && m != nil:
			got, _ := strconv.Atoi(m.Labels[revision])
			if got != state.revision && (got != state.revision+1 || state.failed != "patch") {
				t.Errorf("%s has revision %d, want %d", name, got, state.revision)
			}
		}
	}
}
