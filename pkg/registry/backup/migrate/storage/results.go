// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/rest"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/recovery"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/internal/readers"
)

// Results reads the results of the Backup or a Restore of a Migrate.
type Results interface {
	// Results calls to with each item and volume, and returns Velero's errors and warnings. An error is why
	// something could not be read, or that of to.
	Results(ctx context.Context, m *v1alpha1.Migrate, of migration.Operation, to migration.ResultsVisitor) (errs, warnings []string, err error)
}

// ResultsREST serves GET of migrates/results: a stream of MigrateResults, whose size has no bound.
type ResultsREST struct {
	migrates *REST
	results  Results
	readers  *readers.Readers
}

var (
	_ rest.Storage           = &ResultsREST{}
	_ rest.GetterWithOptions = &ResultsREST{}
	_ rest.StorageMetadata   = &ResultsREST{}
)

// NewResultsREST returns the storage of the subresource, whose results are read by results.
func NewResultsREST(migrates *REST, results Results) *ResultsREST {
	return &ResultsREST{migrates: migrates, results: results, readers: &readers.Readers{What: "results", Instead: "read the exceptions in the status of the Migrates", Most: 20, MostOfUser: 4}}
}

// Get returns the results as a rest.ResourceStreamer, which reads them.
func (r *ResultsREST) Get(ctx context.Context, name string, options runtime.Object) (runtime.Object, error) {
	internal, ok := options.(*backup.MigrateResultsOptions)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("%T is not MigrateResultsOptions", options))
	}
	m, err := r.migrates.recorded(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	page, err := pageOf(m, internal)
	if err != nil {
		return nil, err
	}
	return &streamer{readers: r.readers, mimeType: runtime.ContentTypeJSON, open: func(ctx context.Context) (io.ReadCloser, error) {
		return r.stream(ctx, m, page), nil
	}}, nil
}

// NewGetOptions returns the empty parameters.
func (r *ResultsREST) NewGetOptions() (options runtime.Object, include bool, path string) {
	return &backup.MigrateResultsOptions{}, false, ""
}

// ProducesMIMETypes returns JSON for GET.
func (r *ResultsREST) ProducesMIMETypes(string) []string { return []string{runtime.ContentTypeJSON} }

// ProducesObject returns the type in the OpenAPI documents.
func (r *ResultsREST) ProducesObject(string) any { return v1alpha1.MigrateResults{} }

// New returns empty results.
func (r *ResultsREST) New() runtime.Object { return &v1alpha1.MigrateResults{} }

// Destroy does nothing: the store belongs to the resource.
func (r *ResultsREST) Destroy() {}

// page is a part of the results of a Migrate.
type page struct {
	// operations are those that are left, of which the first skip items and volumes are skipped.
	operations []migration.Operation
	skip       int64
	// outcome and limit are as in MigrateResultsOptions.
	outcome v1alpha1.ItemOutcome
	limit   int64
}

// position is where a page ends, encoded in metadata.continue.
type position struct {
	UID     types.UID `json:"uid"`
	Kind    string    `json:"kind"`
	Cluster string    `json:"cluster"`
	Skip    int64     `json:"skip"`
}

// outcomes are all outcomes of items and volumes.
var outcomes = []backup.ItemOutcome{
	backup.ItemBackedUp, backup.ItemCreated, backup.ItemUpdated, backup.ItemUnchanged, backup.VolumeMoved,
	backup.ItemKept, backup.ItemFailed, backup.ItemLeftOut, backup.ItemWithoutData,
}

// pageOf returns the page that options request, or a 400 or 410.
func pageOf(m *v1alpha1.Migrate, options *backup.MigrateResultsOptions) (page, error) {
	p := page{outcome: v1alpha1.ItemOutcome(options.Outcome), limit: options.Limit}
	switch {
	case options.Outcome != "" && !slices.Contains(outcomes, backup.ItemOutcome(options.Outcome)):
		return p, apierrors.NewBadRequest(fmt.Sprintf("outcome is %q; it must be one of %v", options.Outcome, outcomes))
	case options.Limit < 0:
		return p, apierrors.NewBadRequest(fmt.Sprintf("limit is %d; it must not be negative", options.Limit))
	}
	var err error
	if p.operations, err = migration.Operations(m, options.Cluster); err != nil {
		return p, apierrors.NewBadRequest(err.Error())
	}
	if options.Continue == "" {
		return p, nil
	}
	var from position
	token, err := base64.RawURLEncoding.DecodeString(options.Continue)
	if err != nil || json.Unmarshal(token, &from) != nil || from.Skip < 0 {
		return p, apierrors.NewBadRequest("continue is not a metadata.continue of these results")
	}
	i := slices.IndexFunc(p.operations, func(o migration.Operation) bool {
		return o.Cluster == migration.Cluster{Kind: from.Kind, Name: from.Cluster}
	})
	if from.UID != m.UID || i < 0 {
		return p, apierrors.NewResourceExpired("continue is of another Migrate, or of a cluster that is not requested; start without it")
	}
	p.operations, p.skip = p.operations[i:], from.Skip
	return p, nil
}

// stream returns the page as JSON while it is read. Close ends reading.
func (r *ResultsREST) stream(ctx context.Context, m *v1alpha1.Migrate, p page) io.ReadCloser {
	ctx, cancel := context.WithCancel(ctx)
	reader, writer := io.Pipe()
	context.AfterFunc(ctx, func() {
		_ = writer.CloseWithError(errors.New("the results were not read in time, or the request ended"))
	})
	go func() {
		defer cancel()
		_ = writer.CloseWithError(recovery.Do(ctx, func() error {
			out := newResultsWriter(&impatientWriter{writer, cancel})
			next, err := r.write(ctx, out, m, p)
			if err != nil {
				return err
			}
			return out.end(next)
		}))
	}()
	return &endingReader{reader, cancel}
}

// impatientWriter ends the read if its reader takes nothing for stallTimeout: meanwhile it holds memory that others
// may need.
type impatientWriter struct {
	io.Writer
	cancel context.CancelFunc
}

func (w *impatientWriter) Write(p []byte) (int, error) {
	defer time.AfterFunc(stallTimeout, w.cancel).Stop()
	return w.Writer.Write(p)
}

// endingReader ends what it reads from when it is closed.
type endingReader struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (r *endingReader) Close() error {
	defer r.cancel()
	return r.ReadCloser.Close()
}

// stallTimeout is the time within which a reader takes what is written.
const stallTimeout = 30 * time.Second

// errPageFull ends a page.
var errPageFull = errors.New("the page is full")

// write writes a page, and returns where it ends; nil at the end of the results.
func (r *ResultsREST) write(ctx context.Context, out *resultsWriter, m *v1alpha1.Migrate, p page) (next *position, err error) {
	left := p.limit
	for i, operation := range p.operations {
		skip := int64(0)
		if i == 0 {
			skip = p.skip
		}
		place := int64(0)
		admit := func(outcome v1alpha1.ItemOutcome) (bool, error) {
			place++
			if place <= skip || p.outcome != "" && outcome != p.outcome {
				return false, nil
			}
			if p.limit > 0 && left == 0 {
				next = &position{m.UID, operation.Cluster.Kind, operation.Cluster.Name, place - 1}
				return false, errPageFull
			}
			left--
			return true, nil
		}
		to := migration.ResultsVisitor{
			Item: func(item v1alpha1.ItemResult) error {
				admitted, err := admit(item.Outcome)
				if err != nil || !admitted {
					return err
				}
				return out.element("items", item)
			},
			Volume: func(volume v1alpha1.VolumeResult) error {
				admitted, err := admit(volume.Outcome)
				if err != nil || !admitted {
					return err
				}
				return out.element("volumes", volume)
			},
		}
		if err := out.beginCluster(operation); err != nil {
			return nil, err
		}
		errs, warnings, err := r.read(ctx, m, operation, to, func(item v1alpha1.ItemResult) error {
			admitted, err := admit(item.Outcome)
			if err != nil || !admitted {
				return err
			}
			return out.element("leftOut", item)
		})
		if errors.Is(err, errPageFull) {
			errs, warnings, err = nil, nil, nil // they are in the last page of the cluster
		}
		if err := out.endCluster(errs, warnings, err); err != nil || next != nil {
			return next, err
		}
	}
	return nil, nil
}

// read reads the results of an operation, and in the source what its status has besides Velero's lists.
func (r *ResultsREST) read(
	ctx context.Context, m *v1alpha1.Migrate, of migration.Operation, to migration.ResultsVisitor, leftOut func(v1alpha1.ItemResult) error,
) (errs, warnings []string, err error) {
	errs, warnings, err = r.results.Results(ctx, m, of, to)
	if of.Stage != v1alpha1.MigrateStageBackup || errors.Is(err, errPageFull) {
		return errs, warnings, err
	}
	source := m.Status.SourceClusterStatus
	for _, exception := range source.Exceptions {
		if exception.Outcome != v1alpha1.ItemLeftOut {
			continue
		}
		if err := leftOut(exception); err != nil {
			return errs, warnings, err
		}
	}
	if err == nil && source.ExceptionsOmitted > 0 && source.Reason == v1alpha1.ReasonItemsLeftOut {
		err = fmt.Errorf("what the Backup does not have is recorded up to its 20th item, without %d more exceptions", source.ExceptionsOmitted)
	}
	return errs, warnings, err
}
