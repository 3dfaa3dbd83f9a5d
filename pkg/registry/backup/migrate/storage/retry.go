// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// NewRetryREST returns the storage of migrates/retry, which begins a new attempt of a Migrate that has ended and is not
// Completed.
func NewRetryREST(s *Storage, use ClusterUse) *ActionREST {
	return &ActionREST{s.Migrate, s.Client, use, retry{}}
}

// retry begins a new attempt.
type retry struct{}

var _ action = retry{}

func (retry) newOptions() runtime.Object { return &backup.MigrateRetryOptions{} }

func (retry) check(options runtime.Object) (*metav1.Preconditions, error) {
	o, ok := options.(*backup.MigrateRetryOptions)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("%T is not MigrateRetryOptions", options))
	}
	known := []backup.RetryBackup{backup.RetryBackupExisting, backup.RetryBackupNew}
	if o.Backup != "" && !slices.Contains(known, o.Backup) {
		return nil, apierrors.NewInvalid(backup.Kind("MigrateRetryOptions"), "", field.ErrorList{field.NotSupported(field.NewPath("backup"), o.Backup, known)})
	}
	return o.Preconditions, nil
}

func (retry) do(m *backup.Migrate, options runtime.Object, username string) error {
	stored, err := toV1alpha1(m)
	if err != nil {
		return err
	}
	if stored.Status, err = migration.Retry(stored, v1alpha1.RetryBackup(options.(*backup.MigrateRetryOptions).Backup), username, time.Now()); err != nil {
		return err
	}
	next, err := fromV1alpha1(stored)
	if err != nil {
		return err
	}
	m.Status = next.Status
	return nil
}

func (retry) done(m *backup.Migrate) string {
	return fmt.Sprintf("is retried: attempt %d begins for the targets that are not Completed, see its status", m.Status.Attempt())
}
