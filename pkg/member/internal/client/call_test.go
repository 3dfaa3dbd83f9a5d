// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"strings"
	"testing"

	"kurator.dev/migrate-apiserver/pkg/migration"
)

func TestReadersLeaveSlotsToTheDriver(t *testing.T) {
	c := New("default", migration.Velero{}, nil, Options{MaxCalls: 4}.WithDefaults(), nil)
	reader, cancel := context.WithCancel(ForReader(t.Context()))
	for range 2 {
		if _, err := c.takeSlot(reader); err != nil {
			t.Fatal(err)
		}
	}
	failed := make(chan error)
	go func() {
		_, err := c.takeSlot(reader)
		failed <- err
	}()
	for range 2 {
		free, err := c.takeSlot(t.Context())
		if err != nil {
			t.Fatalf("the driver: %v", err)
		}
		defer free()
	}
	cancel()
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "too many calls are under way") {
		t.Errorf("a third reader: %v", err)
	}
	if len(c.slots) != 4 || len(c.readerSlots) != 2 {
		t.Errorf("%d slots are taken, %d by readers", len(c.slots), len(c.readerSlots))
	}
}
