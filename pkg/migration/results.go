// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"cmp"
	"errors"
	"strings"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// ResultsRequest names what is to be read about an object after its end.
type ResultsRequest struct {
	// Results and Log request the results and the log of the object, BackedUp and BackedUpVolumes
	// the lists of its Backup, and Restored and RestoredVolumes those of its Restore. They are files
	// in the storage; one that is not needed is nil.
	Results, Log, BackedUp, BackedUpVolumes, Restored, RestoredVolumes *velerov1.DownloadRequest
	// Restore is the name of the Restore in a target; empty in the source.
	Restore string
	// WithoutPods is true if the Restore leaves the pods out.
	WithoutPods bool
	// Earlier are the Restores of earlier attempts from the same Backup. What they have restored may
	// still be there.
	Earlier []RestoreFiles
	// NamespaceMapping is that of the Restore, and Status selects the items whose status it restores.
	NamespaceMapping map[string]string
	Status           *v1alpha1.PreserveStatus
	// WithoutInfo are the claims that were bound in the source although its lists of volumes don't
	// have them; nil if that is not known.
	WithoutInfo *[]velero.Claim
	// Backup is the name of the Backup in the source, and Filter selects what it should have; empty in
	// a target.
	Backup string
	Filter v1alpha1.ResourceFilter
	// CA has the CAs of the storage.
	CA StorageCA
	// Names are names of resources that the cluster may not serve. Velero ignores one that it
	// does not know.
	Names []string
}

// RestoreFiles requests files of a Restore of that name.
type RestoreFiles struct {
	Restore string
	// Results requests its results, Items its list of resources, and Volumes that of its volumes.
	Results, Items, Volumes *velerov1.DownloadRequest
}

// StorageCA has the certificates of the CAs, besides the public ones, that the certificate of a
// storage may have: caCert and caCertRef of a BackupStorageLocation, of which at most one is set.
type StorageCA struct {
	// PEM are the certificates.
	PEM []byte
	// Secret selects a key of a Secret in Velero's namespace that has them.
	Secret *corev1.SecretKeySelector
}

// Results holds what was read about an object after its end.
type Results struct {
	// Errors and Warnings are Velero's messages. Warnings don't have those about items that exist
	// and differ.
	Errors, Warnings []string
	// Err is why reading them failed; nil if it didn't.
	Err error
	// LogMissing is true if the object's log isn't in the storage either.
	LogMissing bool
	// Lists is what Velero's lists report of the items and volumes; nil if they were not requested,
	// or could not be read. ListsErr is why not.
	Lists    *Lists
	ListsErr error
	// EarlierErrors are the errors of earlier attempts that concern what is there by them, and that a later one does not mend.
	EarlierErrors []string
	// LeftOut is what the filter selects and the Backup does not have.
	LeftOut velero.Exceptions
	// Unknown are the names in ResultsRequest.Names that the cluster serves no resource for.
	// UnknownErr is why they could not be determined.
	Unknown    []string
	UnknownErr error
}

// Lists is what Velero's lists report of a Backup, or of a Restore in a target.
type Lists struct {
	Items      v1alpha1.ItemCounts
	Volumes    v1alpha1.VolumeCounts
	Exceptions velero.Exceptions
	// Kinds are those of the items of a Backup, and Contents its contents.
	Kinds    sets.Set[string]
	Contents *v1alpha1.BackupContents
}

// ErrNotInStorage means that the storage does not have a file, which does not change.
var ErrNotInStorage = errors.New("the storage does not have it")

// Failed reports whether reading the results should be tried again.
func (r *Results) Failed() bool { return r.Failure() != nil }

// Failure returns why reading the results failed, if it should be tried again; nil otherwise.
func (r *Results) Failure() error {
	switch {
	case r.Err != nil && !r.LogMissing:
		return r.Err
	case r.ListsErr != nil && !errors.Is(r.ListsErr, ErrNotInStorage):
		return r.ListsErr
	}
	return r.UnknownErr
}

// exceptions returns the items that are not as in the source.
func (r *Results) exceptions() (all velero.Exceptions) {
	all.Join(r.LeftOut)
	if r.Lists != nil {
		all.Join(r.Lists.Exceptions)
	}
	return all
}

// HasEnded reports whether the end of cluster c is recorded.
func HasEnded(m *v1alpha1.Migrate, c Cluster) bool {
	cs := clusterStatusOf(&m.Status, c)
	return cs != nil && IsTerminal(cs.Phase)
}

// NeedsResults reports whether something about the object in cluster c must be read before its end
// is recorded, because its status does not have it: errors and warnings, of which it has only the
// number; what became of the items and volumes; and whether the source serves the resources that
// the filter names.
func NeedsResults(m *v1alpha1.Migrate, c Cluster, seen Member) (request ResultsRequest, needed bool) {
	cs := clusterStatusOf(&m.Status, c)
	if cs == nil || IsTerminal(cs.Phase) {
		return ResultsRequest{}, false
	}
	if cs == sourceClusterStatus(&m.Status) {
		request, needed = backupResults(m, seen.Backup)
	} else {
		request, needed = restoreResults(m, m.Status.SourceClusterStatus, targetOf(&m.Status, c), seen.Restore)
	}
	request.CA = StorageOf(seen)
	return request, needed
}

// backupResults returns what must be read about the Backup in the source.
func backupResults(m *v1alpha1.Migrate, b *velerov1.Backup) (request ResultsRequest, needed bool) {
	if b == nil {
		return request, false
	}
	file := func(kind velerov1.DownloadTargetKind) *velerov1.DownloadRequest {
		return velero.NewDownloadRequest(m, kind, b.Name)
	}
	if hasMessages(b.Status.Phase, b.Status.Warnings) {
		request.Results, request.Log = file(velerov1.DownloadTargetKindBackupResults), file(velerov1.DownloadTargetKindBackupLog)
	}
	if b.Status.Phase == velerov1.BackupPhaseCompleted {
		request.Backup = b.Name
		if policy := m.Spec.Policy; policy != nil && policy.ResourceFilter != nil {
			request.Filter = *policy.ResourceFilter
			request.Names = velero.ListedNames(*policy.ResourceFilter)
		}
		request.BackedUp, request.BackedUpVolumes = backupLists(m, b)
	}
	return request, request.Results != nil || request.Backup != ""
}

// backupLists returns the requests for the lists of a Backup that has ended; nil if it has no items.
func backupLists(m *v1alpha1.Migrate, b *velerov1.Backup) (items, volumes *velerov1.DownloadRequest) {
	if hasNoItems(&b.Status) {
		return nil, nil
	}
	return velero.NewDownloadRequest(m, velerov1.DownloadTargetKindBackupResourceList, b.Name),
		velero.NewDownloadRequest(m, velerov1.DownloadTargetKindBackupVolumeInfos, b.Name)
}

// targetOf returns the target in cluster c; nil if it is none.
func targetOf(status *v1alpha1.MigrateStatus, c Cluster) *v1alpha1.RestoreDetails {
	for i := range status.TargetClusterStatus {
		if target := &status.TargetClusterStatus[i]; ClusterOf(target.ClusterStatus) == c {
			return target
		}
	}
	return nil
}

// restoreResults returns what must be read about the Restore in a target. Its Backup is that of the source, or of
// an earlier attempt.
func restoreResults(m *v1alpha1.Migrate, source *v1alpha1.BackupDetails, target *v1alpha1.RestoreDetails, r *velerov1.Restore) (request ResultsRequest, needed bool) {
	if r == nil || r.Status.Phase != velerov1.RestorePhaseCompleted && r.Status.Phase != velerov1.RestorePhasePartiallyFailed {
		return request, false
	}
	file := func(kind velerov1.DownloadTargetKind, name string) *velerov1.DownloadRequest {
		return velero.NewDownloadRequest(m, kind, name)
	}
	if hasMessages(r.Status.Phase, r.Status.Warnings) {
		request.Results, request.Log = file(velerov1.DownloadTargetKindRestoreResults, r.Name), file(velerov1.DownloadTargetKindRestoreLog, r.Name)
	}
	if request.Restore = r.Name; m.Spec.Policy != nil {
		request.NamespaceMapping, request.Status = m.Spec.Policy.NamespaceMapping, m.Spec.Policy.MigrateStatus
	}
	request.WithoutPods = target.WithoutPods
	backup, volumes := source.BackupNameInCluster, source.Volumes
	if target.BackupNameInCluster != "" {
		backup, volumes = target.BackupNameInCluster, nil
	}
	request.BackedUp = file(velerov1.DownloadTargetKindBackupResourceList, backup)
	request.Restored = file(velerov1.DownloadTargetKindRestoreResourceList, r.Name)
	if volumes == nil || volumes.Total > 0 {
		request.BackedUpVolumes = file(velerov1.DownloadTargetKindBackupVolumeInfos, backup)
		request.RestoredVolumes = file(velerov1.DownloadTargetKindRestoreVolumeInfo, r.Name)
	}
	for _, attempt := range m.Status.Attempts {
		earlier := velero.ObjectNameOf(target.ClusterName, m, attempt.Number)
		if earlier == r.Name {
			break
		}
		if attempt.BackupName == backup {
			request.Earlier = append(request.Earlier, RestoreFiles{
				Restore: earlier,
				Results: file(velerov1.DownloadTargetKindRestoreResults, earlier),
				Items:   file(velerov1.DownloadTargetKindRestoreResourceList, earlier),
				Volumes: file(velerov1.DownloadTargetKindRestoreVolumeInfo, earlier),
			})
		}
	}
	if volumes != nil && source.ExceptionsOmitted == 0 {
		request.WithoutInfo = &[]velero.Claim{}
		for _, x := range source.Exceptions {
			if x.Outcome == v1alpha1.ItemWithoutData {
				*request.WithoutInfo = append(*request.WithoutInfo, velero.Claim{Namespace: x.Namespace, Name: x.Name})
			}
		}
	}
	return request, true
}

// hasMessages reports whether an object in a phase, with a number of warnings, has ended with errors
// or warnings that its status does not have.
func hasMessages[P velerov1.BackupPhase | velerov1.RestorePhase](phase P, warnings int) bool {
	return phase == "PartiallyFailed" || phase == "Completed" && warnings > 0
}

// setResults sets what Velero's lists report of a cluster that has ended.
func setResults(cs *v1alpha1.ClusterStatus, results *Results) {
	if results == nil {
		return
	}
	exceptions := results.exceptions()
	for _, name := range results.Unknown {
		exceptions.Add(velero.ItemResult{
			Item: velero.Item{Kind: name}, Outcome: v1alpha1.ItemLeftOut,
			Message: "the cluster serves no resource of this name, and Velero ignored it; check its spelling",
		})
	}
	if lists := results.Lists; lists != nil {
		cs.Items, cs.Volumes = &lists.Items, &lists.Volumes
		if lists.Volumes.Total > 0 {
			total := lists.Volumes.Bytes
			if cs.VolumeProgress != nil && lists.Volumes.Moved < lists.Volumes.Total {
				total = max(total, cs.VolumeProgress.TotalBytes) // Velero counts some bytes more while it moves them
			}
			cs.VolumeProgress = &v1alpha1.VolumeProgress{BytesDone: lists.Volumes.Bytes, TotalBytes: total}
		}
	}
	cs.Exceptions, cs.ExceptionsOmitted = nil, exceptions.Total()
	for _, outcome := range outcomes {
		for _, x := range exceptions.First[outcome] {
			if len(cs.Exceptions) == maxExceptions {
				break
			}
			cs.ExceptionsOmitted--
			cs.Exceptions = append(cs.Exceptions, itemResult(x))
		}
	}
}

func itemResult(r velero.ItemResult) v1alpha1.ItemResult {
	return v1alpha1.ItemResult{
		Resource:  Shorten(r.Kind, maxTokenLength),
		Namespace: Shorten(r.Namespace, maxTokenLength),
		Name:      Shorten(r.Name, maxTokenLength),
		Outcome:   r.Outcome,
		Message:   Shorten(r.Message, maxErrorLength),
	}
}

func volumeResult(r velero.VolumeResult) v1alpha1.VolumeResult {
	outcome := v1alpha1.ItemWithoutData
	if r.Moved {
		outcome = v1alpha1.VolumeMoved
	}
	return v1alpha1.VolumeResult{
		Namespace:        Shorten(cmp.Or(r.Claim.Namespace, r.PodVolume.Namespace), maxTokenLength),
		Claim:            Shorten(r.Claim.Name, maxTokenLength),
		PersistentVolume: Shorten(r.PersistentVolume, maxTokenLength),
		Pod:              Shorten(r.PodVolume.Pod, maxTokenLength),
		Volume:           Shorten(r.PodVolume.Volume, maxTokenLength),
		Method:           r.Method(),
		Bytes:            r.Bytes,
		Outcome:          outcome,
		Message:          Shorten(r.Message, maxErrorLength),
	}
}

// ResultsVisitor receives the items and volumes of a cluster while they are read. An error ends reading.
type ResultsVisitor struct {
	Item   func(v1alpha1.ItemResult) error
	Volume func(v1alpha1.VolumeResult) error
}

// Velero returns the visitor of Velero's lists.
func (v ResultsVisitor) Velero() velero.Visitor {
	return velero.Visitor{
		Item:   func(r velero.ItemResult) error { return v.Item(itemResult(r)) },
		Volume: func(r velero.VolumeResult) error { return v.Volume(volumeResult(r)) },
	}
}

// Messages returns the errors and the warnings in a form that is safe to show.
func (r *Results) Messages() (errs, warnings []string) {
	shown := func(messages []string) (all []string) {
		for _, message := range messages {
			all = append(all, Shorten(message, maxMessageLength))
		}
		return all
	}
	return shown(r.Errors), shown(r.Warnings)
}

// maxExceptions is the largest number of exceptions in the status of a cluster.
const maxExceptions = 20

// outcomes are the outcomes of exceptions, the most severe first.
var outcomes = []v1alpha1.ItemOutcome{v1alpha1.ItemFailed, v1alpha1.ItemWithoutData, v1alpha1.ItemKept, v1alpha1.ItemLeftOut}

// describeExceptions returns a sentence for each outcome with the first exceptions. If the errors of the
// object are reported too, it does not repeat those of items.
func describeExceptions(e velero.Exceptions, hasErrors bool) string {
	titles := map[v1alpha1.ItemOutcome]string{
		v1alpha1.ItemFailed: "Not restored", v1alpha1.ItemWithoutData: "Without data",
		v1alpha1.ItemKept: "Kept as they are in the cluster", v1alpha1.ItemLeftOut: "Left out",
	}
	var b strings.Builder
	for _, outcome := range outcomes {
		if e.Count[outcome] == 0 {
			continue
		}
		var items []string
		for _, x := range e.First[outcome] {
			if outcome == v1alpha1.ItemKept || outcome == v1alpha1.ItemFailed && hasErrors {
				x.Message = ""
			}
			items = append(items, describeException(x))
		}
		b.WriteString(" " + titles[outcome] + ": " + strings.Join(firstOfAll(items, e.Count[outcome]), "; ") + ".")
	}
	return b.String()
}

// describeException describes an item with what Velero reports about it.
func describeException(x velero.ItemResult) string {
	item := x.Kind
	if x.Name != "" {
		item += " " + strings.TrimPrefix(x.Namespace+"/"+x.Name, "/")
	}
	if x.Message == "" {
		return item
	}
	return item + " (" + Shorten(x.Message, maxErrorLength) + ")"
}

// restorePhase returns the phase of a target: that of its Restore r or, if that is Completed for
// Velero, the one by what became of the items and volumes.
func restorePhase(m *v1alpha1.Migrate, r *velerov1.Restore, results *Results) v1alpha1.MigratePhase {
	if r.Status.Phase != velerov1.RestorePhaseCompleted {
		return velero.RestorePhase(r.Status.Phase)
	}
	phase, _ := verdict(m, results)
	return phase
}

// verdict returns the phase and the reason of a target whose Restore is Completed for Velero, by what
// became of the items and volumes. If that is unknown, it is no success.
func verdict(m *v1alpha1.Migrate, results *Results) (v1alpha1.MigratePhase, string) {
	if results.Lists == nil {
		return v1alpha1.MigratePhasePartiallyFailed, v1alpha1.ReasonResultsUnavailable
	}
	found := results.Lists.Exceptions.Count
	if len(results.EarlierErrors) > 0 {
		return v1alpha1.MigratePhasePartiallyFailed, v1alpha1.ReasonEarlierAttemptFailed
	}
	for _, is := range []struct {
		outcome v1alpha1.ItemOutcome
		reason  string
		allowed bool
	}{
		{v1alpha1.ItemFailed, v1alpha1.ReasonItemsFailed, false},
		{v1alpha1.ItemWithoutData, v1alpha1.ReasonVolumesWithoutData, velero.MovesNoVolumeData(m)},
		{v1alpha1.ItemKept, v1alpha1.ReasonExistingItemsKept, allowsExistingItems(m)},
		{v1alpha1.ItemLeftOut, v1alpha1.ReasonItemsLeftOut, false},
	} {
		if found[is.outcome] > 0 && !is.allowed {
			return v1alpha1.MigratePhasePartiallyFailed, is.reason
		}
	}
	return v1alpha1.MigratePhaseCompleted, v1alpha1.ReasonRestoreCompleted
}

// allowsExistingItems reports whether items that exist and differ may be left as they are.
func allowsExistingItems(m *v1alpha1.Migrate) bool {
	return m.Spec.Policy != nil && m.Spec.Policy.ExistingResourcePolicy != ""
}
