// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// state is the reason and message of a cluster or a condition.
type state struct {
	reason, message string
}

func beingDeleted() state {
	return state{v1alpha1.ReasonBeingDeleted, "The Migrate is being deleted; nothing more is started for it."}
}

func hostUnreachable(err error) state {
	return state{v1alpha1.ReasonHostUnreachable, fmt.Sprintf("Reading the fleets and clusters of the host failed, trying again: %v", err)}
}

func fleetNotFound(namespace, name string) state {
	return state{v1alpha1.ReasonFleetNotFound, fmt.Sprintf(
		"Fleet %s/%s does not exist; waiting for it to be created.", namespace, name)}
}

// unreachable returns the state of a cluster whose member was not read yet or can't be read.
func unreachable(cluster string, member Member) state {
	if member.Err == nil {
		return state{v1alpha1.ReasonConnecting, fmt.Sprintf("Connecting to %s.", cluster)}
	}
	message := fmt.Sprintf("Reading %s has failed since %s: %v", cluster, clockTime(member.Since), member.Err)
	if errors.Is(member.Err, ErrLimitExceeded) {
		message += "; find and remove what exceeds the limit, usually objects in the namespace of its Velero"
	}
	if apierrors.IsForbidden(member.Err) {
		message += "; if Velero does not run in the namespace that is named here, name its namespace in the annotation " +
			v1alpha1.VeleroNamespaceAnnotation + " of the cluster's object on the host"
	}
	if member.NextTry.IsZero() {
		message += "; retrying within a minute."
	} else {
		message += "; retrying at " + clockTime(member.NextTry) + "."
	}
	switch {
	case errors.Is(member.Err, ErrKubeconfigNotAccepted):
		return state{v1alpha1.ReasonKubeconfigNotAccepted, message}
	case errors.Is(member.Err, ErrAddressNotAllowed):
		return state{v1alpha1.ReasonMemberAddressNotAllowed, message}
	case errors.Is(member.Err, ErrLimitExceeded):
		return state{v1alpha1.ReasonMemberLimitExceeded, message}
	}
	return state{v1alpha1.ReasonMemberUnreachable, message}
}

func clockTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// backupState returns the state of the source for the phase of its Backup b, with the progress of
// its volumes and its errors, if they are known.
func backupState(m *v1alpha1.Migrate, b *velerov1.Backup, volumes *v1alpha1.VolumeProgress, results *Results) state {
	s := b.Status
	message := func(format string, args ...any) string {
		return fmt.Sprintf("Backup %s "+format, append([]any{b.Name}, args...)...)
	}
	switch s.Phase {
	case "", velerov1.BackupPhaseNew:
		return state{v1alpha1.ReasonBackupNew, message("is created; waiting for Velero to process it.")}
	case velerov1.BackupPhaseQueued:
		return state{v1alpha1.ReasonBackupQueued, message("is in Velero's queue, at position %d.", s.QueuePosition)}
	case velerov1.BackupPhaseReadyToStart:
		return state{v1alpha1.ReasonBackupReadyToStart, message("has left Velero's queue; waiting for Velero to start it.")}
	case velerov1.BackupPhaseInProgress:
		done, total := backupItems(&s)
		return state{v1alpha1.ReasonBackupInProgress, message("is running%s%s.", itemProgress(done, total), volumeProgress(volumes))}
	case velerov1.BackupPhaseWaitingForPluginOperations, velerov1.BackupPhaseWaitingForPluginOperationsPartiallyFailed:
		return state{"Backup" + string(s.Phase), message("is waiting for %d of %d data operations%s.",
			s.BackupItemOperationsAttempted-s.BackupItemOperationsCompleted-s.BackupItemOperationsFailed, s.BackupItemOperationsAttempted, volumeProgress(volumes))}
	case velerov1.BackupPhaseFinalizing, velerov1.BackupPhaseFinalizingPartiallyFailed:
		return state{"Backup" + string(s.Phase), message("is being finalized.")}
	case velerov1.BackupPhaseCompleted:
		return state{backupReason(m, results), message("%s%s.%s", backupContent(&s, results), warnings(s.Warnings, results), exceptions(m, results)+unknownNames(results))}
	case velerov1.BackupPhaseDeleting:
		return state{v1alpha1.ReasonBackupDeleted, message("is being deleted, so nothing can be restored from it.")}
	case velerov1.BackupPhaseFailedValidation:
		return state{v1alpha1.ReasonBackupFailedValidation, message("was rejected by Velero: %s.%s Fix the error and retry the Migrate with a new Backup, or recreate it if its spec is wrong.",
			validationErrors(s.ValidationErrors), excludedByLabel(s.ValidationErrors))}
	case velerov1.BackupPhaseFailed, velerov1.BackupPhasePartiallyFailed:
		return state{"Backup" + string(s.Phase), message("ended %s%s, so nothing is restored.%s Fix the error and retry the Migrate with a new Backup.",
			s.Phase, describeErrors(s.Errors, s.Warnings, s.FailureReason, results), seeAlso(s.Errors, s.Warnings, "its log: velero backup logs "+b.Name))}
	default:
		return state{v1alpha1.ReasonBackupUnknownPhase, message("is in the unknown phase %q, which counts as unfinished.", s.Phase)}
	}
}

// restoreState returns the state of a target for the phase of its Restore r, with the progress of
// its volumes and its errors, if they are known.
func restoreState(m *v1alpha1.Migrate, r *velerov1.Restore, volumes *v1alpha1.VolumeProgress, results *Results) state {
	s := r.Status
	message := func(format string, args ...any) string {
		return fmt.Sprintf("Restore %s "+format, append([]any{r.Name}, args...)...)
	}
	switch s.Phase {
	case "", velerov1.RestorePhaseNew:
		return state{v1alpha1.ReasonRestoreNew, message("is created; waiting for Velero, which processes one Restore at a time.")}
	case velerov1.RestorePhaseInProgress:
		done, total := restoreItems(&s)
		return state{v1alpha1.ReasonRestoreInProgress, message("is running%s%s.", itemProgress(done, total), volumeProgress(volumes))}
	case velerov1.RestorePhaseWaitingForPluginOperations, velerov1.RestorePhaseWaitingForPluginOperationsPartiallyFailed:
		return state{"Restore" + string(s.Phase), message("is waiting for %d of %d data operations%s.",
			s.RestoreItemOperationsAttempted-s.RestoreItemOperationsCompleted-s.RestoreItemOperationsFailed, s.RestoreItemOperationsAttempted, volumeProgress(volumes))}
	case velerov1.RestorePhaseFinalizing, velerov1.RestorePhaseFinalizingPartiallyFailed:
		return state{"Restore" + string(s.Phase), message("is being finalized.")}
	case velerov1.RestorePhaseCompleted:
		_, reason := verdict(m, results)
		if reason == v1alpha1.ReasonResultsUnavailable {
			return state{reason, message("is %s for Velero, but what became of the items is unknown: %v. See: velero restore describe %s --details",
				s.Phase, results.ListsErr, r.Name)}
		}
		return state{reason, message("%s%s.%s%s", restoredItems(m, results.Lists), warnings(s.Warnings, results), exceptions(m, results), remedies[reason])}
	case velerov1.RestorePhaseFailedValidation:
		return state{v1alpha1.ReasonRestoreFailedValidation, message("was rejected by Velero: %s. Fix the error and retry the Migrate.", validationErrors(s.ValidationErrors))}
	case velerov1.RestorePhaseFailed, velerov1.RestorePhasePartiallyFailed:
		if onlyLogMissing(&s, results) && len(results.EarlierErrors) == 0 {
			done, _ := restoreItems(&s)
			return state{v1alpha1.ReasonRestoreLogNotUploaded, message("restored %s%s. It ended %s only because Velero could not upload its log to the storage.",
				count(done, "item"), warnings(s.Warnings, nil), s.Phase)}
		}
		return state{"Restore" + string(s.Phase), message("ended %s%s.%s%s Fix the error and retry the Migrate.",
			s.Phase, describeErrors(s.Errors, s.Warnings, s.FailureReason, results), exceptions(m, results),
			seeAlso(s.Errors, s.Warnings, "what was not restored: velero restore describe "+r.Name+" --details"))}
	default:
		return state{v1alpha1.ReasonRestoreUnknownPhase, message("is in the unknown phase %q, which counts as unfinished.", s.Phase)}
	}
}

func backupDeleted(source *v1alpha1.BackupDetails) state {
	return state{v1alpha1.ReasonBackupDeleted, fmt.Sprintf(
		"Backup %s was deleted before it completed, so nothing can be restored from it. Retry the Migrate with a new Backup.", source.BackupNameInCluster)}
}

func restoreDeleted(target *v1alpha1.RestoreDetails) state {
	return state{v1alpha1.ReasonRestoreDeleted, fmt.Sprintf(
		"Restore %s was deleted before its result was read, so it is unknown what it restored. Check the cluster and retry the Migrate.", target.RestoreNameInCluster)}
}

func refusedEarly(target string, member Member) state {
	return state{v1alpha1.ReasonRestoreRefusedEarly, fmt.Sprintf(
		"Velero in %s rejected Restore %s because it did not have Backup %s, or the resource modifiers, in its cache yet; the Restore is created again.",
		target, member.Restore.Name, member.Backup.Name)}
}

func backupExpired(source *v1alpha1.BackupDetails) state {
	return state{v1alpha1.ReasonBackupExpired, fmt.Sprintf(
		"Backup %s expired before it could be restored here. Retry the Migrate with a new Backup.", source.BackupNameInCluster)}
}

func nothingToRestore(source *v1alpha1.BackupDetails) state {
	return state{v1alpha1.ReasonNothingToRestore, fmt.Sprintf(
		"Backup %s holds no items, so no Restore was created.", source.BackupNameInCluster)}
}

// nothingMoreToRestore is nothingToRestore after an attempt that had items: the target may lack some of them.
func nothingMoreToRestore(source *v1alpha1.BackupDetails) state {
	return state{v1alpha1.ReasonNothingToRestore, fmt.Sprintf(
		"Backup %s holds no items, and that of an earlier attempt did. Check whether the application is still in %s.", source.BackupNameInCluster, source.ClusterName)}
}

func nothingRestored(source *v1alpha1.BackupDetails) state {
	return state{v1alpha1.ReasonBackupFailed, fmt.Sprintf(
		"Nothing was restored because %s has no completed Backup.", source.ClusterName)}
}

func backupItems(s *velerov1.BackupStatus) (done, total int) {
	if s == nil || s.Progress == nil {
		return 0, 0
	}
	return s.Progress.ItemsBackedUp, s.Progress.TotalItems
}

func restoreItems(s *velerov1.RestoreStatus) (done, total int) {
	if s == nil || s.Progress == nil {
		return 0, 0
	}
	return s.Progress.ItemsRestored, s.Progress.TotalItems
}

// itemProgress describes the progress of Velero. At first Velero does not know the total.
func itemProgress(done, total int) string {
	if total == 0 {
		return ""
	}
	return fmt.Sprintf(": %d of %s", done, count(total, "item"))
}

func count[N int | int64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// readingResults returns the state of a cluster whose object has ended in a phase of Velero, and what
// became of its items is still being read.
func readingResults(kind, name, phase string, err error) state {
	message := fmt.Sprintf("%s %s is %s for Velero; reading from the storage what became of the items.", kind, name, phase)
	if err != nil {
		message += fmt.Sprintf(" That failed, trying again: %v", err)
	}
	return state{v1alpha1.ReasonReadingResults, message}
}

// backupReason returns the reason of the source for a completed Backup.
func backupReason(m *v1alpha1.Migrate, results *Results) string {
	switch {
	case results == nil:
	case slices.ContainsFunc(results.LeftOut.First[v1alpha1.ItemLeftOut], func(x velero.ItemResult) bool { return !x.IsNamespace() }):
		// A namespace with Velero's label is left out on purpose.
		return v1alpha1.ReasonItemsLeftOut
	case results.Lists != nil && results.Lists.Exceptions.Count[v1alpha1.ItemWithoutData] > 0 && !velero.MovesNoVolumeData(m):
		return v1alpha1.ReasonVolumesWithoutData
	case len(results.Unknown) > 0:
		return v1alpha1.ReasonUnknownResources
	}
	return v1alpha1.ReasonBackupCompleted
}

// backupContent describes what a completed Backup holds: by its lists, otherwise by Velero's count,
// which includes Namespaces and what every cluster has of its own.
func backupContent(s *velerov1.BackupStatus, results *Results) string {
	if results == nil || results.Lists == nil {
		done, _ := backupItems(s)
		content := "holds " + count(done, "item")
		if results != nil && results.ListsErr != nil {
			content += fmt.Sprintf(" by Velero's count (reading its lists from the storage failed: %v)", results.ListsErr)
		}
		return content
	}
	return "holds " + count(results.Lists.Items.Total, "item") + volumeData(results.Lists.Volumes)
}

// restoredItems describes what a completed Restore did.
func restoredItems(m *v1alpha1.Migrate, lists *Lists) string {
	n := lists.Items
	s := "restored " + count(n.Created+n.Updated, "item") + volumeData(lists.Volumes)
	if n.Unchanged > 0 {
		s += "; the cluster had " + count(n.Unchanged, "item") + " as in the source"
		if m.Status.Attempt() > 1 {
			s += " or of an earlier attempt"
		}
	}
	if anew := n.LeftOut - lists.Exceptions.Count[v1alpha1.ItemLeftOut]; anew > 0 {
		s += "; the cluster makes " + count(anew, "item") + " anew"
	}
	return s
}

// volumeData describes how much of the data of volumes was moved; empty if there are no volumes.
func volumeData(v v1alpha1.VolumeCounts) string {
	switch {
	case v.Total == 0:
		return ""
	case v.Moved == v.Total:
		return fmt.Sprintf(" and the data of %s (%s)", count(v.Total, "volume"), size(v.Bytes))
	}
	return fmt.Sprintf(" and the data of %d of %s (%s)", v.Moved, count(v.Total, "volume"), size(v.Bytes))
}

// exceptions describes the items that are not as in the source.
func exceptions(m *v1alpha1.Migrate, results *Results) string {
	if results == nil {
		return ""
	}
	found, asked := results.exceptions(), earlierErrors(results)
	if velero.MovesNoVolumeData(m) && found.Count[v1alpha1.ItemWithoutData] > 0 {
		delete(found.Count, v1alpha1.ItemWithoutData)
		asked += " The claims are empty, as spec.policy.volumes.data says."
	}
	return asked + describeExceptions(found, len(results.Errors) > 0)
}

// earlierErrors describes the errors of earlier attempts that last.
func earlierErrors(results *Results) string {
	if len(results.EarlierErrors) == 0 {
		return ""
	}
	return " An earlier attempt restored what is there, with errors that this one does not mend: " + strings.Join(firstOf(results.EarlierErrors), "; ") + "."
}

// remedies are what to do about a reason of a completed Restore.
var remedies = map[string]string{
	v1alpha1.ReasonEarlierAttemptFailed: " Check the application. To restore it anew, delete it in the cluster and retry the Migrate with a new Backup.",
	v1alpha1.ReasonItemsFailed:          " Fix the error and retry the Migrate.",
	v1alpha1.ReasonVolumesWithoutData:   " To move data that is in the Backup, delete the pods and claims in the target and retry the Migrate. To move data that is not, also start the pods that use it in the source and retry with a new Backup, or recreate the Migrate with another spec.policy.volumes.data.",
	v1alpha1.ReasonExistingItemsKept:    " Delete them in the cluster and retry the Migrate, or recreate it with a spec.policy.existingResourcePolicy.",
	v1alpha1.ReasonItemsLeftOut:         " Create them in the cluster if they are needed.",
}

// warnings describes those of the n warnings of an object that are not about items that exist and
// differ, with Velero's messages, if they are known.
func warnings(n int, results *Results) string {
	switch {
	case n == 0, results != nil && results.Err == nil && len(results.Warnings) == 0:
		return ""
	case results == nil:
		return ", with " + count(n, "warning")
	case results.Err != nil:
		return fmt.Sprintf(", with %s (reading the warnings from the storage failed: %v)", count(n, "warning"), results.Err)
	}
	return fmt.Sprintf(", with %s: %s", count(len(results.Warnings), "warning"), strings.Join(firstOf(results.Warnings), "; "))
}

// maxErrorsShown is how many errors or warnings of an object a message has, each of at most
// maxErrorLength bytes.
const maxErrorsShown, maxErrorLength = 3, 512

// describeErrors describes the errors of an object with Velero's messages, if they are known.
func describeErrors(errors, warnings int, reason string, results *Results) string {
	s := ""
	if errors+warnings > 0 {
		s = fmt.Sprintf(" with %s and %s", count(errors, "error"), count(warnings, "warning"))
	}
	var why []string
	if reason != "" {
		why = append(why, reason)
	}
	switch {
	case results == nil:
	case results.Err != nil:
		why = append(why, fmt.Sprintf("(reading the errors from the storage failed: %v)", results.Err))
	default:
		why = append(why, firstOf(results.Errors)...)
	}
	if len(why) > 0 {
		s += ": " + strings.Join(why, "; ")
	}
	return s
}

// unknownNames describes the names of the filter that the source serves no resource for.
func unknownNames(results *Results) string {
	switch {
	case results == nil:
		return ""
	case results.UnknownErr != nil:
		return fmt.Sprintf(" Whether the cluster serves the resources that the filter names could not be checked: %v.", results.UnknownErr)
	case len(results.Unknown) == 0:
		return ""
	}
	return fmt.Sprintf(" The filter names resources that the cluster does not serve, and Velero ignored them: %s. Check their spelling.",
		strings.Join(firstOf(results.Unknown), ", "))
}

// firstOf returns the first maxErrorsShown of Velero's messages, and the number of the others.
func firstOf(messages []string) []string {
	var first []string
	for _, message := range messages[:min(len(messages), maxErrorsShown)] {
		first = append(first, Shorten(message, maxErrorLength))
	}
	return firstOfAll(first, int64(len(messages)))
}

// firstOfAll returns the first maxErrorsShown of texts, and the number of the others of all.
func firstOfAll(texts []string, all int64) []string {
	first := texts[:min(len(texts), maxErrorsShown)]
	if more := all - int64(len(first)); more > 0 {
		first = append(first, fmt.Sprintf("and %d more", more))
	}
	return first
}

// seeAlso returns a hint at what, where Velero has details of an object's errors. If Velero
// counted neither errors nor warnings, the object failed as a whole and there are no details.
func seeAlso(errors, warnings int, what string) string {
	if errors+warnings == 0 {
		return ""
	}
	return " See " + what + "."
}

// onlyLogMissing reports whether the only error of a Restore is known to be that Velero could not
// upload its log, which Velero counts as an error of the Restore.
func onlyLogMissing(s *velerov1.RestoreStatus, results *Results) bool {
	if results == nil || s.Phase != velerov1.RestorePhasePartiallyFailed || s.Errors != 1 {
		return false
	}
	return results.LogMissing || len(results.Errors) == 1 && velero.IsLogNotUploaded(results.Errors[0])
}

// volumeProgress describes the progress of the volumes, if it is known.
func volumeProgress(v *v1alpha1.VolumeProgress) string {
	if v == nil {
		return ""
	}
	return fmt.Sprintf(", %s of %s of volume data", size(v.BytesDone), size(v.TotalBytes))
}

// size formats a size in bytes with a binary unit.
func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

func validationErrors(errs []string) string {
	return orUnknown(strings.Join(errs, "; "))
}

// excludedByLabel explains an error of Velero about namespaces that the Migrate does not exclude.
func excludedByLabel(errs []string) string {
	const contradiction = "excludes list cannot contain an item in the includes list"
	if !slices.ContainsFunc(errs, func(err string) bool { return strings.Contains(err, contradiction) }) {
		return ""
	}
	return fmt.Sprintf(" Velero excludes a namespace that has the label %s=true.", velerov1.ExcludeFromBackupLabel)
}

func orUnknown(message string) string {
	if message == "" {
		return "Velero reports no reason"
	}
	return message
}
