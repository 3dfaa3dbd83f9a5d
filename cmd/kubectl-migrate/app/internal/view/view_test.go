// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) *metav1.Time { return &metav1.Time{Time: now.Add(-d)} }

// shop is a migration to three targets, of which one is under way and one has lost something.
func shop() *v1alpha1.Migrate {
	m := &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "shop", CreationTimestamp: *ago(90 * time.Second)}}
	m.Status = v1alpha1.MigrateStatus{
		Phase: v1alpha1.MigratePhaseRestoreInProgress,
		Conditions: []metav1.Condition{{
			Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue, Message: "0 of 3 targets done. kurator-member2: and much that is said of the clusters.",
		}},
		Progress: &v1alpha1.MigrateProgress{EstimatedCompletionTime: &metav1.Time{Time: now.Add(30 * time.Second)}},
		SourceClusterStatus: &v1alpha1.BackupDetails{ClusterStatus: v1alpha1.ClusterStatus{
			ClusterName: "kurator-member1", Phase: v1alpha1.MigratePhaseCompleted, Reason: "BackupCompleted",
			Message: "Backup kurator-member1-migrate-default-shop-a980e0c9 holds 8 items.", LastTransitionTime: ago(12 * time.Second),
			Items: &v1alpha1.ItemCounts{Total: 8}, Volumes: &v1alpha1.VolumeCounts{Total: 1, Moved: 1, Bytes: 20 << 20},
		}},
		TargetClusterStatus: []v1alpha1.RestoreDetails{
			{ClusterStatus: v1alpha1.ClusterStatus{
				ClusterName: "kurator-member2", Phase: v1alpha1.MigratePhaseRestoreInProgress, Reason: "RestoreInProgress",
				Message: "Velero restores Restore kurator-member2-migrate-default-shop-a980e0c9.", LastTransitionTime: ago(3 * time.Second),
				Progress: &v1alpha1.MigrateProgress{ItemsDone: 8, ItemsTotal: 8, BytesDone: 9 << 20, BytesTotal: 20 << 20},
			}},
			{ClusterStatus: v1alpha1.ClusterStatus{
				ClusterName: "kurator-member3", Phase: v1alpha1.MigratePhasePartiallyFailed, Reason: "ItemsFailed",
				Message: "1 of 8 items failed.", LastTransitionTime: ago(time.Second),
				Items: &v1alpha1.ItemCounts{Total: 8, Created: 6, Unchanged: 1, Failed: 1}, Volumes: &v1alpha1.VolumeCounts{Total: 1, Moved: 1, Bytes: 20 << 20},
				Exceptions: []v1alpha1.ItemResult{{Outcome: v1alpha1.ItemFailed, Resource: "ConfigMap", Namespace: "shop", Name: "settings", Message: "denied by \x1b[31mpolicy\u202e."}},
			}},
			{ClusterStatus: v1alpha1.ClusterStatus{ClusterName: "kurator-member4", Phase: v1alpha1.MigratePhaseCompleted, Reason: "RestoreCompleted"}},
		},
	}
	return m
}

func check(t *testing.T, got []string, want string) {
	t.Helper()
	if text := strings.Join(got, "\n"); text != strings.Trim(want, "\n") {
		t.Errorf("got:\n%s\nwant:\n%s", text, strings.Trim(want, "\n"))
	}
}

func TestTree(t *testing.T) {
	for _, tt := range []struct {
		style Style
		want  string
	}{
		{Style{Width: 80}, `
default/shop  RestoreInProgress  for 90s, about 30s left
  1 of 3 targets are Completed, 1 ended otherwise.

SOURCE, TARGETS     PHASE              PROGRESS       ITEMS  DATA          SINCE
kurator-member1     Completed          ████████ 100%  8/8    20MiB         12s
│  BackupCompleted: Backup kurator-member1-migrate-default-shop-a980e0c9 holds 8
│  items.
├─ kurator-member2  RestoreInProgress  ███░░░░░  45%  8/8    9.0MiB/20MiB  3s
│  RestoreInProgress: Velero restores Restore
│  kurator-member2-migrate-default-shop-a980e0c9.
├─ kurator-member3  PartiallyFailed    ███████░  87%  7/8    20MiB         1s
│  ItemsFailed: 1 of 8 items failed.
│    Failed ConfigMap shop/settings: denied by \x1b[31mpolicy\u202e.
└─ kurator-member4  Completed          ████████ 100%
   RestoreCompleted
`},
		{Style{Width: 200}, `
default/shop  RestoreInProgress  for 90s, about 30s left
  1 of 3 targets are Completed, 1 ended otherwise.

SOURCE, TARGETS     PHASE              PROGRESS                   ITEMS  DATA          SINCE
kurator-member1     Completed          ████████████████████ 100%  8/8    20MiB         12s
│  BackupCompleted: Backup kurator-member1-migrate-default-shop-a980e0c9 holds 8 items.
├─ kurator-member2  RestoreInProgress  █████████░░░░░░░░░░░  45%  8/8    9.0MiB/20MiB  3s
│  RestoreInProgress: Velero restores Restore kurator-member2-migrate-default-shop-a980e0c9.
├─ kurator-member3  PartiallyFailed    █████████████████░░░  87%  7/8    20MiB         1s
│  ItemsFailed: 1 of 8 items failed.
│    Failed ConfigMap shop/settings: denied by \x1b[31mpolicy\u202e.
└─ kurator-member4  Completed          ████████████████████ 100%
   RestoreCompleted
`},
		{Style{Width: 75, ASCII: true, Height: 8}, `
default/shop  RestoreInProgress  for 90s, about 30s left
  1 of 3 targets are Completed, 1 ended otherwise.

SOURCE, TARGETS     PHASE              PROGRESS  ITEMS  DATA          SINCE
kurator-member1     Completed          100%      8/8    20MiB         12s
|- kurator-member2  RestoreInProgress   45%      8/8    9.0MiB/20MiB  3s
` + "`" + `- kurator-member3  PartiallyFailed     87%      7/8    20MiB         1s
`},
		{Style{Width: 40}, `
default/shop  RestoreInProgress  for 90…
  1 of 3 targets are Completed, 1 ended
  otherwise.

SOURCE, TARGETS     PHASE              …
kurator-member1     Completed          …
│  BackupCompleted: Backup
│  kurator-member1-migrate-default-shop-
│  a980e0c9 holds 8 items.
├─ kurator-member2  RestoreInProgress  …
│  RestoreInProgress: Velero restores
│  Restore
│  kurator-member2-migrate-default-shop-
│  a980e0c9.
├─ kurator-member3  PartiallyFailed    …
│  ItemsFailed: 1 of 8 items failed.
│    Failed ConfigMap shop/settings:
│    denied by \x1b[31mpolicy\u202e.
└─ kurator-member4  Completed          …
   RestoreCompleted
`},
	} {
		t.Run(fmt.Sprintf("%+v", tt.style), func(t *testing.T) { check(t, tt.style.Tree(shop(), now), tt.want) })
	}
}

func TestTreeWithoutClusters(t *testing.T) {
	m := &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "shop", CreationTimestamp: *ago(time.Minute)}}
	m.Status.Phase = v1alpha1.MigratePhasePending
	m.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue, Reason: "FleetNotFound", Message: "Fleet nowhere does not exist."}}
	check(t, Style{Width: 80}.Tree(m, now), `
default/shop  Pending  for 60s
  Fleet nowhere does not exist.
`)
}

func TestTreeOfAnEndedAttempt(t *testing.T) {
	m := shop()
	m.Status.Phase = v1alpha1.MigratePhasePartiallyFailed
	m.Status.Conditions = []metav1.Condition{
		{Type: v1alpha1.ConditionFinished, Status: metav1.ConditionTrue, LastTransitionTime: *ago(time.Hour)},
		{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Message: "1 of 3 targets is PartiallyFailed."},
	}
	m.Status.Attempts = []v1alpha1.MigrateAttempt{{Number: 1}, {Number: 2, StartTime: *ago(2 * time.Hour)}}
	check(t, Style{Color: true}.Summary(m, now), "default/shop  \x1b[33mPartiallyFailed\x1b[0m  attempt 2, took 60m, 60m ago\n  1 of 3 targets are Completed, 1 ended otherwise.")
}

// TestEverythingFits renders hostile texts at all sizes: no line is wider than the terminal or has a control character, and all but
// the longest tables are as high as it is at most.
func TestEverythingFits(t *testing.T) {
	const hostile = "一二三四五六七八九十 \x1b[2J\r\n\t\u009b31m \u202eevil \xff " + "aVeryLongWordWithoutAnySpaceInItThatDoesNotFitAnywhereAndSoMustBeBroken"
	m := shop()
	m.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Message: hostile}}
	for i := range m.Status.TargetClusterStatus {
		target := &m.Status.TargetClusterStatus[i]
		target.Reason, target.Message, target.ClusterName = hostile, hostile, target.ClusterName+strings.Repeat("x", 20*i)
	}
	results := &v1alpha1.MigrateResults{Clusters: []v1alpha1.ClusterResults{{
		ClusterName: hostile, Stage: hostile, ObjectName: hostile, Errors: []string{hostile}, Unavailable: hostile,
		Items: []v1alpha1.ItemResult{{Resource: "ConfigMap", Outcome: v1alpha1.ItemFailed, Name: hostile, Message: hostile}},
	}}}
	preview := plan()
	preview.Status.Message, preview.Status.Findings[0].Message = hostile, hostile
	preview.Status.Source.ClusterName, preview.Status.Source.Resources[0].Resource = hostile, hostile
	for width := minRoom + 6; width <= 250; width += 7 {
		for _, s := range []Style{{Width: width}, {Width: width, ASCII: true}, {Width: width, Height: width / 5}} {
			tree := s.Tree(m, now)
			if s.Height > 0 && len(tree) >= s.Height {
				t.Errorf("%+v: the tree has %d lines", s, len(tree))
			}
			for _, line := range slices.Concat(tree, s.Summary(m, now), s.Results(results, ""), s.Plan(preview), s.Wrap(hostile)) {
				if widthOf(line) > width {
					t.Fatalf("%+v: %d cells: %q", s, widthOf(line), line)
				}
				for _, r := range line {
					if !unicode.IsPrint(r) || s.ASCII && r > unicode.MaxASCII {
						t.Fatalf("%+v: %q", s, line)
					}
				}
			}
		}
	}
}

func TestLines(t *testing.T) {
	m := shop()
	var changes Changes
	check(t, Style{}.Lines(&changes, m, now), `
2026-11-30T12:00:00Z  kurator-member1  Completed  100%  8/8  20MiB  BackupCompleted: Backup kurator-member1-migrate-default-shop-a980e0c9 holds 8 items.
2026-11-30T12:00:00Z  kurator-member2  RestoreInProgress   45%  8/8  9.0MiB/20MiB  RestoreInProgress: Velero restores Restore kurator-member2-migrate-default-shop-a980e0c9.
2026-11-30T12:00:00Z  kurator-member3  PartiallyFailed   87%  7/8  20MiB  ItemsFailed: 1 of 8 items failed.
2026-11-30T12:00:00Z  kurator-member4  Completed  100%  RestoreCompleted
2026-11-30T12:00:00Z  default/shop  RestoreInProgress  1 of 3 targets are Completed, 1 ended otherwise.
`)
	check(t, Style{}.Lines(&changes, m, now), "")
	second := &m.Status.TargetClusterStatus[0]
	second.Progress.BytesDone += 1 << 18
	check(t, Style{}.Lines(&changes, m, now.Add(time.Second)), "")
	second.Progress.BytesDone = 20 << 20
	check(t, Style{ASCII: true}.Lines(&changes, m, now.Add(2*time.Second)), `
2026-11-30T12:00:02Z  kurator-member2  RestoreInProgress  100%  8/8  20MiB/20MiB  RestoreInProgress: Velero restores Restore kurator-member2-migrate-default-shop-a980e0c9.
`)
}

func plan() *v1alpha1.MigratePreview {
	cluster := func(name, sharing string) v1alpha1.ClusterPreview {
		return v1alpha1.ClusterPreview{
			ClusterName: name, Reachable: true, KubernetesVersion: "v1.37.2", VeleroVersion: "v1.18.3", NodeAgent: &v1alpha1.NodeAgentPreview{Ready: 1, Desired: 1},
			StorageLocation: &v1alpha1.StorageLocationPreview{Name: "default", Phase: "Available", Sharing: sharing},
		}
	}
	return &v1alpha1.MigratePreview{Status: v1alpha1.MigratePreviewStatus{
		Verdict: v1alpha1.PreviewReadyWithWarnings, Message: "The migration can begin, with 1 warning.",
		Findings: []v1alpha1.PreviewFinding{{
			Severity: v1alpha1.SeverityWarning, ClusterName: "kurator-member2", Reason: "ExistingItemsKept",
			Message: "kurator-member2 has these objects with other content, and they are left as they are: Pod shop/shop-0.",
		}},
		Source: &v1alpha1.SourcePreview{
			ClusterPreview: cluster("kurator-member1", ""), ItemsTotal: 3,
			Resources: []v1alpha1.ResourceCount{{Resource: "PersistentVolumeClaim", Count: 1}, {Resource: "Pod", Count: 2}},
			Volumes:   &v1alpha1.VolumesPreview{Total: 1, Bytes: 1 << 30, Items: []v1alpha1.VolumePreview{{Namespace: "shop", Claim: "data-shop-0", StorageClass: "local", Bytes: 1 << 30}}},
		},
		Targets: []v1alpha1.TargetPreview{
			{ClusterPreview: cluster("kurator-member2", "Same"), Existing: &v1alpha1.ExistingItems{Same: 2, Different: 1}},
			{ClusterPreview: v1alpha1.ClusterPreview{ClusterName: "kurator-member3"}},
		},
	}}
}

func TestPlan(t *testing.T) {
	check(t, Style{Width: 80, Color: true}.Plan(plan()), "\x1b[33mReadyWithWarnings\x1b[0m"+`
  The migration can begin, with 1 warning.

`+"\x1b[33mWarning\x1b[0m"+`  ExistingItemsKept  kurator-member2
  kurator-member2 has these objects with other content, and they are left as
  they are: Pod shop/shop-0.

SOURCE, TARGETS     KUBERNETES   VELERO   NODE-AGENT  STORAGE
kurator-member1     v1.37.2      v1.18.3  1/1         default Available
├─ kurator-member2  v1.37.2      v1.18.3  1/1         default Available, Same
│  has 3 of the items: 2 the same, 1 different
└─ kurator-member3  unreachable

RESOURCE               COUNT
PersistentVolumeClaim  1
Pod                    2
total                  3

CLAIM             STORAGECLASS  CAPACITY  DATA
shop/data-shop-0  local         1.0GiB    as Velero is configured
total                           1.0GiB
`)
}

func TestResults(t *testing.T) {
	failed := func(name, message string) v1alpha1.ItemResult {
		return v1alpha1.ItemResult{Resource: "ConfigMap", Namespace: "shop", Name: name, Outcome: v1alpha1.ItemFailed, Message: message}
	}
	r := &v1alpha1.MigrateResults{Clusters: []v1alpha1.ClusterResults{
		{ClusterName: "kurator-member1", Stage: "backup", ObjectName: "shop-1", Items: []v1alpha1.ItemResult{{Outcome: v1alpha1.ItemBackedUp}}},
		{
			ClusterName: "kurator-member2", Stage: "restore", ObjectName: "shop-2",
			Items: []v1alpha1.ItemResult{
				{Resource: "Pod", Namespace: "shop", Name: "web", Outcome: v1alpha1.ItemCreated},
				failed("a", "denied by policy"), failed("b", "too large"), failed("c", "denied by policy"),
			},
			Volumes:  []v1alpha1.VolumeResult{{Namespace: "shop", Claim: "data", Outcome: v1alpha1.ItemWithoutData, Message: "no running pod uses it"}},
			Warnings: []string{"a warning"}, Unavailable: "the storage does not answer",
		},
	}}
	check(t, Style{}.Results(r, ""), `
kurator-member1  backup shop-1
  1 of 1 items are in the Backup.

kurator-member2  restore shop-2
  1 of 4 items and the data of 0 of 1 volumes arrived.
  Failed  2 ConfigMap
    shop/a, shop/c
    denied by policy
  Failed  1 ConfigMap
    shop/b
    too large
  WithoutData  1 volume
    shop/data
    no running pod uses it
  Warnings of Velero
    a warning
  These results are not complete: the storage does not answer
`)
	check(t, Style{}.Results(r, v1alpha1.ItemCreated), `
kurator-member1  backup shop-1
  Nothing is Created.

kurator-member2  restore shop-2
  Created  1 Pod
    shop/web
  Warnings of Velero
    a warning
  These results are not complete: the storage does not answer
`)
}

func TestEscaping(t *testing.T) {
	var b strings.Builder
	w := Escaping(&b)
	for _, part := range []string{"level=info\tmsg=\"\xc3", "\xa9\x1b[31m\"\n", "next \xff\n"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if want := "level=info\tmsg=\"é\\x1b[31m\"\nnext \\xff\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}
