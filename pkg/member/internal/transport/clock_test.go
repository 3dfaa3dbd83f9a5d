// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
)

type answering func(*http.Request) (*http.Response, error)

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

func TestReportClock(t *testing.T) {
	for name, tc := range map[string]struct {
		date  string
		want  time.Duration
		known bool
	}{
		"ahead":   {time.Now().Add(2 * time.Hour).UTC().Format(http.TimeFormat), 2 * time.Hour, true},
		"behind":  {time.Now().Add(-5 * time.Minute).UTC().Format(http.TimeFormat), -5 * time.Minute, true},
		"none":    {"", 0, false},
		"no time": {"yesterday", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			var ahead time.Duration
			known := false
			ctx := ReportClock(t.Context(), func(a time.Duration) { ahead, known = a, true })
			ctx = limits.ForCall(limits.NewReading().Quota(), "an answer", 1<<20).With(ctx)
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://member/version", nil)
			if err != nil {
				t.Fatal(err)
			}
			bound := Bound(answering(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Date": {tc.date}}, Body: io.NopCloser(strings.NewReader("{}"))}, nil
			}), time.Minute)
			resp, err := bound.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Fatal(err)
			}
			if known != tc.known || (ahead-tc.want).Abs() > 2*time.Second {
				t.Errorf("got %s, %v, want %s, %v", ahead, known, tc.want, tc.known)
			}
		})
	}
}
