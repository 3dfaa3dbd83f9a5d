// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned"
)

// meter measures our server from outside, all the while that a test runs.
type meter struct {
	server *http.Client
	url    string
	log    string

	mu         sync.Mutex
	goroutines []float64
	memory     []float64 // bytes
	latencies  []time.Duration
	failures   []error
}

const (
	scrapeInterval = 500 * time.Millisecond
	askInterval    = 100 * time.Millisecond
)

func newMeter(t *testing.T, migrates versioned.Interface) *meter {
	t.Helper()
	config, err := fleet.ServerConfig("migrate-apiserver")
	if err != nil {
		t.Fatal(err)
	}
	process, err := fleet.Process("migrate-apiserver")
	if err != nil {
		t.Fatal(err)
	}
	m := &meter{url: config.Host, log: process.LogFile()}
	if m.server, err = rest.HTTPClientFor(config); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	running.Go(func() { every(ctx, scrapeInterval, func() { m.scrape(ctx) }) })
	running.Go(func() { every(ctx, askInterval, func() { m.ask(ctx, migrates) }) })
	return m
}

func every(ctx context.Context, interval time.Duration, f func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		f()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// scrape records the size of the server by its metrics.
func (m *meter) scrape(ctx context.Context) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url+"/metrics", nil)
	if err != nil {
		return
	}
	response, err := m.server.Do(request)
	if err != nil {
		m.failed(ctx, err)
		return
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		m.failed(ctx, err)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.goroutines = append(m.goroutines, value(content, "go_goroutines"))
	m.memory = append(m.memory, value(content, "process_resident_memory_bytes"))
}

func value(metrics []byte, name string) float64 {
	for line := range bytes.Lines(metrics) {
		if rest, ok := strings.CutPrefix(string(line), name+" "); ok {
			v, _ := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			return v
		}
	}
	return -1
}

// ask lists the Migrates as a user does, and reads one.
func (m *meter) ask(ctx context.Context, migrates versioned.Interface) {
	began := time.Now()
	list, err := migrates.BackupV1alpha1().Migrates(namespace).List(ctx, metav1.ListOptions{Limit: 50})
	if err == nil && len(list.Items) > 0 {
		_, err = migrates.BackupV1alpha1().Migrates(namespace).Get(ctx, list.Items[0].Name, metav1.GetOptions{})
	}
	took := time.Since(began)
	if err != nil {
		m.failed(ctx, err)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.latencies = append(m.latencies, took)
}

func (m *meter) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failures = append(m.failures, err)
}

// reading is what was measured since the last reading.
type reading struct {
	goroutines, peakGoroutines int
	memory, peakMemory         int // MiB
	latency                    spread
	failures                   []error
}

func (r reading) String() string {
	return fmt.Sprintf("goroutines %d (most %d), memory %d MiB (most %d), LIST and GET %v, %d failed",
		r.goroutines, r.peakGoroutines, r.memory, r.peakMemory, r.latency, len(r.failures))
}

// read is called after each part of a test. It waits for what is measured next, so
// that it tells of how things are.
func (m *meter) read(ctx context.Context) reading {
	m.scrape(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	const mebibyte = 1 << 20
	r := reading{
		goroutines:     int(m.goroutines[len(m.goroutines)-1]),
		peakGoroutines: int(slices.Max(m.goroutines)),
		memory:         int(m.memory[len(m.memory)-1] / mebibyte),
		peakMemory:     int(slices.Max(m.memory) / mebibyte),
		latency:        spreadOf(m.latencies),
		failures:       m.failures,
	}
	m.goroutines, m.memory, m.latencies, m.failures = nil, nil, nil, nil
	return r
}

// lines are those of the server's log from an offset on, and where it ends.
func (m *meter) lines(t *testing.T, from int) (lines []string, end int) {
	t.Helper()
	content, err := os.ReadFile(m.log)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(content[from:])), "\n"), len(content)
}

// spread is how times are distributed.
type spread struct{ median, most time.Duration }

func (s spread) String() string {
	return fmt.Sprintf("median %v, most %v", s.median.Round(time.Millisecond), s.most.Round(time.Millisecond))
}

func spreadOf(times []time.Duration) spread {
	if len(times) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(times))
	return spread{sorted[len(sorted)/2], sorted[len(sorted)-1]}
}
