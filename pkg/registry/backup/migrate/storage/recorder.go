// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// Recorder writes statuses within the process; no request can.
type Recorder struct {
	store *genericregistry.Store
}

// Record replaces the recorded status by that of m and returns the recorded Migrate. Metadata and
// spec are kept. It returns a conflict if the Migrate has another UID or resourceVersion, both of
// which must be set, and an error if the recorded phase is terminal and would change within an attempt.
//
// Recording an equal status does not change the resourceVersion.
func (r *Recorder) Record(ctx context.Context, m *v1alpha1.Migrate) (*v1alpha1.Migrate, error) {
	if m.UID == "" || m.ResourceVersion == "" {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("record status of Migrate %s/%s: uid and resourceVersion must be set", m.Namespace, m.Name))
	}
	obj, err := fromV1alpha1(m)
	if err != nil {
		return nil, err
	}
	ctx = genericapirequest.WithNamespace(ctx, m.Namespace)
	recorded, _, err := r.store.Update(ctx, m.Name, rest.DefaultUpdatedObjectInfo(obj),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if err != nil {
		return nil, err
	}
	return toV1alpha1(recorded)
}
