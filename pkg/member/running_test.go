// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// awaitRunning returns when the Backups that Velero runs are those given, each "name of UID, phase". It
// looks only after a change is announced.
func awaitRunning(t *testing.T, w *Watch, changes chan struct{}, want ...string) migration.Running {
	t.Helper()
	timeout := time.After(time.Minute)
	for {
		running, ok := w.Running(func() { changes <- struct{}{} })
		var got []string
		for _, b := range running.Backups {
			got = append(got, fmt.Sprintf("%s of %s, %s", b.Name, b.MigrateUID, b.Phase))
		}
		slices.Sort(got)
		if ok && slices.Equal(got, want) {
			return running
		}
		select {
		case <-changes:
		case <-timeout:
			t.Fatalf("known: %v (-want +got)\n%s", ok, cmp.Diff(want, got))
		}
	}
}

// TestRunningBackups watches the Backups of a member that Velero runs, of Migrates or not. They are
// watched on the first request only.
func TestRunningBackups(t *testing.T) {
	server := membertest.NewAPIServer(t)
	server.Put("backups", membertest.WithPhase(membertest.Object("nightly", ""), "InProgress"))
	server.Put("backups", membertest.WithPhase(membertest.Object("old", ""), "Completed"))
	server.Put("backups", membertest.Object("new", "u9"))
	pool := newTestPool(t, membertest.NewHost(server.Kubeconfig()), quick())
	spectator := newSpectator(t, pool)
	spectator.await("the first list", "u1", func(seen migration.Member) bool { return seen.Err == nil })
	server.AwaitWatches(3)

	changes, watch := make(chan struct{}, 1000), spectator.watches["u1"]
	running := awaitRunning(t, watch, changes, "new of u9, ", "nightly of , InProgress")
	server.AwaitWatches(4)
	if other, _ := spectator.watches["u2"].Running(func() {}); other.Server == "" || other.Server != running.Server {
		t.Errorf("one server has two identities: %q and %q", running.Server, other.Server)
	}
	server.Put("backups", membertest.WithPhase(membertest.Object("new", "u9"), "WaitingForPluginOperations"))
	awaitRunning(t, watch, changes, "nightly of , InProgress")
	server.Put("backups", membertest.WithPhase(membertest.Object("weekly", ""), "Queued"))
	awaitRunning(t, watch, changes, "nightly of , InProgress", "weekly of , Queued")
	server.Remove("backups", "weekly")
	awaitRunning(t, watch, changes, "nightly of , InProgress")

	// A Backup that we create counts at once.
	if _, err := pool.Member("default", velero1).CreateBackup(t.Context(), &velerov1.Backup{
		ObjectMeta: metav1.ObjectMeta{Name: "b1", Labels: map[string]string{"backup.kurator.dev/migrate-uid": "u1"}},
	}); err != nil {
		t.Fatal(err)
	}
	running, _ = watch.Running(func() {})
	if len(running.Backups) != 2 {
		t.Errorf("right after a creation Velero runs %v", running.Backups)
	}
}

// TestUnreadableRunningBackups refuses the list of all Backups: only those who need it are told, until it is
// granted.
func TestUnreadableRunningBackups(t *testing.T) {
	server := membertest.NewAPIServer(t)
	granted := make(chan struct{})
	backupsAre(server, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-granted:
		default:
			if r.URL.Query().Get("labelSelector") == "" {
				membertest.WriteStatus(w, http.StatusInternalServerError, metav1.StatusReasonInternalError, "request is too large")
				return
			}
		}
		server.List(w, r, "velero/backups")
	}, nil)
	pool := newTestPool(t, membertest.NewHost(server.Kubeconfig()), impatient())
	spectator := newSpectator(t, pool)
	changes, watch := make(chan struct{}, 1000), spectator.watches["u1"]
	changed := func() {
		select {
		case changes <- struct{}{}:
		default:
		}
	}
	timeout := time.After(time.Minute)
	await := func(what string, met func(migration.Running) bool) {
		t.Helper()
		for {
			if running, ok := watch.Running(changed); ok && met(running) {
				return
			}
			select {
			case <-changes:
			case <-timeout:
				t.Fatal(what)
			}
		}
	}
	await("an error", func(r migration.Running) bool {
		return r.Err != nil && strings.Contains(r.Err.Error(), "request is too large")
	})
	spectator.await("the objects", "u1", func(seen migration.Member) bool { return seen.Err == nil })
	close(granted)
	await("the Backups", func(r migration.Running) bool { return r.Err == nil })
}
