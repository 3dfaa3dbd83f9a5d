// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// patient does not retry within a test; impatient retries immediately.
func patient() Options { return quick() }

func impatient() Options { return Options{RetryMin: time.Millisecond, RetryMax: 5 * time.Millisecond} }

// spectator watches a member and waits for observations.
type spectator struct {
	t       *testing.T
	watches map[types.UID]*Watch
	changes chan types.UID
}

func newSpectator(t *testing.T, pool *Pool) *spectator {
	return newSpectatorOf(t, pool, velero1)
}

// newSpectatorOf watches for Migrates u1 and u2.
func newSpectatorOf(t *testing.T, pool *Pool, of migration.Velero) *spectator {
	s := &spectator{t: t, watches: map[types.UID]*Watch{}, changes: make(chan types.UID, 1000)}
	for _, uid := range []types.UID{"u1", "u2"} {
		s.watches[uid] = pool.Watch("default", of, uid, func(uid types.UID) { s.changes <- uid })
	}
	t.Cleanup(s.stop)
	return s
}

func (s *spectator) stop() {
	for _, w := range s.watches {
		w.Stop()
	}
}

func (s *spectator) observe(uid types.UID) (migration.Member, bool) {
	return s.watches[uid].Observe(objectsOf(uid))
}

// objectsOf identifies the objects of the Migrate with a UID such as u1: b1 and r1.
func objectsOf(uid types.UID) migration.Objects {
	number := strings.TrimPrefix(string(uid), "u")
	return migration.Objects{UID: uid, Backup: "b" + number, Restore: "r" + number}
}

// await returns the observation once it is as wanted. It observes only after a change is announced.
func (s *spectator) await(what string, uid types.UID, wanted func(migration.Member) bool) migration.Member {
	s.t.Helper()
	timeout := time.After(time.Minute)
	for {
		seen, ok := s.observe(uid)
		if ok && wanted(seen) {
			return seen
		}
		select {
		case <-s.changes:
		case <-timeout:
			s.t.Fatalf("%s: not seen, but %+v, %v", what, seen, ok)
		}
	}
}

// awaitChange returns when a change of this Migrate, or of all, is announced.
func (s *spectator) awaitChange(uid types.UID) {
	s.t.Helper()
	timeout := time.After(time.Minute)
	for {
		select {
		case got := <-s.changes:
			if got == uid {
				return
			}
		case <-timeout:
			s.t.Fatalf("no change of %q is announced", uid)
		}
	}
}

func reachable(m migration.Member) bool { return m.Err == nil }

func failing(text string) func(migration.Member) bool {
	return func(m migration.Member) bool { return m.Err != nil && strings.Contains(m.Err.Error(), text) }
}

func TestWatch(t *testing.T) {
	server := membertest.NewAPIServer(t)
	server.Put("backups", membertest.WithPhase(membertest.Object("b1", "u1"), "InProgress"))
	server.Put("backups", membertest.Object("foreign", ""))
	server.Put("backupstoragelocations", membertest.WithPhase(membertest.Object("default", ""), "Available"))
	s := newSpectator(t, newTestPool(t, membertest.NewHost(server.Kubeconfig()), patient()))

	seen := s.await("what was there", "u1", reachable)
	if seen.Backup == nil || seen.Backup.Name != "b1" || seen.Restore != nil || len(seen.Locations) != 1 || !seen.Since.IsZero() {
		t.Fatalf("observed %+v", seen)
	}
	server.AwaitWatches(3)

	server.Put("backups", membertest.WithPhase(membertest.Object("b1", "u1"), "Completed"))
	s.awaitChange("u1")
	s.await("a change", "u1", func(m migration.Member) bool { return m.Backup.Status.Phase == "Completed" })

	server.Put("restores", membertest.Object("r2", "u2"))
	s.awaitChange("u2")
	s.await("a new object", "u2", func(m migration.Member) bool { return m.Restore != nil && m.Backup == nil })

	server.Remove("backups", "b1")
	s.awaitChange("u1")
	s.await("a removal", "u1", func(m migration.Member) bool { return m.Backup == nil })

	server.Put("backupstoragelocations", membertest.WithPhase(membertest.Object("default", ""), "Unavailable"))
	s.awaitChange("")
	s.await("storage", "u1", func(m migration.Member) bool { return m.Locations[0].Status.Phase == "Unavailable" })
}

func TestWatchIsSharedAndClosedWithTheLast(t *testing.T) {
	server := membertest.NewAPIServer(t)
	pool := newTestPool(t, membertest.NewHost(server.Kubeconfig()), patient())
	first, second := newSpectator(t, pool), newSpectator(t, pool)
	server.AwaitWatches(3)
	first.stop()
	first.stop()
	server.Put("backups", membertest.Object("b1", "u1"))
	second.awaitChange("u1")
	if n := server.Count("watch backups"); n != 1 {
		t.Errorf("Backups are watched %d times, want once", n)
	}
	second.stop()
	server.AwaitWatches(0)

	third := newSpectator(t, pool)
	third.await("what is there", "u1", func(m migration.Member) bool { return m.Backup != nil })
}

func TestWatchObservesWhatWasCreatedAtOnce(t *testing.T) {
	server := membertest.NewAPIServer(t)
	pool := newTestPool(t, membertest.NewHost(server.Kubeconfig()), patient())
	s := newSpectator(t, pool)
	s.await("nothing", "u1", reachable)
	server.AwaitWatches(3)

	server.DropWatches()
	backup := &velerov1.Backup{ObjectMeta: metav1.ObjectMeta{Name: "b1", Labels: map[string]string{"backup.kurator.dev/migrate-uid": "u1"}}}
	if _, err := pool.Member("default", velero1).CreateBackup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	if seen, _ := s.observe("u1"); seen.Backup == nil {
		t.Error("not observed")
	}
}

func TestWatchAfterRestartOfMember(t *testing.T) {
	server := membertest.NewAPIServer(t)
	server.Put("backups", membertest.Object("b1", "u1"))
	s := newSpectator(t, newTestPool(t, membertest.NewHost(server.Kubeconfig()), impatient()))
	s.await("the Backup", "u1", func(m migration.Member) bool { return m.Backup != nil && m.Err == nil })
	server.AwaitWatches(3)

	server.Stop()
	seen := s.await("that it is gone", "u1", failing("connection refused"))
	if seen.Backup == nil || seen.Since.IsZero() {
		t.Errorf("what it said last is forgotten, or since when: %+v", seen)
	}
	s.await("the same fault", "u1", func(m migration.Member) bool { return m.Err.Error() == seen.Err.Error() && m.Since.Equal(seen.Since) })

	server.StartAgain()
	s.await("that it is back", "u1", func(m migration.Member) bool { return m.Backup != nil && m.Err == nil && m.Since.IsZero() })
}

// TestTwoVelerosOfAMember checks that the objects of two Veleros are distinguished.
func TestTwoVelerosOfAMember(t *testing.T) {
	server := membertest.NewAPIServer(t)
	server.Put("backups", membertest.Object("b1", "u1"))
	server.PutInto("velero-2/backups", membertest.WithPhase(membertest.Object("b1", "u1"), "Completed"))
	pool := newTestPool(t, membertest.NewHost(server.Kubeconfig()), patient())
	for namespace, want := range map[string]velerov1.BackupPhase{"velero": "", "velero-2": velerov1.BackupPhaseCompleted} {
		velero := migration.Velero{Cluster: member1, Namespace: namespace}
		s := newSpectatorOf(t, pool, velero)
		s.await("what there is in "+namespace, "u1", func(m migration.Member) bool { return m.Backup != nil && m.Backup.Status.Phase == want })
		if asked := pool.Member("default", velero).Read(t.Context(), objectsOf("u1")); asked.Backup == nil || asked.Backup.Status.Phase != want {
			t.Errorf("asked in %s: %+v", namespace, asked)
		}
		created, err := pool.Member("default", velero).CreateRestore(t.Context(), &velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Name: "r"}})
		if err != nil || created.Namespace != namespace {
			t.Errorf("created in %s: %+v, %v", namespace, created, err)
		}
	}
}

func TestInvalidVeleroNamespace(t *testing.T) {
	server := membertest.NewAPIServer(t)
	pool := newTestPool(t, membertest.NewHost(server.Kubeconfig()), quick())
	long := strings.Repeat("x", 100)
	for namespace, want := range map[string]string{
		"":    `annotation backup.kurator.dev/velero-namespace of AttachedCluster default/member1 is ""; set it to the namespace of the cluster's Velero: a lowercase RFC 1123 label`,
		"a/b": `default/member1 is "a/b"; set it`,
		long:  `is "` + long[:60] + `..."; set it`,
	} {
		seen := pool.Member("default", migration.Velero{Cluster: member1, Namespace: namespace}).Read(t.Context(), objectsOf("u1"))
		if !errors.Is(seen.Err, client.ErrVeleroNamespace) || !strings.Contains(seen.Err.Error(), want) {
			t.Errorf("%q: %v, want %q", namespace, seen.Err, want)
		}
	}
}

func TestWatchOfHangingMember(t *testing.T) {
	server := membertest.NewAPIServer(t)
	o := impatient()
	o.CallTimeout = 50 * time.Millisecond
	pool := newTestPool(t, membertest.NewHost(server.Kubeconfig()), o)
	server.SetFault(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s := newSpectator(t, pool)
	s.await("that it hangs", "u1", failing("no answer within 50ms"))
	server.SetFault(nil)
	s.await("that it answers", "u1", reachable)
}

func TestWatchHangsAtStart(t *testing.T) {
	server := membertest.NewAPIServer(t)
	o := impatient()
	o.CallTimeout = 50 * time.Millisecond
	pool := newTestPool(t, membertest.NewHost(server.Kubeconfig()), o)
	server.SetFault(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("watch") != "" {
			<-r.Context().Done()
			return
		}
		server.List(w, r, "backups")
	})
	s := newSpectator(t, pool)
	s.await("that it hangs", "u1", failing("no answer within 50ms"))
}

// TestWatchThroughBlackholedNetwork drops packets, so that the connection is never closed.
func TestWatchThroughBlackholedNetwork(t *testing.T) {
	server := membertest.NewAPIServer(t)
	network := newNetwork(t, server.Address())
	h := membertest.NewHost(strings.ReplaceAll(server.Kubeconfig(), server.Address(), network.address()))
	o := impatient()
	o.PingInterval = 50 * time.Millisecond
	o.CallTimeout = 100 * time.Millisecond
	s := newSpectator(t, newTestPool(t, h, o))
	s.await("that it answers", "u1", reachable)
	server.AwaitWatches(3)
	network.swallow()
	s.await("that it doesn't", "u1", failing("no answer within 100ms"))
}

func TestWatchOfErrorAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		fault http.HandlerFunc
		text  string
	}{
		"no Velero": {http.NotFound, "Velero is not installed"},
		"forbidden": {membertest.Status(403, "backups is forbidden"), "backups is forbidden"},
		"busy":      {membertest.Busy, "too many"},
		"internal":  {membertest.Status(500, "etcd is down"), "etcd is down"},
	} {
		t.Run(name, func(t *testing.T) {
			server := membertest.NewAPIServer(t)
			pool := newTestPool(t, membertest.NewHost(server.Kubeconfig()), impatient())
			server.SetFault(tc.fault)
			s := newSpectator(t, pool)
			s.await("the error", "u1", failing(tc.text))
			server.SetFault(nil)
			s.await("no error", "u1", reachable)
		})
	}
}

func TestWatchWithoutKubeconfig(t *testing.T) {
	server := membertest.NewAPIServer(t)
	h := membertest.NewBrokenHost(errors.New("kubeconfig Secret not found"))
	pool := newTestPool(t, h, patient())
	s := newSpectator(t, pool)
	s.await("that the Secret is missing", "u1", failing("kubeconfig Secret not found"))

	h.Set("nonsense", nil)
	pool.Invalidate("default", member1)
	s.await("that the kubeconfig is not accepted", "u1", failing("kubeconfig not accepted"))

	h.Set(server.Kubeconfig(), nil)
	pool.Invalidate("default", member1)
	s.await("that it answers", "u1", reachable)

	h.Set("", errors.New("cluster not found"))
	pool.Invalidate("default", member1)
	s.await("that the cluster is gone", "u1", failing("cluster not found"))
	server.AwaitWatches(0)
}

// TestWatchReportsMemberAfterHostRecovers checks that an error of the host is replaced when the
// member does not answer.
func TestWatchReportsMemberAfterHostRecovers(t *testing.T) {
	server := membertest.NewAPIServer(t)
	server.Stop()
	h := membertest.NewBrokenHost(errors.New("kubeconfig Secret not found"))
	pool := newTestPool(t, h, patient())
	s := newSpectator(t, pool)
	s.await("that the Secret is missing", "u1", failing("kubeconfig Secret not found"))
	h.Set(server.Kubeconfig(), nil)
	pool.Invalidate("default", member1)
	s.await("that it doesn't answer", "u1", failing("connection refused"))
	if seen, _ := s.observe("u1"); !failing("connection refused")(seen) {
		t.Errorf("observed %v", seen.Err)
	}
}

func TestWatchMovesToTheNewConnection(t *testing.T) {
	first, second := membertest.NewAPIServer(t), membertest.NewAPIServer(t)
	first.Put("backups", membertest.Object("b1", "u1"))
	// The second has a shorter history.
	first.Put("backups", membertest.WithPhase(membertest.Object("b1", "u1"), "Completed"))
	second.Put("backups", membertest.Object("b2", "u2"))
	h := membertest.NewHost(first.Kubeconfig())
	pool := newTestPool(t, h, patient())
	s := newSpectator(t, pool)
	s.await("the first", "u1", func(m migration.Member) bool { return m.Backup != nil })
	first.AwaitWatches(3)

	h.Set(second.Kubeconfig(), nil)
	pool.Invalidate("default", member1)
	s.await("the second", "u2", func(m migration.Member) bool { return m.Backup != nil && m.Err == nil })
	s.await("the first no more", "u1", func(m migration.Member) bool { return m.Backup == nil })
	first.AwaitWatches(0)
}

func TestWatchFollowsARotatedSecret(t *testing.T) {
	first, second := membertest.NewAPIServer(t), membertest.NewAPIServer(t)
	h := membertest.NewHost(first.Kubeconfig())
	o := patient()
	o.RecheckInterval = 10 * time.Millisecond
	s := newSpectator(t, newTestPool(t, h, o))
	s.await("the first", "u1", reachable)
	h.Set(second.Kubeconfig(), nil)
	second.AwaitWatches(3)
}

// silentHost never answers.
type silentHost struct{}

func (silentHost) Kubeconfig(ctx context.Context, _ string, _ migration.Cluster) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (silentHost) Refused(string, migration.Cluster) {}

func TestObserveReturnsFalseBeforeTheFirstList(t *testing.T) {
	s := newSpectator(t, newTestPool(t, silentHost{}, patient()))
	if seen, ok := s.observe("u1"); ok {
		t.Errorf("observed %+v", seen)
	}
}

// network forwards TCP connections until it drops all data.
type network struct {
	listener net.Listener
	mu       sync.Mutex
	dead     bool
	conns    []net.Conn
}

func newNetwork(t *testing.T, to string) *network {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &network{listener: listener}
	t.Cleanup(n.close)
	go n.serve(to)
	return n
}

func (n *network) address() string { return n.listener.Addr().String() }

func (n *network) swallow() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dead = true
}

func (n *network) isDead() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dead
}

func (n *network) close() {
	n.listener.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		c.Close()
	}
}

func (n *network) serve(to string) {
	for {
		from, err := n.listener.Accept()
		if err != nil {
			return
		}
		onward, err := net.Dial("tcp", to)
		if err != nil {
			from.Close()
			continue
		}
		n.mu.Lock()
		n.conns = append(n.conns, from, onward)
		n.mu.Unlock()
		go n.forward(from, onward)
		go n.forward(onward, from)
	}
}

func (n *network) forward(from, to net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		count, err := from.Read(buffer)
		switch {
		case n.isDead():
			_, _ = io.Copy(io.Discard, from)
			return
		case err != nil:
			to.Close()
			return
		}
		if _, err := to.Write(buffer[:count]); err != nil {
			return
		}
	}
}
