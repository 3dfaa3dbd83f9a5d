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

// meter measures the server from outside during a test.
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
	scrapeInterval  = 500 * time.Millisecond
	requestInterval = 100 * time.Millisecond
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
	running.Go(func() { every(ctx, requestInterval, func() { m.request(ctx, migrates) }) })
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

// scrape records the numbers of goroutines and bytes of memory from the server's metrics.
func (m *meter) scrape(ctx context.Context) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url+"/metrics", nil)
	if err != nil {
		return
	}
	response, err := m.server.Do(request)
	if err != nil {
		m.addFailure(ctx, err)
		return
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		m.addFailure(ctx, err)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.goroutines = append(m.goroutines, value(content, "go_goroutines"))
	m.memory = append(m.memory, value(content, "process_resident_memory_bytes"))
}

// value returns the value of a metric, or -1 if it is missing.
func value(metrics []byte, name string) float64 {
	for line := range bytes.Lines(metrics) {
		if rest, ok := strings.CutPrefix(string(line), name+" "); ok {
			v, _ := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			return v
		}
	}
	return -1
}

// request measures a LIST of Migrates and a GET of one, like a user's.
func (m *meter) request(ctx context.Context, migrates versioned.Interface) {
	start := time.Now()
	list, err := migrates.BackupV1alpha1().Migrates(namespace).List(ctx, metav1.ListOptions{Limit: 50})
	if err == nil && len(list.Items) > 0 {
		_, err = migrates.BackupV1alpha1().Migrates(namespace).Get(ctx, list.Items[0].Name, metav1.GetOptions{})
	}
	took := time.Since(start)
	if err != nil {
		m.addFailure(ctx, err)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.latencies = append(m.latencies, took)
}

func (m *meter) addFailure(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failures = append(m.failures, err)
}

// reading has the measurements since the last reading.
type reading struct {
	goroutines, peakGoroutines int
	memory, peakMemory         int // MiB
	latency                    durations
	failures                   []error
}

func (r reading) String() string {
	return fmt.Sprintf("goroutines %d (max %d), memory %d MiB (max %d), LIST and GET %v, %d failed",
		r.goroutines, r.peakGoroutines, r.memory, r.peakMemory, r.latency, len(r.failures))
}

// read returns a reading of the last phase of a test. It scrapes once more first, so that
// the reading is current.
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
		latency:        durationsOf(m.latencies),
		failures:       m.failures,
	}
	m.goroutines, m.memory, m.latencies, m.failures = nil, nil, nil, nil
	return r
}

// lines returns the lines of the server's log from an offset on, and the end of the log.
func (m *meter) lines(t *testing.T, from int) (lines []string, end int) {
	t.Helper()
	content, err := os.ReadFile(m.log)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(content[from:])), "\n"), len(content)
}

// durations summarizes a number of measured durations.
type durations struct{ median, max time.Duration }

func (d durations) String() string {
	return fmt.Sprintf("median %v, max %v", d.median.Round(time.Millisecond), d.max.Round(time.Millisecond))
}

func durationsOf(times []time.Duration) durations {
	if len(times) == 0 {
		return durations{}
	}
	sorted := slices.Sorted(slices.Values(times))
	return durations{sorted[len(sorted)/2], sorted[len(sorted)-1]}
}
