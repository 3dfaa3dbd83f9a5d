// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

var (
	member1 = migration.Cluster{Kind: "AttachedCluster", Name: "member1"}
	velero1 = migration.Velero{Cluster: member1, Namespace: "velero"}
)

func newTestPool(t *testing.T, h Kubeconfigs, o Options) *Pool {
	o.Addresses.AllowLocal = true // where test servers are
	p := NewPool(h, o)
	t.Cleanup(p.Close)
	return p
}

// quick has short timeouts and no automatic retry within a test.
func quick() Options {
	return Options{CallTimeout: 5 * time.Second, RetryMin: time.Hour, RetryMax: time.Hour}
}

func TestCalls(t *testing.T) {
	server := membertest.NewAPIServer(t)
	pool := newTestPool(t, membertest.NewHost(server.Kubeconfig()), quick())
	m := pool.Member("default", velero1)
	ctx := t.Context()

	created, err := m.CreateBackup(ctx, &velerov1.Backup{
		ObjectMeta: metav1.ObjectMeta{Name: "b", Namespace: "elsewhere", UID: "old", ResourceVersion: "7", Labels: map[string]string{"backup.kurator.dev/migrate-uid": "u1"}},
		Status:     velerov1.BackupStatus{Phase: velerov1.BackupPhaseCompleted},
	})
	if err != nil {
		t.Fatal(err)
	}
	if created.Namespace != "velero" || created.Status.Phase != "Completed" {
		t.Errorf("created %s/%s in phase %q", created.Namespace, created.Name, created.Status.Phase)
	}
	if _, err := m.CreateBackup(ctx, &velerov1.Backup{ObjectMeta: metav1.ObjectMeta{Name: "b"}}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("created twice: %v", err)
	}
	if _, err := m.Backup(ctx, "none"); !apierrors.IsNotFound(err) {
		t.Errorf("got a Backup that is not there: %v", err)
	}
	if got, err := m.Backup(ctx, "b"); err != nil || got.Name != "b" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := m.CreateRestore(ctx, &velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Name: "r", Labels: map[string]string{"backup.kurator.dev/migrate-uid": "u1"}}}); err != nil {
		t.Error(err)
	}
	if got, err := m.Restore(ctx, "r"); err != nil || got.Name != "r" {
		t.Errorf("got %v, %v", got, err)
	}

	long := strings.Repeat("x", 80)
	pvb := &velerov1.PodVolumeBackup{ObjectMeta: metav1.ObjectMeta{Name: "p", Labels: map[string]string{
		// The first 57 characters and the start of the SHA-256 of all 80.
		"velero.io/backup-name": strings.Repeat("x", 57) + "d929cd",
	}}}
	if _, err := m.CreatePodVolumeBackup(ctx, pvb); err != nil {
		t.Error(err)
	}
	pvbs, err := m.PodVolumeBackups(ctx, long)
	if err != nil || len(pvbs) != 1 || pvbs[0].Name != "p" {
		t.Errorf("PodVolumeBackups: %v, %v", pvbs, err)
	}

	server.Put("backupstoragelocations", membertest.Object("default", ""))
	locations, err := m.Locations(ctx)
	if err != nil || len(locations) != 1 || locations[0].Name != "default" {
		t.Errorf("locations: %v, %v", locations, err)
	}

	seen := m.Read(ctx, migration.Objects{UID: "u1", Backup: "b", Restore: "r"})
	if seen.Err != nil || seen.Backup == nil || seen.Backup.Name != "b" || seen.Restore == nil || seen.Restore.Name != "r" || len(seen.Locations) != 1 {
		t.Errorf("asked: %+v", seen)
	}
	if seen := m.Read(ctx, migration.Objects{UID: "u2", Backup: "b", Restore: "r"}); seen.Err != nil || seen.Backup != nil || seen.Restore != nil {
		t.Errorf("asked for another: %+v", seen)
	}
}

func TestFaultsOfCalls(t *testing.T) {
	blocked := make(chan struct{})
	defer close(blocked)
	hang := func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-blocked:
		}
	}
	for name, tc := range map[string]struct {
		fault func(s *membertest.APIServer)
		text  string
		// open reports whether no further calls are made to the member.
		open bool
	}{
		"hangs":        {func(s *membertest.APIServer) { s.SetFault(hang) }, "no answer within 50ms", true},
		"hangs midway": {func(s *membertest.APIServer) { s.SetFault(midway(hang)) }, "no answer within 50ms", true},
		"is gone":      {func(s *membertest.APIServer) { s.Stop() }, "connection refused", true},
		"resets": {func(s *membertest.APIServer) {
			s.SetFault(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		}, "INTERNAL_ERROR", true},
		"errors":    {func(s *membertest.APIServer) { s.SetFault(membertest.Status(500, "etcd is down")) }, "etcd is down", false},
		"is busy":   {func(s *membertest.APIServer) { s.SetFault(membertest.Busy) }, "too many", false},
		"forbids":   {func(s *membertest.APIServer) { s.SetFault(membertest.Status(403, "forbidden")) }, "forbidden", false},
		"new token": {func(s *membertest.APIServer) { s.SetToken("another") }, "renew them in its Secret", false},
		"no Velero": {func(s *membertest.APIServer) { s.SetFault(http.NotFound) }, "Velero is not installed", false},
		"redirects": {func(s *membertest.APIServer) {
			s.SetFault(http.RedirectHandler("https://elsewhere.invalid/", http.StatusFound).ServeHTTP)
		}, "", false},
		"says very much":   {func(s *membertest.APIServer) { s.SetFault(membertest.Status(403, strings.Repeat("x", 1<<20))) }, "x...", false},
		"isn't Kubernetes": {func(s *membertest.APIServer) { s.SetFault(membertest.Answer(500, "text/plain", "elsewhere")) }, "it answers 500, and not as Kubernetes does", false},
		"isn't JSON":       {func(s *membertest.APIServer) { s.SetFault(membertest.Answer(200, "text/plain", "elsewhere")) }, "serializer for text/plain doesn't exist", true},
		"answers a YAML bomb": {func(s *membertest.APIServer) {
			s.SetFault(membertest.Answer(200, "application/yaml", "a: &a "+strings.Repeat("x", 100_000)+"\nb: ["+strings.Repeat("*a,", 10_000)+"]\n"))
		}, "serializer for application/yaml doesn't exist", true},
		"answers garbage": {func(s *membertest.APIServer) { s.SetFault(membertest.Garbage) }, "cannot unmarshal", true},
	} {
		t.Run(name, func(t *testing.T) {
			server := membertest.NewAPIServer(t)
			o := quick()
			o.CallTimeout = 50 * time.Millisecond
			if !strings.Contains(tc.text, "50ms") {
				o.CallTimeout = 5 * time.Second
			}
			m := newTestPool(t, membertest.NewHost(server.Kubeconfig()), o).Member("default", velero1)
			tc.fault(server)

			_, err := m.Backup(t.Context(), "b")
			if err == nil || !strings.Contains(err.Error(), tc.text) {
				t.Fatalf("got %v, want %q", err, tc.text)
			}
			if !strings.HasPrefix(err.Error(), `get backup "b" in AttachedCluster default/member1: `) {
				t.Errorf("does not say what and where: %v", err)
			}
			if len(err.Error()) > 1500 {
				t.Errorf("passes on %d characters", len(err.Error()))
			}
			if strings.Contains(err.Error(), "secret-token") || strings.Contains(err.Error(), "elsewhere") {
				t.Errorf("leaks: %v", err)
			}

			var unreachable *UnreachableError
			_, err = m.Backup(t.Context(), "b")
			if got := errors.As(err, &unreachable); got != tc.open {
				t.Errorf("left alone: %v, want %v (%v)", got, tc.open, err)
			}
		})
	}
}

// midway writes the beginning of an answer and then calls then.
func midway(then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write([]byte(`{"kind":"Backup",`))
		_ = http.NewResponseController(w).Flush()
		then(w, r)
	}
}

func TestCanceledCalls(t *testing.T) {
	server := membertest.NewAPIServer(t)
	m := newTestPool(t, membertest.NewHost(server.Kubeconfig()), quick()).Member("default", velero1)
	asked := make(chan struct{}, 1)
	server.SetFault(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if _, err := m.Backup(ctx, "b"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	server.SetFault(nil)
	if _, err := m.Backup(t.Context(), "b"); !apierrors.IsNotFound(err) {
		t.Errorf("the member is held to be at fault: %v", err)
	}
}

func TestConcurrentCallsAreLimited(t *testing.T) {
	server := membertest.NewAPIServer(t)
	o := quick()
	o.MaxCalls = 2
	m := newTestPool(t, membertest.NewHost(server.Kubeconfig()), o).Member("default", velero1)
	var now, most atomic.Int32
	release := make(chan struct{})
	server.SetFault(func(w http.ResponseWriter, r *http.Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		<-release
		now.Add(-1)
		http.NotFound(w, r)
	})
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() { _, _ = m.Backup(t.Context(), "b") })
	}
	for range 6 {
		release <- struct{}{}
	}
	wg.Wait()
	if most.Load() > 2 {
		t.Errorf("%d calls at a time, want 2", most.Load())
	}
}

// TestConcurrentResultsAreLimited checks that Velero is not asked for more files than it provides in time.
func TestConcurrentResultsAreLimited(t *testing.T) {
	server := membertest.NewAPIServer(t)
	o := quick()
	o.MaxResults = 2
	m := newTestPool(t, membertest.NewHost(server.Kubeconfig()), o).Member("default", velero1)
	request := migration.ResultsRequest{Results: &velerov1.DownloadRequest{ObjectMeta: metav1.ObjectMeta{Name: "results"}}}
	asked, release := make(chan struct{}), make(chan struct{})
	var now, most atomic.Int32
	server.SetFault(func(w http.ResponseWriter, r *http.Request) {
		most.Store(max(most.Load(), now.Add(1)))
		asked <- struct{}{}
		<-release
		now.Add(-1)
		http.NotFound(w, r)
	})
	var wg sync.WaitGroup
	const reads = 6
	for range reads {
		wg.Go(func() { m.Results(t.Context(), request) })
	}
	<-asked
	<-asked
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if got := m.Results(ctx, request); got.Err == nil || !strings.Contains(got.Err.Error(), "the results of 2 other Backups and Restores are being read") {
		t.Errorf("a read that is not begun has the error %v", got.Err)
	}
	for range reads - 2 {
		release <- struct{}{}
		<-asked
	}
	close(release)
	wg.Wait()
	if most.Load() > 2 {
		t.Errorf("%d reads at a time, want 2", most.Load())
	}
}

func TestKubeconfigIsReadAgain(t *testing.T) {
	t.Run("not at each call", func(t *testing.T) {
		server := membertest.NewAPIServer(t)
		h := membertest.NewHost(server.Kubeconfig())
		m := newTestPool(t, h, quick()).Member("default", velero1)
		for range 3 {
			_, _ = m.Backup(t.Context(), "b")
		}
		if h.Count() != 1 {
			t.Errorf("read %d times, want 1", h.Count())
		}
	})
	t.Run("when it is due", func(t *testing.T) {
		first, second := membertest.NewAPIServer(t), membertest.NewAPIServer(t)
		h := membertest.NewHost(first.Kubeconfig())
		o := quick()
		o.RecheckInterval = time.Nanosecond
		m := newTestPool(t, h, o).Member("default", velero1)
		_, _ = m.Backup(t.Context(), "b")
		h.Set(second.Kubeconfig(), nil)
		_, _ = m.Backup(t.Context(), "b")
		if first.Count("get backups") != 1 || second.Count("get backups") != 1 {
			t.Errorf("asked %d and %d times, want 1 and 1", first.Count("get backups"), second.Count("get backups"))
		}
	})
	t.Run("when it is said to have changed", func(t *testing.T) {
		first, second := membertest.NewAPIServer(t), membertest.NewAPIServer(t)
		h := membertest.NewHost(first.Kubeconfig())
		pool := newTestPool(t, h, quick())
		m := pool.Member("default", velero1)
		_, _ = m.Backup(t.Context(), "b")
		h.Set(second.Kubeconfig(), nil)
		pool.Invalidate("default", member1)
		_, _ = m.Backup(t.Context(), "b")
		if second.Count("get backups") != 1 {
			t.Error("the second was not asked")
		}
	})
	t.Run("when the credentials are refused", func(t *testing.T) {
		server := membertest.NewAPIServer(t)
		h := membertest.NewHost(server.Kubeconfig())
		m := newTestPool(t, h, quick()).Member("default", velero1)
		_, _ = m.Backup(t.Context(), "b")
		server.SetToken("renewed")
		h.Set(server.Kubeconfig(), nil)
		if _, err := m.Backup(t.Context(), "b"); !apierrors.IsNotFound(err) {
			t.Errorf("not asked with the renewed credentials: %v", err)
		}
		if h.Refusals() != 1 {
			t.Errorf("the host learned of %d refusals, want 1", h.Refusals())
		}
	})
	t.Run("but not for a cluster that does not answer", func(t *testing.T) {
		server := membertest.NewAPIServer(t)
		h := membertest.NewHost(strings.Replace(server.Kubeconfig(), "https://127.0.0.1:", "https://127.0.0.1:1", 1))
		m := newTestPool(t, h, quick()).Member("default", velero1)
		if _, err := m.Backup(t.Context(), "b"); err == nil || h.Refusals() != 0 {
			t.Errorf("the host learned of %d refusals after %v", h.Refusals(), err)
		}
	})
	t.Run("but the connection stays in use while the host does not answer", func(t *testing.T) {
		server := membertest.NewAPIServer(t)
		h := membertest.NewHost(server.Kubeconfig())
		o := quick()
		o.RecheckInterval = time.Nanosecond
		m := newTestPool(t, h, o).Member("default", velero1)
		_, _ = m.Backup(t.Context(), "b")
		h.Set("", apierrors.NewServiceUnavailable("host is down"))
		if _, err := m.Backup(t.Context(), "b"); !apierrors.IsNotFound(err) {
			t.Errorf("not asked: %v", err)
		}
		h.Set("", errors.New("secret not found"))
		if _, err := m.Backup(t.Context(), "b"); err == nil || !strings.Contains(err.Error(), "secret not found") {
			t.Errorf("asked without a way in: %v", err)
		}
	})
}

// TestErrorsOfTheHost checks that errors of the host are not reported as answers of the member.
func TestErrorsOfTheHost(t *testing.T) {
	for _, answer := range []error{
		apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "s", errors.New("no")),
		apierrors.NewUnauthorized("expired"),
		apierrors.NewServiceUnavailable("host is down"),
	} {
		h := membertest.NewBrokenHost(fmt.Errorf("read Secret default/s on the host: %w", answer))
		m := newTestPool(t, h, quick()).Member("default", velero1)
		for range 2 {
			_, err := m.Backup(t.Context(), "b")
			if err == nil || !strings.Contains(err.Error(), "read Secret default/s on the host: "+answer.Error()) {
				t.Errorf("got %v, want %v", err, answer)
			}
		}
		if h.Count() != 1 {
			t.Errorf("%v: asked %d times, want 1", answer, h.Count())
		}
	}
}

func TestInvalidateRetriesImmediately(t *testing.T) {
	server := membertest.NewAPIServer(t)
	h := membertest.NewBrokenHost(errors.New("secret not found"))
	pool := newTestPool(t, h, quick())
	m := pool.Member("default", velero1)
	_, _ = m.Backup(t.Context(), "b")
	h.Set(server.Kubeconfig(), nil)
	if _, err := m.Backup(t.Context(), "b"); !strings.Contains(err.Error(), "secret not found") {
		t.Fatalf("not left alone: %v", err)
	}
	pool.Invalidate("default", member1)
	if _, err := m.Backup(t.Context(), "b"); !apierrors.IsNotFound(err) {
		t.Errorf("not asked: %v", err)
	}
}

func TestIdleMembersAreRemoved(t *testing.T) {
	pool := newTestPool(t, membertest.NewHost(""), Options{IdleTimeout: time.Nanosecond})
	pool.Member("default", velero1)
	pool.Member("default", migration.Velero{Cluster: migration.Cluster{Kind: "Cluster", Name: "other"}, Namespace: "velero"})
	if len(pool.members) != 1 {
		t.Errorf("%d members are kept, want 1", len(pool.members))
	}
}
