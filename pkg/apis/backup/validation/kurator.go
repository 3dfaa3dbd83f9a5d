// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
)

// ValidateBackup validates a new Backup by what Kurator's definition requires.
func ValidateBackup(b *backup.Backup) field.ErrorList {
	return append(validateMeta(&b.ObjectMeta), validateBackupSpec(&b.Spec, field.NewPath("spec"))...)
}

// ValidateBackupUpdate validates an update of a Backup. A spec that does not change is not validated again: Kurator must be
// able to finish with what was imported.
func ValidateBackupUpdate(b, old *backup.Backup) field.ErrorList {
	errs := validateMetaUpdate(&b.ObjectMeta, &old.ObjectMeta)
	if apiequality.Semantic.DeepEqual(b.Spec, old.Spec) {
		return errs
	}
	return append(errs, validateBackupSpec(&b.Spec, field.NewPath("spec"))...)
}

// ValidateRestore validates a new Restore by what Kurator's definition requires.
func ValidateRestore(r *backup.Restore) field.ErrorList {
	return append(validateMeta(&r.ObjectMeta), validateRestoreSpec(&r.Spec, field.NewPath("spec"))...)
}

// ValidateRestoreUpdate validates an update of a Restore as ValidateBackupUpdate does for a Backup.
func ValidateRestoreUpdate(r, old *backup.Restore) field.ErrorList {
	errs := validateMetaUpdate(&r.ObjectMeta, &old.ObjectMeta)
	if apiequality.Semantic.DeepEqual(r.Spec, old.Spec) {
		return errs
	}
	return append(errs, validateRestoreSpec(&r.Spec, field.NewPath("spec"))...)
}

func validateMeta(meta *metav1.ObjectMeta) field.ErrorList {
	return apivalidation.ValidateObjectMeta(meta, true, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
}

func validateMetaUpdate(meta, old *metav1.ObjectMeta) field.ErrorList {
	return apivalidation.ValidateObjectMetaUpdate(meta, old, field.NewPath("metadata"))
}

func validateBackupSpec(spec *backup.BackupSpec, path *field.Path) field.ErrorList {
	return validateFleetNamed(&spec.Destination, path.Child("destination"))
}

func validateRestoreSpec(spec *backup.RestoreSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if spec.BackupName == "" {
		errs = append(errs, field.Required(path.Child("backupName"), "name the Backup that is restored"))
	}
	if spec.Destination == nil {
		return errs
	}
	return append(errs, validateFleetNamed(spec.Destination, path.Child("destination"))...)
}

func validateFleetNamed(d *backup.Destination, path *field.Path) field.ErrorList {
	if d.Fleet != "" {
		return nil
	}
	return field.ErrorList{field.Required(path.Child("fleet"), "name the Fleet that the clusters are members of")}
}
