// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"context"
	"strings"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/clienttest"
	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

func TestLocationDiffersIgnoresTheTimeOfValidation(t *testing.T) {
	location := func(validated string) *velerov1.BackupStorageLocation {
		at, _ := time.Parse(time.RFC3339, validated)
		return &velerov1.BackupStorageLocation{
			ObjectMeta: metav1.ObjectMeta{Name: "default", ResourceVersion: validated},
			Status:     velerov1.BackupStorageLocationStatus{Phase: "Available", LastValidationTime: &metav1.Time{Time: at}},
		}
	}
	if locationDiffers(location("2026-01-01T00:00:00Z"), location("2026-01-01T00:01:00Z")) {
		t.Error("a validation is a change")
	}
	unavailable := location("2026-01-01T00:01:00Z")
	unavailable.Status.Phase = "Unavailable"
	if !locationDiffers(location("2026-01-01T00:00:00Z"), unavailable) {
		t.Error("unavailability is no change")
	}
}

// await polls until a condition is true.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, time.Minute, true,
		func(context.Context) (bool, error) { return condition(), nil })
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// TestFillFailsWhileMemberIsUnreachable registers a Migrate while its objects can't be listed, and
// expects no error once the reflector has listed them.
func TestFillFailsWhileMemberIsUnreachable(t *testing.T) {
	server := membertest.NewAPIServer(t)
	options := client.Options{RetryMin: time.Second, RetryMax: time.Second}
	c := New(clienttest.New(server, options), limits.NewKept().Quota())
	c.Register("u1", func(types.UID) {})
	go c.Run()
	t.Cleanup(c.Stop)
	reachable := func(uid types.UID) func() bool {
		return func() bool {
			seen, ok := c.Observe(migration.Objects{UID: uid})
			return ok && seen.Err == nil
		}
	}
	await(t, "the first list", reachable("u1"))
	server.AwaitWatches(3)
	server.Stop()
	await(t, "a fault", func() bool {
		seen, _ := c.Observe(migration.Objects{UID: "u1"})
		return seen.Err != nil && strings.Contains(seen.Err.Error(), "connection refused")
	})

	c.Register("u3", func(types.UID) {})
	await(t, "a fault of fill", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.faults["backups, filling in"] != nil || c.faults["restores, filling in"] != nil
	})
	server.StartAgain()
	await(t, "the member is back", reachable("u3"))
}
