// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

const (
	// maxFindings is the largest number of findings of a preview, and maxNamed how many objects one names.
	maxFindings, maxNamed = 200, 10
	// maxClockSkew is how far the clock of a cluster may be from ours.
	maxClockSkew = 30 * time.Second
	// maxVolumes is the largest number of volumes in a preview, and maxResources that of resources.
	maxVolumes, maxResources = 100, 500
)

// Preview returns the plan of m, which is not stored: what the driver would wait for now, by the same functions,
// and what the surveys of its clusters have found.
func Preview(m *v1alpha1.Migrate, seen Observation, surveys Surveys, now time.Time) v1alpha1.MigratePreviewStatus {
	seen = withTurn(m, seen, surveys.Running, now)
	p := &preview{m: m, seen: seen, surveys: surveys, status: LiveStatus(m, seen, now)}
	p.addSource()
	for i := range p.status.TargetClusterStatus {
		p.addTarget(&p.status.TargetClusterStatus[i])
	}
	if p.status.SourceClusterStatus == nil {
		waiting := seen.Plan.waiting
		p.block("", waiting.reason, waiting.message)
	}
	p.sum()
	p.result.Time = &metav1.Time{Time: now.Truncate(time.Second)}
	return p.result
}

// withTurn returns the observation with the turn of m behind the Backups that Velero in the source runs.
func withTurn(m *v1alpha1.Migrate, seen Observation, running *Running, now time.Time) Observation {
	source, ticket, inQueue := TicketOf(m, seen)
	if running == nil || !inQueue {
		return seen
	}
	turn := Turn{Err: running.Err}
	if running.Err == nil {
		turn = (&Queue{}).Join(ticket, running.Backups, seen.Plan.Of(source).ConcurrentBackups, now)
	}
	seen.Members = maps.Clone(seen.Members)
	member := seen.Members[source]
	member.Turn = &turn
	seen.Members[source] = member
	return seen
}

// preview is a preview that is made.
type preview struct {
	m       *v1alpha1.Migrate
	seen    Observation
	surveys Surveys
	status  v1alpha1.MigrateStatus
	result  v1alpha1.MigratePreviewStatus
}

func (p *preview) add(severity v1alpha1.PreviewSeverity, cluster, reason, message string) {
	p.result.Findings = append(p.result.Findings, v1alpha1.PreviewFinding{
		Severity: severity, ClusterName: cluster, Reason: reason, Message: Shorten(message, maxMessageLength),
	})
}

func (p *preview) block(cluster, reason, message string) {
	p.add(v1alpha1.SeverityBlocking, cluster, reason, message)
}

func (p *preview) warn(cluster, reason, format string, args ...any) {
	p.add(v1alpha1.SeverityWarning, cluster, reason, fmt.Sprintf(format, args...))
}

func (p *preview) inform(cluster, reason, format string, args ...any) {
	p.add(v1alpha1.SeverityInformation, cluster, reason, fmt.Sprintf(format, args...))
}

// sum sorts the findings and sets the verdict.
func (p *preview) sum() {
	order := []v1alpha1.PreviewSeverity{v1alpha1.SeverityBlocking, v1alpha1.SeverityWarning, v1alpha1.SeverityInformation}
	findings := p.result.Findings
	slices.SortStableFunc(findings, func(a, b v1alpha1.PreviewFinding) int {
		return cmp.Compare(slices.Index(order, a.Severity), slices.Index(order, b.Severity))
	})
	number := map[v1alpha1.PreviewSeverity]int64{}
	for _, f := range findings {
		number[f.Severity]++
	}
	p.result.Findings = findings[:min(len(findings), maxFindings)]
	blocking, warnings := number[v1alpha1.SeverityBlocking], number[v1alpha1.SeverityWarning]
	switch {
	case blocking > 0:
		p.result.Verdict = v1alpha1.PreviewBlocked
		p.result.Message = fmt.Sprintf("A Migrate would wait: %s", oneOf(findings[0]))
	case warnings > 0:
		p.result.Verdict = v1alpha1.PreviewReadyWithWarnings
		p.result.Message = fmt.Sprintf("A Migrate would start. There is a warning: %s", oneOf(findings[0]))
		if warnings > 1 {
			p.result.Message = fmt.Sprintf("A Migrate would start. There are %d warnings, first: %s", warnings, oneOf(findings[0]))
		}
	default:
		p.result.Verdict = v1alpha1.PreviewReady
		p.result.Message = "A Migrate would start, and nothing was found that would hinder it."
	}
	p.result.Message = Shorten(p.result.Message, maxMessageLength)
}

// oneOf describes a finding in one line.
func oneOf(f v1alpha1.PreviewFinding) string {
	if f.ClusterName == "" || strings.Contains(f.Message, f.ClusterName) {
		return f.Message
	}
	return f.ClusterName + ": " + f.Message
}

// addSource adds the source.
func (p *preview) addSource() {
	source := p.status.SourceClusterStatus
	if source == nil {
		return
	}
	member := p.seen.Members[ClusterOf(source.ClusterStatus)]
	survey := p.surveys.Source
	found := &v1alpha1.SourcePreview{WaitingMigrates: p.surveys.WaitingMigrates}
	p.result.Source = found
	switch source.Reason {
	case v1alpha1.ReasonBackupStarting:
	case v1alpha1.ReasonWaitingInQueue:
		p.warn(source.ClusterName, source.Reason, "%s", source.Message)
	default:
		p.block(source.ClusterName, source.Reason, source.Message)
	}
	if running := p.surveys.Running; running != nil {
		found.RunningBackups = int64(len(running.Backups))
	}
	var common *ClusterSurvey
	if survey != nil {
		common = &survey.ClusterSurvey
	}
	found.ClusterPreview = p.cluster(source.ClusterStatus, common)
	if location := sourceLocation(p.seen.Plan.Source(), member); location != nil {
		found.StorageLocation = describe(location)
	}
	if warning := strings.TrimSpace(unusedClaims(member.Checked)); warning != "" {
		p.warn(source.ClusterName, v1alpha1.ReasonVolumesWithoutData, "%s", warning)
	}
	if survey != nil {
		p.addSelection(source.ClusterName, survey, found)
	}
}

// cluster returns what was read from a cluster, and adds what was found.
func (p *preview) cluster(cs v1alpha1.ClusterStatus, survey *ClusterSurvey) v1alpha1.ClusterPreview {
	cluster := ClusterOf(cs)
	member, read := p.seen.Members[cluster]
	found := v1alpha1.ClusterPreview{
		ClusterName: cs.ClusterName, ClusterKind: cs.ClusterKind,
		Reachable: read && member.Err == nil, VeleroNamespace: p.seen.Plan.Of(cluster).VeleroNamespace,
	}
	for _, missing := range p.surveys.NotChecked[cluster] {
		p.notChecked(cs.ClusterName, missing)
	}
	if survey == nil {
		return found
	}
	found.KubernetesVersion, found.VeleroVersion = Shorten(survey.Kubernetes, maxTokenLength), Shorten(survey.Velero, maxTokenLength)
	found.NodeAgent = survey.NodeAgent
	if survey.Server == ServerSilent {
		p.block(cs.ClusterName, v1alpha1.ReasonVeleroNotAnswering, fmt.Sprintf(
			"Velero in %s does not answer a ServerStatusRequest; check whether its server runs in namespace %s.", cs.ClusterName, found.VeleroNamespace))
	}
	if ahead := survey.ClockAhead; ahead.Abs() > maxClockSkew {
		where := "ahead of"
		if ahead < 0 {
			where = "behind"
		}
		p.warn(cs.ClusterName, v1alpha1.ReasonClockSkew, "The clock of %s is %s %s that of this server: the times of its Velero are wrong by as much, and certificates and tokens may not be accepted.",
			cs.ClusterName, ahead.Abs(), where)
	}
	for _, missing := range survey.NotChecked {
		p.notChecked(cs.ClusterName, missing)
	}
	return found
}

func (p *preview) notChecked(name string, missing NotChecked) {
	p.warn(name, v1alpha1.ReasonNotChecked, "Could not be checked in %s: %s: %v", name, missing.What, missing.Err)
}

// addSelection adds what the filter selects in the source.
func (p *preview) addSelection(name string, survey *SourceSurvey, found *v1alpha1.SourcePreview) {
	for _, r := range survey.Selected {
		found.ItemsTotal += r.Count
		if len(found.Resources) < maxResources {
			found.Resources = append(found.Resources, v1alpha1.ResourceCount{Resource: Shorten(r.ItemKind(), maxTokenLength), Count: r.Count})
		}
	}
	if len(survey.UnknownNames) > 0 {
		p.warn(name, v1alpha1.ReasonUnknownResources, "The filter names resources that %s does not serve, and Velero ignores them: %s. Check their spelling.",
			name, listed(survey.UnknownNames))
	}
	if len(survey.MissingNamespaces) > 0 {
		p.warn(name, v1alpha1.ReasonNothingMatched, "%s does not have these namespaces: %s.", name, listed(survey.MissingNamespaces))
	}
	if len(survey.ExcludedNamespaces) > 0 {
		p.warn(name, v1alpha1.ReasonItemsLeftOut, "Velero backs up nothing of namespaces with the label %s=true: %s. Remove the label to migrate them.",
			velerov1.ExcludeFromBackupLabel, listed(survey.ExcludedNamespaces))
	}
	if found.ItemsTotal == 0 && len(survey.NotChecked) == 0 && !asksForNamespaces(p.m) {
		p.warn(name, v1alpha1.ReasonNothingMatched, "The filter matches nothing in %s.", name)
	}
	p.addVolumes(name, survey, found)
}

// addVolumes adds the volumes of the source.
func (p *preview) addVolumes(name string, survey *SourceSurvey, found *v1alpha1.SourcePreview) {
	if len(survey.Volumes) == 0 {
		return
	}
	volumes := &v1alpha1.VolumesPreview{Total: int64(len(survey.Volumes))}
	found.Volumes = volumes
	var undecided []string
	moving := int64(0)
	for _, v := range survey.Volumes {
		volumes.Bytes = min(volumes.Bytes, math.MaxInt64-max(v.Bytes, 0)) + max(v.Bytes, 0)
		if len(volumes.Items) < maxVolumes {
			v.Namespace, v.Claim, v.StorageClass = Shorten(v.Namespace, maxTokenLength), Shorten(v.Claim, maxTokenLength), Shorten(v.StorageClass, maxTokenLength)
			volumes.Items = append(volumes.Items, v)
		}
		switch v.Method {
		case "":
			undecided = append(undecided, v.Namespace+"/"+v.Claim)
		case string(v1alpha1.VolumeDataFileSystemBackup), string(v1alpha1.VolumeDataSnapshotDataMovement):
			moving++
		}
	}
	if len(undecided) > 0 {
		p.warn(name, v1alpha1.ReasonVolumeMethodUnknown, "Whether the data of %s moves depends on the configuration of Velero in %s: %s. To be sure, set spec.policy.volumes.data.",
			count(int64(len(undecided)), "claim"), name, listed(undecided))
	}
	if agent := survey.NodeAgent; agent != nil && moving > 0 {
		p.inform(name, v1alpha1.ReasonVolumesToMove, "The data of %s is moved, %d at a time on each node, each of which takes some seconds even if it is small.",
			count(moving, "volume"), agent.LoadConcurrency)
	}
}

// addTarget adds a target.
func (p *preview) addTarget(target *v1alpha1.RestoreDetails) {
	name, cluster := target.ClusterName, ClusterOf(target.ClusterStatus)
	if target.Reason != v1alpha1.ReasonWaitingForBackup {
		p.block(name, target.Reason, target.Message)
	}
	survey := p.surveys.Targets[cluster]
	found := v1alpha1.TargetPreview{}
	var common *ClusterSurvey
	if survey != nil {
		common = &survey.ClusterSurvey
	}
	found.ClusterPreview = p.cluster(target.ClusterStatus, common)
	p.addLocation(name, cluster, &found)
	if survey != nil && p.surveys.Source != nil {
		p.addSurvey(name, survey, &found)
	}
	p.result.Targets = append(p.result.Targets, found)
}

// addLocation adds the storage location of a target.
func (p *preview) addLocation(name string, cluster Cluster, found *v1alpha1.TargetPreview) {
	source := p.seen.Plan.Source().Cluster.Name
	if len(p.seen.Members[cluster].Locations) == 0 {
		return
	}
	shared := shareLocation(cluster, p.seen)
	if shared.target == nil {
		return
	}
	found.StorageLocation = describe(shared.target)
	if shared.source == nil {
		return
	}
	found.StorageLocation.Sharing = map[velero.Sameness]string{velero.Same: "Same", velero.Different: "Different", velero.Unproven: "Unproven"}[shared.sameness]
	found.StorageLocation.Proof = shared.proof()
	switch reason := shared.describe(source, name); {
	case shared.sharing.Backup != "":
		found.StorageLocation.Sharing = "Same"
		p.inform(name, v1alpha1.ReasonStorageShared, "%s The backup is handed over to %s, without a wait for the next sync.", reason, name)
	case shared.sameness == velero.Unproven:
		p.warn(name, v1alpha1.ReasonWaitingForBackupSync, "The restore waits until Velero in %s finds the backup in the storage, once a minute: %s", name, reason)
	}
}

func describe(location *velerov1.BackupStorageLocation) *v1alpha1.StorageLocationPreview {
	return &v1alpha1.StorageLocationPreview{
		Name: Shorten(location.Name, maxTokenLength), Storage: Shorten(velero.DescribeLocation(location), maxErrorLength),
		Phase:      Shorten(string(location.Status.Phase), maxTokenLength),
		AccessMode: Shorten(string(cmp.Or(location.Spec.AccessMode, velerov1.BackupStorageLocationAccessModeReadWrite)), maxTokenLength),
	}
}

// listed joins the first of names, in their order.
func listed(names []string) string {
	names = slices.Sorted(slices.Values(names))
	text := strings.Join(names[:min(len(names), maxNamed)], ", ")
	if more := len(names) - maxNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
