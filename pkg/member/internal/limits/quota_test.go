// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"errors"
	"testing"

	"kurator.dev/migrate-apiserver/pkg/migration"
)

// TestQuota lets members use the shared quota up; each can still use its own part.
func TestQuota(t *testing.T) {
	const mib = 1 << 20
	total := NewKept()
	var members []*Quota
	for range 4 {
		q := total.Quota()
		if err := q.Take(32 * mib); err != nil {
			t.Fatal(err)
		}
		members = append(members, q)
	}
	if err := members[0].Take(1); err == nil || err.Error() != "its objects that are kept take more than 32 MiB of memory here" {
		t.Errorf("more than a member may take: %v", err)
	}
	last := total.Quota() // 4 of 128 MiB are left, and 1 MiB that is not counted
	if err := last.Take(5 * mib); err != nil {
		t.Error(err)
	}
	if err := last.Take(1); !errors.Is(err, migration.ErrLimitExceeded) || err.Error() != "its objects that are kept, with those of other clusters, take more than 128 MiB of memory here" {
		t.Errorf("more than all may take: %v", err)
	}
	if err := total.Quota().Take(mib); err != nil {
		t.Errorf("what is not counted: %v", err)
	}
	members[0].Give(32 * mib)
	if err := last.Take(27 * mib); err != nil {
		t.Errorf("what was given back: %v", err)
	}
	for _, q := range members[1:] {
		q.Give(32 * mib)
	}
	last.Give(32 * mib)
	if !total.all.TryAcquire(128 * mib) {
		t.Error("not all is given back")
	}
}
