// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/randfill"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// maxStatus is the limit for the size of a status: that of etcd less those of metadata and spec.
const maxStatus = 1 << 20

// FuzzStatusIsBounded computes the status for arbitrary observations, several times in a row,
// of a Migrate with a valid or an arbitrary spec.
func FuzzStatusIsBounded(f *testing.F) {
	for n := range 64 {
		f.Add([]byte(strings.Repeat(string(rune(n*7)), 200+n*50)), uint8(n))
	}
	f.Fuzz(func(t *testing.T, data []byte, shape uint8) {
		fill := randfill.NewFromGoFuzz(data).MaxDepth(8).NilChance(.3).NumElements(0, 3).Funcs(
			func(at *metav1.Time, c randfill.Continue) {
				at.Time = start.Add(time.Duration(c.Int31()) * time.Second)
			},
			func(p *velerov1.BackupPhase, c randfill.Continue) { *p = anyOf(c, "", backupPhases...) },
			func(p *velerov1.RestorePhase, c randfill.Continue) { *p = anyOf(c, "", restorePhases...) },
			func(l *velerov1.BackupStorageLocation, c randfill.Continue) {
				*l = bucket("velero")
				if c.Bool() {
					c.FillNoCustom(l)
				}
			},
			func(err *error, c randfill.Continue) {
				if c.Bool() {
					*err = errors.New(c.String(0))
				}
			},
		)
		s := newFixture(t, []Cluster{m2, m3}[:shape%3]...)
		if shape&4 != 0 {
			fill.Fill(&s.m.Spec)
		}
		for range 6 {
			if shape&8 == 0 {
				fill.Fill(&s.host.SourceFleet)
			}
			for c := range s.seen.Members {
				var member Member
				fill.Fill(&member)
				s.seen.Members[c] = member
			}
			before := *s.m.Status.DeepCopy()
			after := Status(s.m, s.observed(), s.now)
			if IsTerminal(before.Phase) {
				if diff := cmp.Diff(before, after); diff != "" {
					t.Fatalf("a final status changed (-before +after)\n%s", diff)
				}
			}
			wantBounded(t, after)
			if actions := Next(s.m, s.observed()); IsTerminal(before.Phase) && len(actions) > 0 {
				t.Fatalf("actions after the end: %v", actions)
			}
			s.plan().Veleros()
			s.m.Status = after
			s.now = s.now.Add(time.Minute)
		}
	})
}

var (
	backupPhases = []velerov1.BackupPhase{
		velerov1.BackupPhaseNew, velerov1.BackupPhaseFailedValidation, velerov1.BackupPhaseInProgress, velerov1.BackupPhaseCompleted,
		velerov1.BackupPhaseCompleted, velerov1.BackupPhasePartiallyFailed, velerov1.BackupPhaseFailed, velerov1.BackupPhaseDeleting,
	}
	restorePhases = []velerov1.RestorePhase{
		velerov1.RestorePhaseNew, velerov1.RestorePhaseFailedValidation, velerov1.RestorePhaseInProgress, velerov1.RestorePhaseCompleted,
		velerov1.RestorePhasePartiallyFailed, velerov1.RestorePhaseFailed,
	}
)

// anyOf returns one of known, or an unknown value.
func anyOf[T ~string](c randfill.Continue, unknown T, known ...T) T {
	if i := c.Intn(len(known) + 1); i < len(known) {
		return known[i]
	}
	return unknown + T(c.String(0))
}

func wantBounded(t *testing.T, status v1alpha1.MigrateStatus) {
	t.Helper()
	encoded, err := json.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	if len(encoded) > maxStatus {
		t.Fatalf("the status has %d bytes, more than %d", len(encoded), maxStatus)
	}
}

// TestLargestStatusIsBounded has the maximal number of targets, each with the longest name and
// messages.
func TestLargestStatusIsBounded(t *testing.T) {
	for name, text := range map[string]string{
		"ASCII": "much ", "escaped by JSON": "<", "multi-byte runes": "多",
	} {
		t.Run(name, func(t *testing.T) { largestStatus(t, strings.Repeat(text, 10<<10/len(text))) })
	}
}

func largestStatus(t *testing.T, much string) {
	var targets []Cluster
	for i := range backup.MaxClusters {
		targets = append(targets, Cluster{KindAttachedCluster, fmt.Sprintf("t%03d", i) + strings.Repeat("x", 249)})
	}
	s := newFixture(t, targets...)
	for _, c := range targets {
		s.host.TargetFleet.Members = append(s.host.TargetFleet.Members, c)
		s.host.Clusters[c] = ClusterState{Ready: true}
		s.seen.Members[c] = Member{Locations: []velerov1.BackupStorageLocation{bucket("velero")}, Turn: &Turn{}}
	}
	s.restoring()
	all := make([]string, 40)
	for i := range all {
		all[i] = much
	}
	for _, phase := range []velerov1.RestorePhase{velerov1.RestorePhase(much), velerov1.RestorePhaseFailedValidation} {
		for _, c := range targets {
			s.with(c, func(m *Member) {
				m.Restore = &velerov1.Restore{
					ObjectMeta: metav1.ObjectMeta{Name: much},
					Status:     velerov1.RestoreStatus{Phase: phase, FailureReason: much, ValidationErrors: all},
				}
				m.Results = &Results{Errors: all}
			})
		}
		wantBounded(t, s.record())
	}
	s.wantPhase("Failed")
}

func TestTooManyTargets(t *testing.T) {
	s := newFixture(t)
	for i := range backup.MaxClusters - 1 {
		s.host.TargetFleet.Members = append(s.host.TargetFleet.Members, Cluster{KindAttachedCluster, fmt.Sprintf("t%d", i)})
	}
	s.record()
	s.wantPhase("Pending")
	s.wantCondition("Ready", "False", "TooManyTargets")

	s.host.TargetFleet.Members = s.host.TargetFleet.Members[1:] // without m1; the source is not required to be in the target fleet
	s.host.TargetFleet.Members = s.host.TargetFleet.Members[1:]
	if status := s.record(); len(status.TargetClusterStatus) != backup.MaxClusters {
		t.Errorf("got %d targets", len(status.TargetClusterStatus))
	}
}
