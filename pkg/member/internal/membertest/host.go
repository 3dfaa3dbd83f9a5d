// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package membertest

import (
	"context"
	"sync"

	"kurator.dev/migrate-apiserver/pkg/migration"
)

// Host keeps one kubeconfig, which is that of every cluster.
type Host struct {
	mu         sync.Mutex
	kubeconfig string
	err        error
	asked      int
}

// NewHost returns a Host with a kubeconfig.
func NewHost(kubeconfig string) *Host { return &Host{kubeconfig: kubeconfig} }

// NewBrokenHost returns a Host that has no kubeconfig.
func NewBrokenHost(err error) *Host { return &Host{err: err} }

// Kubeconfig returns what was Set last.
func (h *Host) Kubeconfig(context.Context, string, migration.Cluster) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked++
	return []byte(h.kubeconfig), h.err
}

// Set sets what Kubeconfig returns.
func (h *Host) Set(kubeconfig string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kubeconfig, h.err = kubeconfig, err
}

// Count returns how often a kubeconfig was read.
func (h *Host) Count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked
}
