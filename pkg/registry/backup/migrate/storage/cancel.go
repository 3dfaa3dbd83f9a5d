// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// NewCancelREST returns the storage of migrates/cancel. Canceling a Migrate again changes nothing; one that has ended
// otherwise can't be canceled.
func NewCancelREST(s *Storage, use ClusterUse) *ActionREST {
	return &ActionREST{s.Migrate, s.Client, use, cancel{}}
}

// maxUsername is how many bytes of the name of a user a status has.
const maxUsername = 253

// cancel cancels a Migrate.
type cancel struct{}

var _ action = cancel{}

func (cancel) newOptions() runtime.Object { return &backup.MigrateCancelOptions{} }

func (cancel) check(options runtime.Object) (*metav1.Preconditions, error) {
	o, ok := options.(*backup.MigrateCancelOptions)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("%T is not MigrateCancelOptions", options))
	}
	return o.Preconditions, nil
}

func (cancel) do(m *backup.Migrate, _ runtime.Object, username string) error {
	switch {
	case m.Status.Phase == backup.MigratePhaseCanceled, m.Status.Cancellation != nil && !m.Status.Phase.IsTerminal():
		return nil
	case m.Status.Phase.IsTerminal():
		return fmt.Errorf("it has ended %s, so there is nothing to cancel", m.Status.Phase)
	}
	m.Status.Cancellation = &backup.Cancellation{Time: metav1.Now(), Username: migration.Shorten(username, maxUsername)}
	return nil
}

func (cancel) done(*backup.Migrate) string {
	return "is canceled: nothing new is begun; what Velero has begun goes on to its end, see its status"
}
