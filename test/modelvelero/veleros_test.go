// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package modelvelero

import (
	"testing"
	"testing/synctest"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestWriteWaitsForItsVersionInTheCache has a cache that lacks a Restore, of which a list
// returned version 9 and a write version 10. The cache receives the older versions first: a
// server that continued then would find its Restore without a phase, and forget that it
// runs it.
func TestWriteWaitsForItsVersionInTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &cachedStore{namespace: "velero", cache: &watchCache{changed: map[string]chan struct{}{}, versions: map[string]string{}}}
		done := make(chan struct{})
		go func() {
			s.awaitVersion(t.Context(), Key{"Restore", "r"}, "10")
			close(done)
		}()
		deliver := func(kind, namespace, version string, want bool) {
			s.cache.handle(kind, &velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "r", ResourceVersion: version}})
			synctest.Wait()
			select {
			case <-done:
				if !want {
					t.Fatalf("the write returned at version %[2]s of a %[1]s in %[3]s", kind, version, namespace)
				}
			default:
				if want {
					t.Fatalf("the write did not return at version %[2]s of a %[1]s in %[3]s", kind, version, namespace)
				}
			}
		}
		deliver("Restore", "velero", "8", false)
		deliver("Restore", "velero", "9", false)
		deliver("Backup", "velero", "11", false)
		deliver("Restore", "velero-other", "12", false)
		deliver("Restore", "velero", "10", true)
	})
}
