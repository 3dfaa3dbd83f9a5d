// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"

	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/apiserver"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/migrate/storage"
)

// PLACEHOLDER: this file goes when package driver is wired in.
func newDriver(*rest.Config, *storage.Recorder) (apiserver.Driver, error) {
	return idle{}, nil
}

// idle drives nothing and tells what is recorded.
type idle struct{}

func (idle) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (idle) LiveStatus(_ context.Context, m *v1alpha1.Migrate) (*v1alpha1.MigrateStatus, error) {
	return &m.Status, nil
}
