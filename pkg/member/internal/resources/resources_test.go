// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"maps"
	"slices"
	"testing"
	"time"

	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/clienttest"
	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
)

// TestUnknown looks for names in a member whose discovery is whole, and in one that does
// not answer for one API group.
func TestUnknown(t *testing.T) {
	s := membertest.NewAPIServer(t)
	s.Answers = maps.Clone(membertest.Discovery)
	c := clienttest.New(s, client.Options{CallTimeout: 5 * time.Second, RetryMin: time.Hour, RetryMax: time.Hour})
	got, err := Unknown(t.Context(), c, []string{"cm", "deploymentz", "Deployment.apps", "bindings", "secret"})
	if want := []string{"deploymentz", "bindings"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("unknown are %q, %v, want %q", got, err, want)
	}

	delete(s.Answers, "/apis/apps/v1")
	if got, err := Unknown(t.Context(), c, []string{"cm"}); err != nil || len(got) > 0 {
		t.Errorf("without one group, unknown are %q, %v", got, err)
	}
	if got, err := Unknown(t.Context(), c, []string{"cm", "deployments"}); err == nil || len(got) > 0 {
		t.Errorf("what may be in the missing group is unknown: %q, %v", got, err)
	}
}
