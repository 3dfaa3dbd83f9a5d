// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/recovery"
)

// brokenHost panics when it reads a kubeconfig.
type brokenHost struct{}

func (brokenHost) Kubeconfig(context.Context, string, migration.Cluster) ([]byte, error) {
	panic("a bug over a kubeconfig")
}

func (brokenHost) Refused(string, migration.Cluster) {}

func TestPanicWithKubeconfigReturnsError(t *testing.T) {
	m := newTestPool(t, brokenHost{}, patient()).Member("default", velero1)
	var panicked *recovery.PanicError
	if seen := m.Read(t.Context(), objectsOf("u1")); !errors.As(seen.Err, &panicked) {
		t.Errorf("Read: %v, want a PanicError", seen.Err)
	}
}

func TestPanicWithAnswerReturnsError(t *testing.T) {
	server := membertest.NewAPIServer(t)
	m := newTestPool(t, membertest.NewHost(server.Kubeconfig()), patient()).Member("default", velero1)
	_, err := client.Do(t.Context(), m.client, "get something", func(context.Context, *client.Connection) (any, error) { panic("a bug over an answer") })
	var panicked *recovery.PanicError
	if !errors.As(err, &panicked) {
		t.Errorf("Do: %v, want a PanicError", err)
	}
}

// TestWatchContinuesAfterPanic panics while an event of a watch is processed.
func TestWatchContinuesAfterPanic(t *testing.T) {
	server := membertest.NewAPIServer(t)
	server.Put("backups", membertest.Object("b1", "u1"))
	pool := newTestPool(t, membertest.NewHost(server.Kubeconfig()), impatient())
	var panicked atomic.Bool
	changes := make(chan types.UID, 1000)
	for _, uid := range []types.UID{"u2", "u3"} {
		watch := pool.Watch("default", velero1, uid, func(uid types.UID) {
			if uid == "u2" && !panicked.Swap(true) {
				panic("a bug over an object")
			}
			changes <- uid
		})
		t.Cleanup(watch.Stop)
	}
	server.AwaitWatches(3)
	server.Put("backups", membertest.Object("b2", "u2"))
	server.Put("backups", membertest.Object("b3", "u3"))
	timeout := time.After(time.Minute)
	for uid := types.UID(""); uid != "u3"; {
		select {
		case uid = <-changes:
		case <-timeout:
			t.Fatal("the watch did not go on")
		}
	}
}
