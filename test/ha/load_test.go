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
	// namespace has the Migrates of a load. Their fleet does not exist.
	namespace = "default"
	// writers is the number of clients, each with its own connections.
	writers = 4
	// pause is between two rounds of one writer.
	pause = 20 * time.Millisecond
	// revision is the label that a writer counts up.
	revision = "ha.test/revision"
	// requestTimeout is a request's, its retries included.
	requestTimeout = 30 * time.Second
)

// load writes and reads until it is stopped, and keeps the books.
type load struct {
	label   string
	migrate typed.MigrateInterface
	view    *view
	stop    context.CancelFunc
	running sync.WaitGroup
	began   time.Time

	mu        sync.Mutex
	succeeded []time.Time
	slowest   time.Duration
	failures  []error
	books     map[string]*book
}

// book is what was acknowledged of one object.
type book struct {
	// created, revision and deleted are the last that were acknowledged.
	created, deleted bool
	revision         int
	// doubt is the request that failed, of which it is not known whether it was
	// carried out. Nothing comes after it.
	doubt string
}

// startLoad starts writers, readers and a watch of objects with a label.
func startLoad(t *testing.T, config *rest.Config, label string) *load {
	t.Helper()
	client := newClient(t, config)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	l := &load{label: label, migrate: client.BackupV1alpha1().Migrates(namespace), stop: cancel, began: time.Now(), books: map[string]*book{}}
	l.view = watchAll(ctx, t, client.BackupV1alpha1().Migrates(namespace), label)
	for n := range writers {
		// Each has its own connections: what is lost with one is not lost for all.
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
	// A dial function of one's own keeps client-go from sharing connections.
	config.Dial = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	client, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// round creates an object, changes it twice, reads it and a list, and deletes every
// second one.
func (l *load) round(ctx context.Context, client typed.MigrateInterface, name string) {
	b := &book{}
	l.mu.Lock()
	l.books[name] = b
	l.mu.Unlock()
	if !l.do(ctx, b, "create", func(ctx context.Context) error {
		_, err := client.Create(ctx, l.object(name), metav1.CreateOptions{})
		return err
	}, func() { b.created = true }) {
		return
	}
	for i := 1; i <= 2; i++ {
		patch := fmt.Appendf(nil, "{\"metadata\":{\"labels\":{%q:%q}}}", revision, strconv.Itoa(i))
		if !l.do(ctx, b, "patch", func(ctx context.Context) error {
			_, err := client.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
			return err
		}, func() { b.revision = i }) {
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
		l.do(ctx, b, "delete", func(ctx context.Context) error {
			return client.Delete(ctx, name, metav1.DeleteOptions{})
		}, func() { b.deleted = true })
	}
}

func (l *load) object(name string) *v1alpha1.Migrate {
	m := &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: name, Labels: map[string]string{"ha.test/load": l.label, revision: "0"},
	}}
	m.Spec.SourceCluster.Fleet, m.Spec.TargetCluster.Fleet = "nowhere", "nowhere"
	return m
}

// do makes a request and notes how it went; acknowledged is called if it succeeded.
func (l *load) do(ctx context.Context, b *book, what string, request func(context.Context) error, acknowledged func()) bool {
	// What was begun is finished also when the load is stopped.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	began := time.Now()
	err := request(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, time.Since(began))
	if err != nil {
		l.failures = append(l.failures, fmt.Errorf("%s after %v: %w%s", what, time.Since(began).Round(time.Millisecond), err, body(err)))
		if b != nil {
			b.doubt = what
		}
		return false
	}
	l.succeeded = append(l.succeeded, time.Now())
	acknowledged()
	return true
}

// body is what was answered where that was not a Status: the host's aggregator says so
// why it could not pass a request on.
func body(err error) string {
	var status *apierrors.StatusError
	if !errors.As(err, &status) || status.ErrStatus.Details == nil {
		return ""
	}
	said := ""
	for _, cause := range status.ErrStatus.Details.Causes {
		if cause.Type == metav1.CauseTypeUnexpectedServerResponse {
			said += ": " + cause.Message
		}
	}
	return said
}

// count is how many requests have succeeded.
func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.succeeded)
}

// awaitMore returns when n more requests have succeeded.
func (l *load) awaitMore(t *testing.T, n int) {
	t.Helper()
	want := l.count() + n
	eventually(t, fmt.Sprintf("%d more requests to succeed", n), func() bool { return l.count() >= want })
}

// result is what a load went through.
type result struct {
	requests int
	failed   []error
	// gap is the longest time in which nothing succeeded, and slowest that of one
	// request.
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

// end stops the load and checks the books and the watch.
func (l *load) end(t *testing.T) result {
	t.Helper()
	l.stop()
	l.running.Wait()
	all := l.listWhenItAnswers(t)
	there := map[string]*v1alpha1.Migrate{}
	for i := range all.Items {
		there[all.Items[i].Name] = &all.Items[i]
	}
	l.check(t, there)
	l.view.awaitVersion(t, all)
	for name, b := range l.books {
		if b.created {
			l.view.check(t, name, b)
		}
	}
	l.view.equals(t, there)

	times := append([]time.Time{l.began}, l.succeeded...)
	slices.SortFunc(times, time.Time.Compare)
	r := result{requests: len(l.succeeded) + len(l.failures), failed: l.failures, slowest: l.slowest, relists: l.view.relists}
	for i := 1; i < len(times); i++ {
		r.gap = max(r.gap, times[i].Sub(times[i-1]))
	}
	return r
}

func (l *load) listWhenItAnswers(t *testing.T) *v1alpha1.MigrateList {
	t.Helper()
	var all *v1alpha1.MigrateList
	eventually(t, "a list", func() bool {
		var err error
		all, err = l.migrate.List(t.Context(), metav1.ListOptions{LabelSelector: "ha.test/load=" + l.label})
		return err == nil
	})
	return all
}

// check compares what is there with what was acknowledged.
func (l *load) check(t *testing.T, there map[string]*v1alpha1.Migrate) {
	t.Helper()
	for name, b := range l.books {
		m := there[name]
		switch {
		case b.deleted && m != nil:
			t.Errorf("%s was deleted and is there", name)
		case b.created && !b.deleted && m == nil && b.doubt != "delete":
			t.Errorf("%s was created and is not there", name)
		case b.created && m != nil:
			got, _ := strconv.Atoi(m.Labels[revision])
			if got != b.revision && (got != b.revision+1 || b.doubt != "patch") {
				t.Errorf("%s has revision %d, want %d", name, got, b.revision)
			}
		}
	}
}
