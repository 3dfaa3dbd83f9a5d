// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package membertest

import (
	"context"
	"sync"

	"kurator.dev/migrate-apiserver/pkg/migration"
)

// Host has one kubeconfig for all clusters.
type Host struct {
	mu         sync.Mutex
	kubeconfig string
	err        error
	asked      int
	refused    int
}

// NewHost returns a Host with a kubeconfig.
func NewHost(kubeconfig string) *Host { return &Host{kubeconfig: kubeconfig} }

// NewBrokenHost returns a Host that has no kubeconfig.
func NewBrokenHost(err error) *Host { return &Host{err: err} }

// Kubeconfig returns the kubeconfig and error of the last Set.
func (h *Host) Kubeconfig(context.Context, string, migration.Cluster) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked++
	return []byte(h.kubeconfig), h.err
}

// Refused counts its calls.
func (h *Host) Refused(string, migration.Cluster) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refused++
}

// Refusals returns the number of calls of Refused.
func (h *Host) Refusals() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.refused
}

// Set sets the results of Kubeconfig.
func (h *Host) Set(kubeconfig string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kubeconfig, h.err = kubeconfig, err
}

// Count returns the number of calls of Kubeconfig.
func (h *Host) Count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked
}
