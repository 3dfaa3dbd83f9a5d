// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

var (
	testConfigMaps = velero.Resource{Version: "v1", Name: "configmaps", Kind: "ConfigMap", Namespaced: true}
	testClaims     = velero.Resource{Version: "v1", Name: "persistentvolumeclaims", Kind: "PersistentVolumeClaim", Namespaced: true}
)

// previewFixture is a fixture with the Backups that Velero in the source runs.
type previewFixture struct {
	*fixture
	running Running
}

// previewed returns the findings of a preview, as SEVERITY CLUSTER REASON: MESSAGE, and its verdict. change changes
// a migration from m1 to m2 that nothing hinders, of the ConfigMap app/a.
func previewed(t *testing.T, change func(*v1alpha1.MigratePolicy, *SourceSurvey, *TargetSurvey, *previewFixture)) (findings []string, status v1alpha1.MigratePreviewStatus) {
	t.Helper()
	s := &previewFixture{fixture: newFixture(t, m2)}
	source := &SourceSurvey{
		ClusterSurvey: ClusterSurvey{Kubernetes: "v1.37.2", Server: ServerAnswers},
		Selected:      []SelectedResource{{Resource: testConfigMaps, Count: 1, Objects: []ObjectKey{{"app", "a"}}}},
		Needs:         map[string]corev1.ResourceList{"app": {"count/configmaps": resource.MustParse("1"), "configmaps": resource.MustParse("1")}},
	}
	target := &TargetSurvey{ClusterSurvey: ClusterSurvey{Kubernetes: "v1.37.2", Server: ServerAnswers}, Existing: &ExistingItems{}}
	policy := v1alpha1.MigratePolicy{}
	change(&policy, source, target, s)
	s.m.Spec.Policy = &policy
	status = Preview(s.m, s.observed(), Surveys{Source: source, Targets: map[Cluster]*TargetSurvey{m2: target}, Running: &s.running}, s.now)
	for _, f := range status.Findings {
		findings = append(findings, fmt.Sprintf("%s %s %s: %s", f.Severity, f.ClusterName, f.Reason, f.Message))
	}
	return findings, status
}

func TestPreviewFindings(t *testing.T) {
	type (
		policy = v1alpha1.MigratePolicy
		source = SourceSurvey
		target = TargetSurvey
	)
	item := velero.Item{Kind: "ConfigMap", Namespace: "app", Name: "a"}
	quota := func(name corev1.ResourceName, hard, used string) corev1.ResourceQuota {
		return corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Namespace: "app", Name: "q"},
			Status: corev1.ResourceQuotaStatus{
				Hard: corev1.ResourceList{name: resource.MustParse(hard)}, Used: corev1.ResourceList{name: resource.MustParse(used)},
			},
		}
	}
	for name, tt := range map[string]struct {
		change  func(*policy, *source, *target, *previewFixture)
		verdict v1alpha1.PreviewVerdict
		want    []string
	}{
		"nothing": {func(*policy, *source, *target, *previewFixture) {}, "Ready", nil},
		"queue": {func(_ *policy, _ *source, _ *target, s *previewFixture) {
			s.running.Backups = []RunningBackup{{Name: "nightly", Phase: velerov1.BackupPhaseInProgress, Created: s.now.Add(-time.Hour), Moved: s.now}}
		}, "ReadyWithWarnings", []string{"Warning m1 WaitingInQueue: Place 1 in the queue for Backups in m1. Backup nightly comes first."}},
		"queue unknown": {func(_ *policy, _ *source, _ *target, s *previewFixture) { s.running.Err = errors.New("refused") }, "Blocked", []string{"Blocking m1 MemberUnreachable: "}},
		"target unreachable": {func(_ *policy, _ *source, _ *target, s *previewFixture) {
			s.seen.Members[m2] = Member{Err: errors.New("no route"), Since: s.now}
		}, "Blocked", []string{"Blocking m1 NoTargetReady: ", "Blocking m2 MemberUnreachable: "}},
		"Velero silent": {func(_ *policy, _ *source, to *target, _ *previewFixture) { to.Server = ServerSilent }, "Blocked", []string{"Blocking m2 VeleroNotAnswering: Velero in m2 does not answer"}},
		"not checked": {func(_ *policy, from *source, _ *target, _ *previewFixture) {
			from.NotChecked = []NotChecked{{"node-agent", errors.New("forbidden")}}
		}, "ReadyWithWarnings", []string{"Warning m1 NotChecked: Could not be checked in m1: node-agent: forbidden"}},
		"older": {func(_ *policy, _ *source, to *target, _ *previewFixture) { to.Kubernetes = "v1.36.9" }, "ReadyWithWarnings", []string{
			"Warning m2 KubernetesVersionSkew: m2 has Kubernetes v1.36.9, older than v1.37.2 of the source",
		}},
		"clock behind": {func(_ *policy, _ *source, to *target, _ *previewFixture) { to.ClockAhead = -2 * time.Minute }, "ReadyWithWarnings", []string{
			"Warning m2 ClockSkew: The clock of m2 is 2m0s behind that of this server",
		}},
		"clock near":  {func(_ *policy, from *source, _ *target, _ *previewFixture) { from.ClockAhead = 30 * time.Second }, "Ready", nil},
		"newer":       {func(_ *policy, _ *source, to *target, _ *previewFixture) { to.Kubernetes = "v1.40.0-eks.1" }, "Ready", nil},
		"odd version": {func(_ *policy, _ *source, to *target, _ *previewFixture) { to.Kubernetes = "\x1b[31m" }, "Ready", nil},
		"nothing selected": {func(_ *policy, from *source, _ *target, _ *previewFixture) { from.Selected = nil }, "ReadyWithWarnings", []string{
			"Warning m1 NothingMatched: The filter matches nothing in m1.",
		}},
		"names of the filter": {func(_ *policy, from *source, _ *target, _ *previewFixture) {
			from.UnknownNames, from.MissingNamespaces, from.ExcludedNamespaces = []string{"ovens"}, []string{"shopp"}, []string{"kept"}
		}, "ReadyWithWarnings", []string{
			"Warning m1 UnknownResources: The filter names resources that m1 does not serve, and Velero ignores them: ovens.",
			"Warning m1 NothingMatched: m1 does not have these namespaces: shopp.",
			"Warning m1 ItemsLeftOut: Velero backs up nothing of namespaces with the label velero.io/exclude-from-backup=true: kept.",
		}},
		"volumes": {func(_ *policy, from *source, to *target, _ *previewFixture) {
			from.NodeAgent = &v1alpha1.NodeAgentPreview{Ready: 1, Desired: 1, LoadConcurrency: 2}
			from.Volumes = []v1alpha1.VolumePreview{
				{Namespace: "app", Claim: "a", StorageClass: "fast", Method: "FileSystemBackup"}, {Namespace: "app", Claim: "b", StorageClass: "slow"},
			}
			to.Classes = []string{"slow"}
		}, "ReadyWithWarnings", []string{
			"Warning m1 VolumeMethodUnknown: Whether the data of 1 claim moves depends on the configuration of Velero in m1: app/b.",
			"Warning m2 StorageClassNotFound: Claims have StorageClasses that do not exist in m2: fast.",
			"Information m1 VolumesToMove: The data of 1 volume is moved, 2 at a time on each node",
		}},
		"mapped class": {func(p *policy, from *source, to *target, s *previewFixture) {
			p.Volumes = &v1alpha1.VolumePolicy{StorageClassMapping: map[string]string{"fast": "slow"}}
			from.Volumes = []v1alpha1.VolumePreview{{Namespace: "app", Claim: "a", StorageClass: "fast", Method: "None"}}
			to.Classes = []string{"slow"}
			for _, c := range []Cluster{m1, m2} {
				member := s.seen.Members[c]
				member.Checked = &Checked{}
				s.seen.Members[c] = member
			}
		}, "Ready", nil},
		"kind not served": {func(_ *policy, _ *source, to *target, _ *previewFixture) {
			to.NotServed = []UnservedResource{
				{velero.Resource{Group: "autoscaling", Version: "v3", Name: "horizontalpodautoscalers"}, true},
				{velero.Resource{Group: "example.com", Version: "v1", Name: "ovens"}, false},
				{velero.Resource{Group: "gateway.networking.k8s.io", Version: "v1", Name: "gateways"}, false},
			}
		}, "ReadyWithWarnings", []string{"Warning m2 KindNotServed: m2 does not serve these kinds in the version of the source, so their objects are left out: horizontalpodautoscalers.autoscaling (v3)."}},
		"custom kind in another version": {func(_ *policy, _ *source, to *target, _ *previewFixture) {
			to.NotServed = []UnservedResource{{velero.Resource{Group: "example.com", Version: "v2", Name: "ovens"}, true}}
		}, "ReadyWithWarnings", []string{"Warning m2 KindNotServed: m2 does not serve these kinds in the version of the source, so their objects are left out: ovens.example.com (v2)."}},
		"custom kind not served": {func(p *policy, _ *source, to *target, _ *previewFixture) {
			p.ResourceFilter = &v1alpha1.ResourceFilter{IncludeClusterResources: new(bool)}
			to.NotServed = []UnservedResource{{velero.Resource{Group: "example.com", Version: "v1", Name: "ovens"}, false}}
		}, "ReadyWithWarnings", []string{"Warning m2 KindNotServed: m2 does not serve these kinds in the version of the source, so their objects are left out: ovens.example.com (v1)."}},
		"existing": {func(_ *policy, _ *source, to *target, _ *previewFixture) {
			to.Existing = &ExistingItems{All: map[velero.Item]bool{item: true}, Different: []velero.Item{item}, NotCompared: 2}
		}, "ReadyWithWarnings", []string{
			"Warning m2 ExistingItemsKept: m2 has these objects with other content, and they are left as they are: ConfigMap app/a.",
			"Warning m2 ExistingItems: m2 has 2 more selected objects that were not compared.",
		}},
		"existing, updated": {func(p *policy, _ *source, to *target, _ *previewFixture) {
			p.ExistingResourcePolicy = v1alpha1.ExistingResourceUpdate
			to.Existing = &ExistingItems{Different: []velero.Item{item}}
		}, "ReadyWithWarnings", []string{"Warning m2 ExistingItems: m2 has these objects with other content, and spec.policy.existingResourcePolicy changes them: ConfigMap app/a."}},
		"existing, kept on purpose": {func(p *policy, _ *source, to *target, _ *previewFixture) {
			p.ExistingResourcePolicy = v1alpha1.ExistingResourceNone
			to.Existing = &ExistingItems{Different: []velero.Item{item}}
		}, "Ready", []string{"Information m2 ExistingItems: "}},
		"terminating": {func(_ *policy, _ *source, to *target, _ *previewFixture) { to.Terminating = []string{"app"} }, "ReadyWithWarnings", []string{
			"Warning m2 NamespaceTerminating: Namespaces are being deleted in m2, and Velero waits until they are gone: app.",
		}},
		"addresses": {func(p *policy, from *source, to *target, _ *previewFixture) {
			p.NamespaceMapping = map[string]string{"app": "there"}
			from.Services = []ServiceAddresses{{ObjectKey{"app", "web"}, []int32{30001, 30002}, "192.0.2.1"}, {ObjectKey{"app", "db"}, nil, "192.0.2.2"}}
			to.NodePorts = map[int32]ObjectKey{30001: {"there", "web"}, 30002: {"x", "y"}}
			to.LoadBalancerIPs = map[string]ObjectKey{"192.0.2.1": {"there", "web"}, "192.0.2.2": {"x", "y"}}
		}, "ReadyWithWarnings", []string{
			"Warning m2 AddressTaken: Other Services in m2 use what selected ones ask for: load balancer address 192.0.2.2 of Service there/db by x/y, node port 30002 of Service there/web by x/y.",
		}},
		"references": {func(_ *policy, _ *source, to *target, _ *previewFixture) {
			to.Missing = []Reference{{From: item, Resource: velero.Resource{Kind: "Secret", Namespaced: true}, To: ObjectKey{"app", "password"}}}
		}, "ReadyWithWarnings", []string{
			"Warning m2 ReferenceLeftBehind: The filter leaves objects behind that selected ones refer to, and m2 does not have them: Secret app/password, which ConfigMap app/a refers to.",
		}},
		"denied": {func(_ *policy, _ *source, to *target, _ *previewFixture) {
			to.Denied = []DeniedItem{{item, "policy says no\n\x1b"}}
		}, "ReadyWithWarnings", []string{
			"Warning m2 AdmissionDenied: m2 does not accept objects as they are in the source (tried without creating them): ConfigMap app/a (policy says no ?).",
		}},
		"quota": {func(_ *policy, _ *source, to *target, _ *previewFixture) {
			to.Quotas = []corev1.ResourceQuota{quota("count/configmaps", "3", "3")}
		}, "ReadyWithWarnings", []string{
			"Warning m2 QuotaExceeded: Not all objects are allowed in m2: ResourceQuota app/q allows 3 of count/configmaps, of which 3 are used and 1 more are needed.",
		}},
		"quota with room": {func(_ *policy, _ *source, to *target, _ *previewFixture) {
			to.Quotas = []corev1.ResourceQuota{quota("count/configmaps", "3", "2")}
		}, "Ready", nil},
		"quota for what is there": {func(_ *policy, _ *source, to *target, _ *previewFixture) {
			to.Quotas = []corev1.ResourceQuota{quota("configmaps", "3", "3")}
			to.Existing = &ExistingItems{All: map[velero.Item]bool{item: true}, Same: 1}
		}, "Ready", nil},
		"quota with scopes": {func(_ *policy, _ *source, to *target, _ *previewFixture) {
			scoped := quota("configmaps", "0", "0")
			scoped.Spec.Scopes = []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeBestEffort}
			to.Quotas = []corev1.ResourceQuota{scoped}
		}, "Ready", nil},
		"quota of storage": {func(_ *policy, from *source, to *target, _ *previewFixture) {
			from.Selected = append(from.Selected, SelectedResource{Resource: testClaims})
			from.Needs["app"]["requests.storage"] = resource.MustParse("2Gi")
			to.Quotas = []corev1.ResourceQuota{quota("requests.storage", "1Gi", "0")}
		}, "ReadyWithWarnings", []string{"Warning m2 QuotaExceeded: Not all objects are allowed in m2: ResourceQuota app/q allows 1Gi of requests.storage, of which 0 are used and 2Gi more are needed."}},
		"quota of storage, of which some is there": {func(_ *policy, from *source, to *target, _ *previewFixture) {
			from.Selected = append(from.Selected, SelectedResource{Resource: testClaims})
			from.Needs["app"]["requests.storage"] = resource.MustParse("2Gi")
			to.Quotas = []corev1.ResourceQuota{quota("requests.storage", "1Gi", "1Gi")}
			to.Existing = &ExistingItems{All: map[velero.Item]bool{{Kind: "PersistentVolumeClaim", Namespace: "app", Name: "data"}: true}, Same: 1}
		}, "Ready", nil},
		"limit range": {func(_ *policy, from *source, to *target, _ *previewFixture) {
			from.Largest = map[string][]corev1.LimitRangeItem{"app": {{Type: "Container", Max: corev1.ResourceList{"memory": resource.MustParse("3Gi")}}}}
			limit := func(memory string) corev1.LimitRange {
				return corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: "app", Name: "l" + strings.ToLower(memory)}, Spec: corev1.LimitRangeSpec{
					Limits: []corev1.LimitRangeItem{{Type: "Container", Max: corev1.ResourceList{"memory": resource.MustParse(memory)}}},
				}}
			}
			to.LimitRanges = []corev1.LimitRange{limit("2Gi"), limit("3Gi")}
		}, "ReadyWithWarnings", []string{"Warning m2 QuotaExceeded: Not all objects are allowed in m2: LimitRange app/l2gi allows a Container to have at most 2Gi of memory, and one has 3Gi."}},
	} {
		t.Run(name, func(t *testing.T) {
			findings, status := previewed(t, tt.change)
			matches := slices.EqualFunc(findings, tt.want, strings.HasPrefix)
			if status.Verdict != tt.verdict || !matches {
				t.Errorf("%s: %s\n%s", status.Verdict, status.Message, strings.Join(findings, "\n"))
			}
		})
	}
}

// TestPreviewIsBounded has more of everything than a preview shows.
func TestPreviewIsBounded(t *testing.T) {
	_, status := previewed(t, func(_ *v1alpha1.MigratePolicy, from *SourceSurvey, to *TargetSurvey, _ *previewFixture) {
		for i := range 2000 {
			from.Volumes = append(from.Volumes, v1alpha1.VolumePreview{Namespace: "app", Claim: fmt.Sprint(i), Bytes: 1})
			from.Selected = append(from.Selected, SelectedResource{Resource: velero.Resource{Kind: strings.Repeat("k", 1000), Name: "ks"}, Count: 1})
			from.NotChecked = append(from.NotChecked, NotChecked{fmt.Sprint(i), errors.New(strings.Repeat("e", 10_000))})
			to.Denied = append(to.Denied, DeniedItem{velero.Item{Kind: "K", Name: fmt.Sprint(i)}, strings.Repeat("d", 10_000)})
		}
	})
	volumes := status.Source.Volumes
	if volumes.Total != 2000 || volumes.Bytes != 2000 || len(volumes.Items) != maxVolumes || len(status.Source.Resources) != maxResources || status.Source.ItemsTotal != 2001 {
		t.Errorf("%d volumes, of which %d are shown; %d resources", volumes.Total, len(volumes.Items), len(status.Source.Resources))
	}
	if len(status.Findings) != maxFindings {
		t.Errorf("%d findings", len(status.Findings))
	}
	for _, f := range status.Findings {
		if len(f.Message) > maxMessageLength {
			t.Errorf("a message of %d bytes", len(f.Message))
		}
	}
}
