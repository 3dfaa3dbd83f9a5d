// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/recovery"
)

// readResultsTimeout bounds the time in which the results of one operation are read and sent to a reader.
const readResultsTimeout = 10 * time.Minute

// Results reads the results of an operation of m from the storage, and calls to with each item and volume. It
// returns Velero's errors and warnings. An error is why something could not be read; that of to is returned as
// it is.
func (d *Driver) Results(ctx context.Context, m *v1alpha1.Migrate, operation migration.Operation, to migration.ResultsVisitor) (errs, warnings []string, err error) {
	if operation.Object == "" {
		return nil, nil, errors.New(operation.NotStarted)
	}
	ctx, cancel := context.WithTimeoutCause(withMigrate(member.ForReader(ctx), keyOf(m)), readResultsTimeout, fmt.Errorf("reading them took longer than %v", readResultsTimeout))
	defer cancel()
	var results migration.Results
	err = recovery.Do(ctx, func() error {
		found, err := d.findOperation(ctx, m, operation)
		if err != nil {
			return err
		}
		if ended, why := operation.HasEnded(found.seen, "results"); !ended {
			return errors.New(why)
		}
		results = found.member.EachResult(ctx, operation.ResultsRequest(m, found.seen), to.Velero())
		return cmp.Or(results.Err, results.ListsErr)
	})
	errs, warnings = results.Messages()
	if errors.Is(err, migration.ErrNotInStorage) || apierrors.IsNotFound(err) {
		err = fmt.Errorf("there are no results of %s in %s: Velero did not upload them, or they were deleted or have expired", operation.Object, operation.Cluster.Name)
	}
	return errs, warnings, err
}
