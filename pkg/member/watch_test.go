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
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"kurator.dev/migrate-apiserver/pkg/migration"
)

// patient does not try again by itself within a test; impatient does at once.
func patient() Options { return quick() }

func impatient() Options { return Options{RetryMin: time.Millisecond, RetryMax: 5 * time.Millisecond} }

// spectator watches a member and waits for what it is to see.
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

// await returns what is observed once it is as wanted, looking only when a change
// is announced.
func (s *spectator) await(what string, uid types.UID, wanted func(migration.Member) bool) migration.Member {
	s.t.Helper()
	timeout := time.After(20 * time.Second)
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
	timeout := time.After(20 * time.Second)
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

func withPhase(u *unstructured.Unstructured, phase string) *unstructured.Unstructured {
	u = u.DeepCopy()
	_ = unstructured.SetNestedField(u.Object, phase, "status", "phase")
	return u
}

func TestWatch(t *testing.T) {
	server := newAPIServer(t)
	server.put("backups", withPhase(backupOf("b1", "u1"), "InProgress"))
	server.put("backups", backupOf("foreign", ""))
	server.put("backupstoragelocations", withPhase(backupOf("default", ""), "Available"))
	s := newSpectator(t, newTestPool(t, &host{kubeconfig: server.kubeconfig()}, patient()))

	seen := s.await("what was there", "u1", reachable)
	if seen.Backup == nil || seen.Backup.Name != "b1" || seen.Restore != nil || len(seen.Locations) != 1 || !seen.Since.IsZero() {
		t.Fatalf("observed %+v", seen)
	}
	server.awaitWatches(3)

	server.put("backups", withPhase(backupOf("b1", "u1"), "Completed"))
	s.awaitChange("u1")
	s.await("a change", "u1", func(m migration.Member) bool { return m.Backup.Status.Phase == "Completed" })

	server.put("restores", backupOf("r2", "u2"))
	s.awaitChange("u2")
	s.await("a new object", "u2", func(m migration.Member) bool { return m.Restore != nil && m.Backup == nil })

	server.remove("backups", "b1")
	s.awaitChange("u1")
	s.await("a removal", "u1", func(m migration.Member) bool { return m.Backup == nil })

	server.put("backupstoragelocations", withPhase(backupOf("default", ""), "Unavailable"))
	s.awaitChange("")
	s.await("storage", "u1", func(m migration.Member) bool { return m.Locations[0].Status.Phase == "Unavailable" })
}

func TestWatchIgnoresThatVeleroLooked(t *testing.T) {
	location := func(looked string) *velerov1.BackupStorageLocation {
		at, _ := time.Parse(time.RFC3339, looked)
		return &velerov1.BackupStorageLocation{
			ObjectMeta: metav1.ObjectMeta{Name: "default", ResourceVersion: looked},
			Status:     velerov1.BackupStorageLocationStatus{Phase: "Available", LastValidationTime: &metav1.Time{Time: at}},
		}
	}
	if locationDiffers(location("2026-01-01T00:00:00Z"), location("2026-01-01T00:01:00Z")) {
		t.Error("that Velero looked is a change")
	}
	unavailable := location("2026-01-01T00:01:00Z")
	unavailable.Status.Phase = "Unavailable"
	if !locationDiffers(location("2026-01-01T00:00:00Z"), unavailable) {
		t.Error("unavailability is no change")
	}
}

func TestWatchIsSharedAndClosedWithTheLast(t *testing.T) {
	server := newAPIServer(t)
	pool := newTestPool(t, &host{kubeconfig: server.kubeconfig()}, patient())
	first, second := newSpectator(t, pool), newSpectator(t, pool)
	server.awaitWatches(3)
	first.stop()
	first.stop()
	server.put("backups", backupOf("b1", "u1"))
	second.awaitChange("u1")
	if n := server.count("watch backups"); n != 1 {
		t.Errorf("Backups are watched %d times, want once", n)
	}
	second.stop()
	server.awaitWatches(0)

	third := newSpectator(t, pool)
	third.await("what is there", "u1", func(m migration.Member) bool { return m.Backup != nil })
}

func TestWatchObservesWhatWasCreatedAtOnce(t *testing.T) {
	server := newAPIServer(t)
	pool := newTestPool(t, &host{kubeconfig: server.kubeconfig()}, patient())
	s := newSpectator(t, pool)
	s.await("nothing", "u1", reachable)
	server.awaitWatches(3)

	// No event of it ever comes.
	server.mu.Lock()
	server.watches = map[chan event]string{}
	server.mu.Unlock()
	backup := &velerov1.Backup{ObjectMeta: metav1.ObjectMeta{Name: "b1", Labels: map[string]string{"backup.kurator.dev/migrate-uid": "u1"}}}
	if _, err := pool.Member("default", velero1).CreateBackup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	if seen, _ := s.observe("u1"); seen.Backup == nil {
		t.Error("not observed")
	}
}

func TestWatchOfAMemberThatGoesAndComes(t *testing.T) {
	server := newAPIServer(t)
	server.put("backups", backupOf("b1", "u1"))
	s := newSpectator(t, newTestPool(t, &host{kubeconfig: server.kubeconfig()}, impatient()))
	s.await("the Backup", "u1", func(m migration.Member) bool { return m.Backup != nil && m.Err == nil })
	server.awaitWatches(3)

	server.stop()
	seen := s.await("that it is gone", "u1", failing("connection refused"))
	if seen.Backup == nil || seen.Since.IsZero() {
		t.Errorf("what it said last is forgotten, or since when: %+v", seen)
	}
	s.await("the same fault", "u1", func(m migration.Member) bool { return m.Err.Error() == seen.Err.Error() && m.Since.Equal(seen.Since) })

	server.startAgain()
	s.await("that it is back", "u1", func(m migration.Member) bool { return m.Backup != nil && m.Err == nil && m.Since.IsZero() })
}

// TestAMigrateThatComesWhileItsMemberIsGone is one whose objects can't be filled in, and
// need not be once the member has been listed anew.
func TestAMigrateThatComesWhileItsMemberIsGone(t *testing.T) {
	server := newAPIServer(t)
	pool := newTestPool(t, &host{kubeconfig: server.kubeconfig()}, Options{RetryMin: time.Second, RetryMax: time.Second})
	s := newSpectator(t, pool)
	s.await("nothing", "u1", reachable)
	server.awaitWatches(3)
	server.stop()
	s.await("that it is gone", "u1", failing("connection refused"))

	s.watches["u3"] = pool.Watch("default", velero1, "u3", func(uid types.UID) { s.changes <- uid })
	w := pool.Member("default", velero1).watching()
	filling := func(context.Context) (bool, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.faults["backups, filling in"] != nil || w.faults["restores, filling in"] != nil, nil
	}
	if err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, 20*time.Second, true, filling); err != nil {
		t.Fatalf("it is not noted that it can't be filled in: %v", err)
	}
	server.startAgain()
	s.await("that it is back", "u3", reachable)
}

// TestTwoVelerosOfAMember have their objects told apart.
func TestTwoVelerosOfAMember(t *testing.T) {
	server := newAPIServer(t)
	server.put("backups", backupOf("b1", "u1"))
	server.putInto("velero-2/backups", withPhase(backupOf("b1", "u1"), "Completed"))
	pool := newTestPool(t, &host{kubeconfig: server.kubeconfig()}, patient())
	for namespace, want := range map[string]velerov1.BackupPhase{"velero": "", "velero-2": velerov1.BackupPhaseCompleted} {
		velero := migration.Velero{Cluster: member1, Namespace: namespace}
		s := newSpectatorOf(t, pool, velero)
		s.await("what there is in "+namespace, "u1", func(m migration.Member) bool { return m.Backup != nil && m.Backup.Status.Phase == want })
		if asked := pool.Member("default", velero).Ask(t.Context(), objectsOf("u1")); asked.Backup == nil || asked.Backup.Status.Phase != want {
			t.Errorf("asked in %s: %+v", namespace, asked)
		}
		created, err := pool.Member("default", velero).CreateRestore(t.Context(), &velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Name: "r"}})
		if err != nil || created.Namespace != namespace {
			t.Errorf("created in %s: %+v, %v", namespace, created, err)
		}
	}
}

func TestNoNameOfANamespace(t *testing.T) {
	server := newAPIServer(t)
	pool := newTestPool(t, &host{kubeconfig: server.kubeconfig()}, quick())
	long := strings.Repeat("x", 100)
	for namespace, want := range map[string]string{
		"":    `annotation backup.kurator.dev/velero-namespace of AttachedCluster default/member1 is ""; set it to the namespace of the cluster's Velero: a lowercase RFC 1123 label`,
		"a/b": `default/member1 is "a/b"; set it`,
		long:  `is "` + long[:63] + `…"; set it`,
	} {
		seen := pool.Member("default", migration.Velero{Cluster: member1, Namespace: namespace}).Ask(t.Context(), objectsOf("u1"))
		if !errors.Is(seen.Err, ErrVeleroNamespace) || !strings.Contains(seen.Err.Error(), want) {
			t.Errorf("%q: %v, want %q", namespace, seen.Err, want)
		}
	}
}

func TestWatchOfAMemberThatHangs(t *testing.T) {
	server := newAPIServer(t)
	o := impatient()
	o.CallTimeout = 50 * time.Millisecond
	pool := newTestPool(t, &host{kubeconfig: server.kubeconfig()}, o)
	server.setFault(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s := newSpectator(t, pool)
	s.await("that it hangs", "u1", failing("no answer within 50ms"))
	server.setFault(nil)
	s.await("that it answers", "u1", reachable)
}

func TestWatchThatHangsAtItsStart(t *testing.T) {
	server := newAPIServer(t)
	o := impatient()
	o.CallTimeout = 50 * time.Millisecond
	pool := newTestPool(t, &host{kubeconfig: server.kubeconfig()}, o)
	server.setFault(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("watch") != "" {
			<-r.Context().Done()
			return
		}
		server.list(w, r, "backups")
	})
	s := newSpectator(t, pool)
	s.await("that it hangs", "u1", failing("no answer within 50ms"))
}

// A network that swallows packets sends no FIN.
func TestWatchThroughADeadNetwork(t *testing.T) {
	server := newAPIServer(t)
	network := newNetwork(t, server.server.Listener.Addr().String())
	h := &host{kubeconfig: strings.ReplaceAll(server.kubeconfig(), server.server.Listener.Addr().String(), network.address())}
	o := impatient()
	o.PingInterval = 50 * time.Millisecond
	o.CallTimeout = 100 * time.Millisecond
	s := newSpectator(t, newTestPool(t, h, o))
	s.await("that it answers", "u1", reachable)
	server.awaitWatches(3)
	network.swallow()
	s.await("that it doesn't", "u1", failing("no answer within 100ms"))
}

func TestWatchOfAnswersThatAreErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		fault http.HandlerFunc
		text  string
	}{
		"no Velero": {http.NotFound, "Velero is not installed"},
		"forbidden": {status(403, "backups is forbidden"), "backups is forbidden"},
		"busy":      {busy, "too many"},
		"internal":  {status(500, "etcd is down"), "etcd is down"},
	} {
		t.Run(name, func(t *testing.T) {
			server := newAPIServer(t)
			pool := newTestPool(t, &host{kubeconfig: server.kubeconfig()}, impatient())
			server.setFault(tc.fault)
			s := newSpectator(t, pool)
			s.await("the error", "u1", failing(tc.text))
			server.setFault(nil)
			s.await("no error", "u1", reachable)
		})
	}
}

func TestWatchWithoutAWayIn(t *testing.T) {
	server := newAPIServer(t)
	h := &host{err: errors.New("kubeconfig Secret not found")}
	pool := newTestPool(t, h, patient())
	s := newSpectator(t, pool)
	s.await("that the Secret is missing", "u1", failing("kubeconfig Secret not found"))

	h.set("nonsense", nil)
	pool.Invalidate("default", member1)
	s.await("that the kubeconfig is not accepted", "u1", failing("kubeconfig not accepted"))

	h.set(server.kubeconfig(), nil)
	pool.Invalidate("default", member1)
	s.await("that it answers", "u1", reachable)

	h.set("", errors.New("cluster not found"))
	pool.Invalidate("default", member1)
	s.await("that the cluster is gone", "u1", failing("cluster not found"))
	server.awaitWatches(0)
}

// What was wrong on the host is not said any more when it is the member that
// doesn't answer.
func TestWatchWithAWayInToADeadMember(t *testing.T) {
	server := newAPIServer(t)
	server.stop()
	h := &host{err: errors.New("kubeconfig Secret not found")}
	pool := newTestPool(t, h, patient())
	s := newSpectator(t, pool)
	s.await("that the Secret is missing", "u1", failing("kubeconfig Secret not found"))
	h.set(server.kubeconfig(), nil)
	pool.Invalidate("default", member1)
	s.await("that it doesn't answer", "u1", failing("connection refused"))
	if seen, _ := s.observe("u1"); !failing("connection refused")(seen) {
		t.Errorf("observed %v", seen.Err)
	}
}

func TestWatchMovesToTheNewConnection(t *testing.T) {
	first, second := newAPIServer(t), newAPIServer(t)
	first.put("backups", backupOf("b1", "u1"))
	// The second has a shorter history.
	first.put("backups", withPhase(backupOf("b1", "u1"), "Completed"))
	second.put("backups", backupOf("b2", "u2"))
	h := &host{kubeconfig: first.kubeconfig()}
	pool := newTestPool(t, h, patient())
	s := newSpectator(t, pool)
	s.await("the first", "u1", func(m migration.Member) bool { return m.Backup != nil })
	first.awaitWatches(3)

	h.set(second.kubeconfig(), nil)
	pool.Invalidate("default", member1)
	s.await("the second", "u2", func(m migration.Member) bool { return m.Backup != nil && m.Err == nil })
	s.await("the first no more", "u1", func(m migration.Member) bool { return m.Backup == nil })
	first.awaitWatches(0)
}

func TestWatchFollowsARotatedSecret(t *testing.T) {
	first, second := newAPIServer(t), newAPIServer(t)
	h := &host{kubeconfig: first.kubeconfig()}
	o := patient()
	o.RecheckInterval = 10 * time.Millisecond
	s := newSpectator(t, newTestPool(t, h, o))
	s.await("the first", "u1", reachable)
	h.set(second.kubeconfig(), nil)
	second.awaitWatches(3)
}

func TestWatchIsNotObservedBeforeItWasAsked(t *testing.T) {
	h := &host{}
	h.mu.Lock()
	pool := newTestPool(t, h, patient())
	s := newSpectator(t, pool)
	if seen, ok := s.observe("u1"); ok {
		t.Errorf("observed %+v", seen)
	}
	h.mu.Unlock()
}

// network forwards TCP connections until it swallows everything.
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
