// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/recovery"
)

const (
	// logInterval is the time between two looks at whether a log that is followed is there.
	logInterval = 5 * time.Second
	// logTimeout bounds the time in which a log is read.
	logTimeout = 10 * time.Minute
)

// Log opens the log of m that options name, which is read from the storage until ctx ends. If a part of it
// can't be read, it ends with a line that says so.
func (d *Driver) Log(ctx context.Context, m *v1alpha1.Migrate, options *v1alpha1.MigrateLogOptions) (io.ReadCloser, error) {
	ctx = withMigrate(member.ForReader(ctx), keyOf(m))
	source, err := d.awaitLog(ctx, m, options)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, logTimeout, fmt.Errorf("reading it took longer than %v", logTimeout))
	reader, writer := io.Pipe()
	context.AfterFunc(ctx, func() { _ = reader.CloseWithError(context.Cause(ctx)) })
	go func() { _ = writer.CloseWithError(source.copy(ctx, writer)) }()
	buffered := bufio.NewReader(reader)
	opened := &openLog{buffered, reader, cancel}
	if _, err := buffered.Peek(1); err != nil && !errors.Is(err, io.EOF) {
		_ = opened.Close()
		return nil, source.error(err)
	}
	return opened, nil
}

// openLog is a log that is read. Close ends it.
type openLog struct {
	io.Reader
	pipe   io.Closer
	cancel context.CancelFunc
}

func (l *openLog) Close() error {
	defer l.cancel()
	return l.pipe.Close()
}

// logSource is a log that Velero has uploaded, where to read it, and the authority of its storage.
type logSource struct {
	migration.Operation
	migrate *v1alpha1.Migrate
	member  Member
	ca      migration.StorageCA
}

// copy writes the log. An error after its start becomes its last line, because a reader gets no other word
// of it.
func (s logSource) copy(ctx context.Context, to io.Writer) error {
	counted := &countingWriter{Writer: to}
	err := recovery.Do(ctx, func() error { return s.member.Log(ctx, s.LogRequest(s.migrate), s.ca, counted) })
	if err == nil || counted.written == 0 {
		return err
	}
	klog.FromContext(ctx).Error(err, "Reading a log failed", "cluster", s.Cluster.Name, "log", s.Object)
	const maxError = 512
	_, err = fmt.Fprintf(to, "\nThe log is incomplete: %s\n", migration.Shorten(err.Error(), maxError))
	return err
}

// countingWriter counts the bytes that are written.
type countingWriter struct {
	io.Writer
	written int
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.written += n
	return n, err
}

// awaitLog returns the log that options name. If it is to be followed, awaitLog waits until Velero has
// uploaded it.
func (d *Driver) awaitLog(ctx context.Context, m *v1alpha1.Migrate, options *v1alpha1.MigrateLogOptions) (logSource, error) {
	for {
		source, err := d.findLog(ctx, m, options)
		mayCome := apierrors.HasStatusCause(err, causeNotUploaded) || apierrors.IsServiceUnavailable(err)
		if err == nil || !options.Follow || !mayCome {
			return source, err
		}
		select {
		case <-ctx.Done():
			return source, context.Cause(ctx)
		case <-d.Clock.After(logInterval):
		}
		fresh, readErr := d.Migrates.Get(ctx, m.Namespace, m.Name)
		switch {
		case apierrors.IsNotFound(readErr), readErr == nil && fresh.UID != m.UID:
			return source, err
		case readErr == nil:
			m = fresh
		}
	}
}

// findLog returns the log that options name, if Velero has uploaded it.
func (d *Driver) findLog(ctx context.Context, m *v1alpha1.Migrate, options *v1alpha1.MigrateLogOptions) (logSource, error) {
	operation, err := migration.LogOf(m, options)
	switch {
	case errors.As(err, new(migration.NotStartedError)) && !migration.IsTerminal(m.Status.Phase):
		return logSource{}, notUploaded(err.Error())
	case err != nil:
		return logSource{}, apierrors.NewBadRequest(err.Error())
	}
	source := logSource{Operation: operation, migrate: m}
	found, err := d.findOperation(ctx, m, operation)
	if err != nil {
		return source, source.error(err)
	}
	if uploaded, why := operation.HasEnded(found.seen, "log"); !uploaded {
		return source, notUploaded(why + ". To wait for it, set follow=true.")
	}
	source.member, source.ca = found.member, migration.StorageOf(found.seen)
	return source, nil
}

// foundOperation has the objects of an operation, which exist, and their member.
type foundOperation struct {
	member Member
	seen   migration.Member
}

// findOperation reads the objects of an operation of m.
func (d *Driver) findOperation(ctx context.Context, m *v1alpha1.Migrate, operation migration.Operation) (found foundOperation, err error) {
	ctx, cancel := context.WithTimeout(ctx, liveReadTimeout)
	defer cancel()
	of := migration.Resolve(m, d.Host.Read(ctx, m.Namespace, &m.Spec)).Of(operation.Cluster)
	found.member = d.Members.Member(m.Namespace, of.Velero())
	seen := found.member.Read(ctx, of.Objects)
	err = seen.Err
	// Velero gives no file without its object, nor that of a Restore without the Backup.
	if err == nil && seen.Backup == nil {
		seen.Backup, err = found.member.Backup(ctx, of.Objects.Backup)
	}
	if err == nil && operation.Stage == v1alpha1.MigrateStageRestore && seen.Restore == nil {
		seen.Restore, err = found.member.Restore(ctx, operation.Object)
	}
	found.seen = seen
	return found, err
}

// causeNotUploaded is the cause of the error that a log is not there yet.
const causeNotUploaded metav1.CauseType = "LogNotUploaded"

func notUploaded(message string) error {
	err := apierrors.NewBadRequest(message)
	err.ErrStatus.Details = &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: causeNotUploaded, Message: message}}}
	return err
}

// error returns the API status for an error of reading the log.
func (s logSource) error(err error) error {
	status := metav1.Status{Status: metav1.StatusFailure}
	switch {
	case errors.Is(err, migration.ErrNotInStorage), apierrors.IsNotFound(err):
		status.Code, status.Reason = http.StatusNotFound, metav1.StatusReasonNotFound
		status.Message = fmt.Sprintf("there is no log of %s in %s: Velero did not upload it, or it was deleted or has expired", s.Object, s.Cluster.Name)
	case errors.Is(err, migration.ErrNoLog):
		status.Code, status.Reason = http.StatusBadGateway, metav1.StatusReasonInternalError
		status.Message = fmt.Sprintf("reading the log of %s in %s: %v", s.Object, s.Cluster.Name, err)
	default:
		return apierrors.NewServiceUnavailable(fmt.Sprintf("reading the log of %s in %s: %v", s.Object, s.Cluster.Name, err))
	}
	return &apierrors.StatusError{ErrStatus: status}
}
