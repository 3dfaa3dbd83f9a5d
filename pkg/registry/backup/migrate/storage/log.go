// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"context"
	"fmt"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/internal/readers"
)

// Logs opens the logs of Migrates.
type Logs interface {
	Log(ctx context.Context, m *v1alpha1.Migrate, options *v1alpha1.MigrateLogOptions) (io.ReadCloser, error)
}

// LogREST serves GET of migrates/log: a stream of text, as pods/log.
type LogREST struct {
	migrates *REST
	logs     Logs
	readers  *readers.Readers
}

var (
	_ rest.Storage           = &LogREST{}
	_ rest.GetterWithOptions = &LogREST{}
	_ rest.StorageMetadata   = &LogREST{}
)

// NewLogREST returns the storage of the subresource, whose logs are opened by logs.
func NewLogREST(migrates *REST, logs Logs) *LogREST {
	return &LogREST{migrates: migrates, logs: logs, readers: newReaders("logs", "end one that is followed")}
}

// Get returns the log as a rest.ResourceStreamer, which opens it.
func (r *LogREST) Get(ctx context.Context, name string, options runtime.Object) (runtime.Object, error) {
	internal, ok := options.(*backup.MigrateLogOptions)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("%T is not MigrateLogOptions", options))
	}
	m, err := r.migrates.recorded(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	external := &v1alpha1.MigrateLogOptions{Cluster: internal.Cluster, Stage: internal.Stage, Follow: internal.Follow}
	return &streamer{readers: r.readers, mimeType: "text/plain", open: func(ctx context.Context) (io.ReadCloser, error) {
		return r.logs.Log(ctx, m, external)
	}}, nil
}

// NewGetOptions returns the empty parameters.
func (r *LogREST) NewGetOptions() (options runtime.Object, include bool, path string) {
	return &backup.MigrateLogOptions{}, false, ""
}

// ProducesMIMETypes returns text/plain for GET.
func (r *LogREST) ProducesMIMETypes(string) []string { return []string{"text/plain"} }

// ProducesObject returns a string, the type of a log in the OpenAPI documents.
func (r *LogREST) ProducesObject(string) any { return "" }

// New returns an empty Migrate.
func (r *LogREST) New() runtime.Object { return &backup.Migrate{} }

// Destroy does nothing: the store belongs to the resource.
func (r *LogREST) Destroy() {}
