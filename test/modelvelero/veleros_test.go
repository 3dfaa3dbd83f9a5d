// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package modelvelero

import (
	"testing"
	"testing/synctest"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestAWriteIsAwaitedThoughTheViewIsBehindWhatWasRead has a Restore that was read past
// the view, at version 9, and written, which made version 10. The view comes to what was
// before the write first: a server that went on then would find its Restore not begun,
// and forget that it runs it.
func TestAWriteIsAwaitedThoughTheViewIsBehindWhatWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &watchedStore{namespace: "velero", view: &view{changed: map[string]chan struct{}{}, versions: map[string]string{}}}
		done := make(chan struct{})
		go func() {
			s.awaitHeard(t.Context(), Key{"Restore", "r"}, "10")
			close(done)
		}()
		hear := func(kind, namespace, version string, want bool) {
			s.view.heard(kind, &velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "r", ResourceVersion: version}})
			synctest.Wait()
			select {
			case <-done:
				if !want {
					t.Fatalf("goes on at %s %s of %s", kind, version, namespace)
				}
			default:
				if want {
					t.Fatalf("does not go on at %s %s of %s", kind, version, namespace)
				}
			}
		}
		hear("Restore", "velero", "8", false)
		hear("Restore", "velero", "9", false)
		hear("Backup", "velero", "11", false)
		hear("Restore", "velero-other", "12", false)
		hear("Restore", "velero", "10", true)
	})
}
