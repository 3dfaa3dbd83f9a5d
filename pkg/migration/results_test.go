// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// excepting returns lists with exceptions, of which each text is "kind namespace/name outcome".
func excepting(items v1alpha1.ItemCounts, volumes v1alpha1.VolumeCounts, exceptions ...string) *Lists {
	lists := &Lists{Items: items, Volumes: volumes}
	for _, x := range exceptions {
		fields := strings.Fields(x)
		namespace, name, _ := strings.Cut(fields[1], "/")
		lists.Exceptions.Add(velero.ItemResult{
			Item: velero.Item{Kind: fields[0], Namespace: namespace, Name: name}, Outcome: v1alpha1.ItemOutcome(fields[2]), Message: strings.Join(fields[3:], " "),
		})
	}
	return lists
}

// TestVerdict checks what a target reports whose Restore is Completed for Velero.
func TestVerdict(t *testing.T) {
	type counts = v1alpha1.ItemCounts
	type volumes = v1alpha1.VolumeCounts
	const describe = "See: velero restore describe " + restoreName + " --details"
	for _, tt := range []struct {
		name    string
		policy  v1alpha1.MigratePolicy
		results Results
		phase   v1alpha1.MigratePhase
		reason  string
		message string
		// items and volumes are the conditions ItemsRestored and VolumesMoved.
		items, volumes string
	}{
		{
			"everything is there",
			v1alpha1.MigratePolicy{},
			Results{Lists: excepting(counts{Total: 5, Created: 4, Unchanged: 1}, volumes{})},
			"Completed", "RestoreCompleted", "restored 4 items; the cluster had 1 item as in the source.",
			"True AllItemsRestored", "True NoVolumes",
		},
		{
			"with volumes, and items that are made anew",
			v1alpha1.MigratePolicy{},
			Results{Lists: excepting(counts{Total: 9, Created: 5, LeftOut: 4}, volumes{Total: 2, Moved: 2, Bytes: 3 << 20})},
			"Completed", "RestoreCompleted", "restored 5 items and the data of 2 volumes (3.0 MiB); the cluster makes 4 items anew.",
			"True AllItemsRestored", "True AllVolumesMoved",
		},
		{
			"with warnings",
			v1alpha1.MigratePolicy{},
			Results{Warnings: []string{"a", "b"}, Lists: excepting(counts{Total: 5, Created: 5}, volumes{})},
			"Completed", "RestoreCompleted", "restored 5 items, with 2 warnings: a; b.",
			"True AllItemsRestored", "True NoVolumes",
		},
		{
			"kept",
			v1alpha1.MigratePolicy{},
			Results{Lists: excepting(counts{Total: 5, Created: 4, Kept: 1}, volumes{}, "ConfigMap app/settings Kept it exists")},
			"PartiallyFailed", "ExistingItemsKept",
			"restored 4 items. Kept as they are in the cluster: ConfigMap app/settings. Delete them in the cluster and retry the Migrate, or recreate it with a spec.policy.existingResourcePolicy.",
			"False ExistingItemsKept", "True NoVolumes",
		},
		{
			"kept by policy",
			v1alpha1.MigratePolicy{ExistingResourcePolicy: v1alpha1.ExistingResourceNone},
			Results{Lists: excepting(counts{Total: 5, Created: 4, Kept: 1}, volumes{}, "ConfigMap app/settings Kept it exists")},
			"Completed", "RestoreCompleted", "restored 4 items. Kept as they are in the cluster: ConfigMap app/settings.",
			"True AllItemsRestored", "True NoVolumes",
		},
		{
			"failed",
			v1alpha1.MigratePolicy{ExistingResourcePolicy: v1alpha1.ExistingResourceUpdate},
			Results{Lists: excepting(counts{Total: 5, Created: 4, Failed: 1}, volumes{}, "Deployment.apps app/web Failed denied")},
			"PartiallyFailed", "ItemsFailed", "restored 4 items. Not restored: Deployment.apps app/web (denied). Fix the error and retry the Migrate.",
			"False ItemsFailed", "True NoVolumes",
		},
		{
			"left out",
			v1alpha1.MigratePolicy{},
			Results{Lists: excepting(counts{Total: 5, Created: 3, LeftOut: 2}, volumes{}, "Oven.example.com app/north LeftOut")},
			"PartiallyFailed", "ItemsLeftOut", "restored 3 items; the cluster makes 1 item anew. Left out: Oven.example.com app/north. Create them in the cluster if they are needed.",
			"False ItemsLeftOut", "True NoVolumes",
		},
		{
			"without data",
			v1alpha1.MigratePolicy{},
			Results{Lists: excepting(counts{Total: 5, Created: 5}, volumes{Total: 2, Moved: 1, Bytes: 7}, "PersistentVolumeClaim app/data WithoutData opted out")},
			"PartiallyFailed", "VolumesWithoutData",
			"restored 5 items and the data of 1 of 2 volumes (7 B). Without data: PersistentVolumeClaim app/data (opted out)." + remedies["VolumesWithoutData"],
			"True AllItemsRestored", "False VolumesWithoutData",
		},
		{
			"without data, as asked for",
			v1alpha1.MigratePolicy{Volumes: &v1alpha1.VolumePolicy{Data: "None"}},
			Results{Lists: excepting(counts{Total: 5, Created: 5}, volumes{Total: 1}, "PersistentVolumeClaim app/data WithoutData opted out")},
			"Completed", "RestoreCompleted", "restored 5 items and the data of 0 of 1 volume (0 B). The claims are empty, as spec.policy.volumes.data says.",
			"True AllItemsRestored", "False DataNotRequested",
		},
		{
			"several, the most severe first",
			v1alpha1.MigratePolicy{},
			Results{Lists: excepting(counts{Total: 5, Kept: 4, Failed: 1}, volumes{Total: 1},
				"ConfigMap app/a Kept", "ConfigMap app/b Kept", "ConfigMap app/c Kept", "ConfigMap app/d Kept", "Secret app/e Failed", "Pod app/f WithoutData")},
			"PartiallyFailed", "ItemsFailed",
			"restored 0 items and the data of 0 of 1 volume (0 B). Not restored: Secret app/e. Without data: Pod app/f. Kept as they are in the cluster: ConfigMap app/a; ConfigMap app/b; ConfigMap app/c; and 1 more. Fix the error and retry the Migrate.",
			"False ItemsFailed", "False VolumesWithoutData",
		},
		{
			"unknown",
			v1alpha1.MigratePolicy{},
			Results{ListsErr: errDown},
			"PartiallyFailed", "ResultsUnavailable", "is Completed for Velero, but what became of the items is unknown: connection refused. " + describe,
			"Unknown ResultsUnavailable", "Unknown ResultsUnavailable",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newFixture(t, m2)
			s.m.Spec.Policy = &tt.policy
			s.with(m1, func(m *Member) { m.Checked = &Checked{} }).with(m2, func(m *Member) { m.Checked = &Checked{} })
			s.restoring()
			s.with(m2, func(m *Member) {
				m.Restore.Status.Warnings = len(tt.results.Warnings)
				m.Results = &tt.results
			})
			s.restore(m2, velerov1.RestorePhaseCompleted)
			s.wantPhase(tt.phase)
			s.wantState(s.target(), tt.reason, "Restore "+restoreName+" "+tt.message)
			for kind, want := range map[string]string{"ItemsRestored": tt.items, "VolumesMoved": tt.volumes} {
				status, reason, _ := strings.Cut(want, " ")
				s.wantCondition(kind, metav1.ConditionStatus(status), reason)
			}
			ready := metav1.ConditionFalse
			if tt.phase == v1alpha1.MigratePhaseCompleted {
				ready = metav1.ConditionTrue
			}
			s.wantCondition("Ready", ready, s.condition("Ready").Reason)
			if lists := tt.results.Lists; lists != nil {
				target := s.target()
				if d := cmp.Diff([]any{lists.Items, lists.Volumes}, []any{*target.Items, *target.Volumes}); d != "" {
					t.Error(d)
				}
				if int64(len(target.Exceptions)) != lists.Exceptions.Total() {
					t.Errorf("exceptions %+v", target.Exceptions)
				}
			}
		})
	}
}

// TestNoEndWithoutResults checks that an object that has ended is unfinished until its results are read,
// for all phases of Velero.
func TestNoEndWithoutResults(t *testing.T) {
	s := newFixture(t, m2).started()
	s.with(m1, func(m *Member) {
		m.Backup.Status.Phase, m.Backup.Status.Progress = velerov1.BackupPhaseCompleted, &velerov1.BackupProgress{TotalItems: 5, ItemsBackedUp: 5}
	})
	s.record()
	s.wantPhase("BackupInProgress")
	s.wantState(s.m.Status.SourceClusterStatus.ClusterStatus, "ReadingResults", "Backup m1-migrate-default-app-c948154d is Completed for Velero; reading from the storage what became of the items.")
	s.wantNoActions()

	for _, phase := range []velerov1.RestorePhase{velerov1.RestorePhaseCompleted, velerov1.RestorePhasePartiallyFailed} {
		s := newFixture(t, m2).restoring()
		s.with(m2, func(m *Member) { m.Restore.Status.Phase = phase })
		s.record()
		s.wantPhase("RestoreInProgress")
		s.wantState(s.target(), "ReadingResults", fmt.Sprintf("Restore %s is %s for Velero; reading from the storage what became of the items.", restoreName, phase))
		if live := LiveStatus(s.m, s.observed(), s.now); live.Phase != "RestoreInProgress" {
			t.Errorf("the live phase is %s", live.Phase)
		}
	}
}

// TestSourceReportsVolumesWithoutData checks the status of a source with a volume that was not taken.
func TestSourceReportsVolumesWithoutData(t *testing.T) {
	s := newFixture(t, m2).started()
	s.with(m1, func(m *Member) {
		m.Results = &Results{Lists: excepting(v1alpha1.ItemCounts{Total: 5}, v1alpha1.VolumeCounts{Total: 2, Moved: 1, Bytes: 9}, "PersistentVolumeClaim app/data WithoutData opted out")}
	})
	s.backup(velerov1.BackupPhaseCompleted, 7)
	source := s.m.Status.SourceClusterStatus.ClusterStatus
	s.wantState(source, "VolumesWithoutData", "Backup m1-migrate-default-app-c948154d holds 5 items and the data of 1 of 2 volumes (9 B). Without data: PersistentVolumeClaim app/data (opted out).")
	want := []v1alpha1.ItemResult{{Resource: "PersistentVolumeClaim", Namespace: "app", Name: "data", Outcome: "WithoutData", Message: "opted out"}}
	if d := cmp.Diff(want, source.Exceptions); d != "" {
		t.Error(d)
	}
	s.wantPhase("RestoreInProgress")
	if got := s.condition("Ready").Message; !strings.Contains(got, "app/data") {
		t.Errorf("the message is %q", got)
	}
}

// TestExceptionsAreBounded reports a million exceptions with long texts.
func TestExceptionsAreBounded(t *testing.T) {
	s := newFixture(t, m2).restoring()
	lists := &Lists{Items: v1alpha1.ItemCounts{Total: 1 << 20, Kept: 1 << 20}}
	for range velero.MaxExceptions {
		x := velero.ItemResult{Item: velero.Item{Kind: strings.Repeat("K", 4096), Namespace: "\x1b[2J", Name: strings.Repeat("<", 4096)}, Outcome: v1alpha1.ItemKept, Message: strings.Repeat("m", 4096)}
		lists.Exceptions.Add(x)
		x.Outcome = v1alpha1.ItemFailed
		lists.Exceptions.Add(x)
	}
	lists.Exceptions.Count[v1alpha1.ItemKept] = 1 << 20
	s.with(m2, func(m *Member) { m.Results = &Results{Lists: lists} })
	s.restore(m2, velerov1.RestorePhaseCompleted)
	target := s.target()
	if len(target.Exceptions) != 20 || target.Exceptions[19].Outcome != "Failed" || target.ExceptionsOmitted != 1<<20 {
		t.Errorf("%d exceptions, %d omitted", len(target.Exceptions), target.ExceptionsOmitted)
	}
	raw, err := json.Marshal(s.m.Status)
	if err != nil || len(raw) > 64<<10 || strings.ContainsRune(string(raw), 0x1b) {
		t.Errorf("the status has %d bytes, %v", len(raw), err)
	}
}

func TestNeedsResults(t *testing.T) {
	kinds := func(r ResultsRequest) string {
		var all []string
		for _, file := range []*velerov1.DownloadRequest{r.Results, r.Log, r.BackedUp, r.BackedUpVolumes, r.Restored, r.RestoredVolumes} {
			if file != nil {
				all = append(all, fmt.Sprintf("%s %s", file.Spec.Target.Kind, file.Spec.Target.Name))
			}
		}
		return strings.Join(append(all, r.Names...), ", ")
	}
	const backup = "m1-migrate-default-app-c948154d"
	const lists, volumes = "BackupResourceList " + backup + ", RestoreResourceList " + restoreName, ", BackupVolumeInfos " + backup
	for _, tt := range []struct {
		phase    velerov1.BackupPhase
		warnings int
		want     string
	}{
		{"InProgress", 1, ""},
		{"Failed", 1, ""},
		{"FailedValidation", 0, ""},
		{"PartiallyFailed", 0, "BackupResults " + backup + ", BackupLog " + backup},
		{"Completed", 0, "BackupResourceList " + backup + volumes + ", configmaps"},
		{"Completed", 1, "BackupResults " + backup + ", BackupLog " + backup + ", BackupResourceList " + backup + volumes + ", configmaps"},
	} {
		s := newFixture(t, m2).started()
		s.m.Spec.Policy = &v1alpha1.MigratePolicy{ResourceFilter: &v1alpha1.ResourceFilter{IncludedResources: []string{"configmaps"}, ExcludedResources: []string{"*z"}}}
		s.with(m1, func(m *Member) { m.Backup.Status.Phase, m.Backup.Status.Warnings = tt.phase, tt.warnings })
		got, needed := NeedsResults(s.m, m1, s.seen.Members[m1])
		if d := cmp.Diff(tt.want, kinds(got)); d != "" || needed != (tt.want != "") {
			t.Errorf("Backup %s with %d warnings: needed %v, %s", tt.phase, tt.warnings, needed, d)
		}
	}
	for _, tt := range []struct {
		phase    velerov1.RestorePhase
		warnings int
		volumes  *v1alpha1.VolumeCounts // of the source
		want     string
	}{
		{"InProgress", 1, nil, ""},
		{"Failed", 0, nil, ""},
		{"Completed", 0, &v1alpha1.VolumeCounts{}, "BackupResourceList " + backup + ", RestoreResourceList " + restoreName},
		{"Completed", 0, &v1alpha1.VolumeCounts{Total: 1}, "BackupResourceList " + backup + volumes + ", RestoreResourceList " + restoreName + ", RestoreVolumeInfo " + restoreName},
		{"Completed", 1, nil, "RestoreResults " + restoreName + ", RestoreLog " + restoreName + ", BackupResourceList " + backup + volumes + ", RestoreResourceList " + restoreName + ", RestoreVolumeInfo " + restoreName},
		{"PartiallyFailed", 0, &v1alpha1.VolumeCounts{}, "RestoreResults " + restoreName + ", RestoreLog " + restoreName + ", " + lists},
	} {
		s := newFixture(t, m2).restoring()
		s.m.Spec.Policy = &v1alpha1.MigratePolicy{NamespaceMapping: map[string]string{"app": "there"}}
		s.m.Status.SourceClusterStatus.Volumes = tt.volumes
		s.with(m2, func(m *Member) {
			m.Backup.Spec.StorageLocation = "default"
			m.Locations[0].Spec.ObjectStorage.CACert = []byte("ca")
			m.Restore.Status.Phase, m.Restore.Status.Warnings = tt.phase, tt.warnings
		})
		got, needed := NeedsResults(s.m, m2, s.seen.Members[m2])
		if d := cmp.Diff(tt.want, kinds(got)); d != "" || needed != (tt.want != "") {
			t.Errorf("Restore %s with %d warnings: needed %v, %s", tt.phase, tt.warnings, needed, d)
		}
		if needed && (got.Restore != restoreName || string(got.CA.PEM) != "ca" || got.NamespaceMapping["app"] != "there") {
			t.Errorf("request %+v", got)
		}
		s.restore(m2, velerov1.RestorePhaseCompleted)
		if _, needed := NeedsResults(s.m, m2, s.seen.Members[m2]); needed {
			t.Error("the results of a cluster that has ended are needed")
		}
	}
}

// TestBackupThatLacksWhatTheFilterSelects checks that a Migrate whose targets have every item of the Backup
// is no success then.
func TestBackupThatLacksWhatTheFilterSelects(t *testing.T) {
	s := newFixture(t, m2).started()
	left := velero.Exceptions{}
	left.Add(velero.ItemResult{Item: velero.Item{Kind: "ovens.example.com"}, Outcome: v1alpha1.ItemLeftOut, Message: "it is young"})
	s.with(m1, func(m *Member) {
		m.Results = &Results{LeftOut: left, Lists: excepting(v1alpha1.ItemCounts{Total: 5}, v1alpha1.VolumeCounts{})}
	})
	s.backup(velerov1.BackupPhaseCompleted, 5)
	s.wantState(s.m.Status.SourceClusterStatus.ClusterStatus, "ItemsLeftOut", "Backup m1-migrate-default-app-c948154d holds 5 items. Left out: ovens.example.com (it is young).")
	s.next()
	s.record()
	s.restore(m2, velerov1.RestorePhaseCompleted)
	if target := s.target(); target.Phase != "Completed" {
		t.Errorf("the target is %s", target.Phase)
	}
	s.wantPhase("PartiallyFailed")
	s.wantCondition("Ready", metav1.ConditionFalse, "ItemsLeftOut")
	s.wantCondition("ItemsRestored", metav1.ConditionFalse, "ItemsLeftOut")
	s.wantCondition("Stalled", metav1.ConditionTrue, "PartiallyFailed")
}

// TestNamespaceWithTheLabelOfVelero checks that it is reported and changes no end: somebody set the label on
// purpose.
func TestNamespaceWithTheLabelOfVelero(t *testing.T) {
	s := newFixture(t, m2).started()
	left := velero.Exceptions{}
	left.Add(velero.ItemResult{Item: velero.Item{Kind: "Namespace", Name: "payments"}, Outcome: v1alpha1.ItemLeftOut, Message: "it has a label"})
	s.with(m1, func(m *Member) {
		m.Results = &Results{LeftOut: left, Lists: excepting(v1alpha1.ItemCounts{Total: 5}, v1alpha1.VolumeCounts{})}
	})
	s.backup(velerov1.BackupPhaseCompleted, 5)
	s.next()
	s.record()
	s.restore(m2, velerov1.RestorePhaseCompleted)
	s.wantPhase("Completed")
	if got := s.condition("Ready"); got.Reason != "Completed" || !strings.Contains(got.Message, "Left out: Namespace payments (it has a label).") {
		t.Errorf("Ready is %s: %s", got.Reason, got.Message)
	}
}

// TestErrorsThatBelongToNoItem has a Restore whose errors the lists don't explain.
func TestErrorsThatBelongToNoItem(t *testing.T) {
	s := newFixture(t, m2).restoring()
	s.with(m2, func(m *Member) {
		m.Results = &Results{Errors: []string{"hook failed"}, Lists: excepting(v1alpha1.ItemCounts{Total: 5, Created: 5}, v1alpha1.VolumeCounts{})}
	})
	s.restore(m2, velerov1.RestorePhasePartiallyFailed)
	s.wantCondition("ItemsRestored", metav1.ConditionFalse, "RestorePartiallyFailed")
}

// TestVolumeProgressEndsComplete ends with volumes of which Velero counted some bytes more while it moved them.
func TestVolumeProgressEndsComplete(t *testing.T) {
	for moved, want := range map[int64]v1alpha1.VolumeProgress{2: {BytesDone: 100, TotalBytes: 100}, 1: {BytesDone: 100, TotalBytes: 119}} {
		cs := v1alpha1.ClusterStatus{VolumeProgress: &v1alpha1.VolumeProgress{BytesDone: 90, TotalBytes: 119}}
		setResults(&cs, &Results{Lists: &Lists{Volumes: v1alpha1.VolumeCounts{Total: 2, Moved: moved, Bytes: 100}}})
		if *cs.VolumeProgress != want {
			t.Errorf("with %d of 2 volumes moved: %+v", moved, *cs.VolumeProgress)
		}
	}
}
