// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/apiserver/pkg/warning"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/internal/readers"
)

const (
	// previewTimeout bounds the preview of a dry run, and maxWarnings its findings that become warnings.
	previewTimeout = 2 * time.Second
	maxWarnings    = 5
)

// Warnings finds what would hinder a migration.
type Warnings interface {
	// Warnings returns the first findings about a Migrate that is not stored, as far as they can be had before ctx ends.
	Warnings(ctx context.Context, m *v1alpha1.Migrate) []v1alpha1.PreviewFinding
}

// PreviewedREST serves migrates. A create by a dry run gets the first findings of a preview as warnings.
type PreviewedREST struct {
	*REST

	warnings Warnings
	readers  *readers.Readers
}

var _ rest.StandardStorage = &PreviewedREST{}

// NewPreviewedREST returns the storage of Migrates with these warnings.
func NewPreviewedREST(migrates *REST, warnings Warnings) *PreviewedREST {
	return &PreviewedREST{migrates, warnings, newReaders("dry runs", "create a MigratePreview")}
}

// Create creates a Migrate. A preview of a dry run that can't be had in time is left out.
func (r *PreviewedREST) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	created, err := r.REST.Create(ctx, obj, validate, options)
	if err != nil || options == nil || !dryrun.IsDryRun(options.DryRun) {
		return created, err
	}
	m, err := toV1alpha1(created)
	if err != nil {
		return created, nil //nolint:nilerr // the Migrate would be created
	}
	r.warn(ctx, m)
	return created, nil
}

// warn adds the first findings of a preview to the warnings of a response.
func (r *PreviewedREST) warn(ctx context.Context, m *v1alpha1.Migrate) {
	done, err := r.readers.Admit(ctx)
	if err != nil {
		return
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, previewTimeout)
	defer cancel()
	findings := r.warnings.Warnings(ctx, m)
	for _, finding := range findings[:min(len(findings), maxWarnings)] {
		text := finding.Reason + ": " + finding.Message
		if finding.Severity == v1alpha1.SeverityBlocking {
			text = "the migration would wait: " + text
		}
		warning.AddWarning(ctx, "", text)
	}
	if more := len(findings) - maxWarnings; more > 0 {
		warning.AddWarning(ctx, "", fmt.Sprintf("and %d more findings; create a MigratePreview with this spec to see them", more))
	}
}
