// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"testing"
	"time"

	"kurator.dev/migrate-apiserver/pkg/migration"
)

func TestStoredAnswerIsNotReplacedByAnOlderRead(t *testing.T) {
	var q inquiries[string]
	c := migration.Cluster{Kind: "AttachedCluster", Name: "m1"}
	older, newer, now := "allowed", "denied", time.Now()
	i := q.of(c)
	i.running = true

	q.store(c, &newer, now)
	if !i.running {
		t.Error("a second read could start")
	}
	q.finish(c, 0, &older, now.Add(time.Second))
	if answer, at := q.last(c); *answer != newer || !at.Equal(now) || i.running {
		t.Errorf("the answer is %q of %v, want %q of %v", *answer, at, newer, now)
	}
	q.finish(c, i.generation, &older, now.Add(time.Second))
	if answer, _ := q.last(c); *answer != older {
		t.Errorf("the answer is %q after the next read, want %q", *answer, older)
	}
}
