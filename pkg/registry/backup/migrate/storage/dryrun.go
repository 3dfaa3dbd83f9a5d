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
	"kurator.dev/migrate-apiserver/pkg/registry/backup/migratepreview"
)

const (
	// previewTimeout bounds the preview of a dry run, and maxWarnings its findings that become warnings.
	previewTimeout = 2 * time.Second
	maxWarnings    = 5
)

// PreviewedREST serves migrates. A create by a dry run gets the first findings of a preview as warnings.
type PreviewedREST struct {
	*REST

	previewer migratepreview.Previewer
	readers   *readers.Readers
}

var _ rest.StandardStorage = &PreviewedREST{}

// NewPreviewedREST returns the storage of Migrates with the previews of previewer.
func NewPreviewedREST(migrates *REST, previewer migratepreview.Previewer) *PreviewedREST {
	return &PreviewedREST{migrates, previewer, newReaders("dry runs", "create a MigratePreview")}
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
	status, err := r.previewer.Preview(ctx, m)
	if err != nil {
		return
	}
	var texts []string
	for _, finding := range status.Findings {
		text := finding.Reason + ": " + finding.Message
		switch {
		case finding.Severity == v1alpha1.SeverityInformation, finding.Reason == v1alpha1.ReasonNotChecked, finding.Reason == v1alpha1.ReasonConnecting:
			continue
		case finding.Severity == v1alpha1.SeverityBlocking:
			text = "the migration would wait: " + text
		}
		texts = append(texts, text)
	}
	for _, text := range texts[:min(len(texts), maxWarnings)] {
		warning.AddWarning(ctx, "", text)
	}
	if more := len(texts) - maxWarnings; more > 0 {
		warning.AddWarning(ctx, "", fmt.Sprintf("and %d more findings; create a MigratePreview with this spec to see them", more))
	}
}
