// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

func TestReadersLeaveSlotsForTheDriver(t *testing.T) {
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

// host returns one kubeconfig, or the error of the context once it has ended.
type host string

func (h host) Kubeconfig(ctx context.Context, _ string, _ migration.Cluster) ([]byte, error) {
	return []byte(h), ctx.Err()
}

func (host) Refused(string, migration.Cluster) {}

func newTestClient(t *testing.T) *Client {
	velero := migration.Velero{Cluster: migration.Cluster{Kind: "AttachedCluster", Name: "member1"}, Namespace: "velero"}
	kubeconfig := host(membertest.NewAPIServer(t).Kubeconfig())
	return New("default", velero, kubeconfig, Options{}.WithDefaults(), limits.NewReading().Quota())
}

func TestSlowBusyCallDoesNotOpenTheCircuit(t *testing.T) {
	c := newTestClient(t)
	synctest.Test(t, func(t *testing.T) {
		_, err := Attempt(t.Context(), c, func(context.Context, *Connection) (any, error) {
			time.Sleep(c.options.CallTimeout)
			return nil, limits.ErrBusy
		})
		if !errors.Is(err, limits.ErrBusy) || c.circuit.err != nil {
			t.Errorf("error %v, circuit %v; want ErrBusy and a closed circuit", err, c.circuit.err)
		}
	})
}

func TestLateCancellationOpensTheCircuit(t *testing.T) {
	for patience, opens := range map[time.Duration]bool{4 * time.Second: false, 6 * time.Second: true} {
		c := newTestClient(t)
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := Attempt(ctx, c, func(ctx context.Context, _ *Connection) (any, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			})
			if got := c.circuit.err != nil; err == nil || got != opens {
				t.Errorf("after %s of %s: error %v, the circuit is open: %v, want %v", patience, c.options.CallTimeout, err, got, opens)
			}
		})
	}
}

func TestCanceledCallDoesNotCountAsReadingTheKubeconfig(t *testing.T) {
	c := newTestClient(t)
	before, err := c.Connection(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.Invalidate()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if conn, err := c.Connection(canceled); conn != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v; want that it was canceled", conn, err)
	}
	if c.current() != nil {
		t.Error("the kubeconfig counts as read")
	}
	if after, err := c.Connection(t.Context()); after != before || err != nil {
		t.Errorf("got another Connection, or %v", err)
	}
}
