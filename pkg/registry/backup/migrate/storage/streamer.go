// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"context"
	"io"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"

	"kurator.dev/migrate-apiserver/pkg/registry/backup/internal/readers"
)

// newReaders returns the bounds of the reads of a subresource.
func newReaders(what, instead string) *readers.Readers {
	const most, mostOfUser = 100, 20
	return &readers.Readers{What: what, Instead: instead, Most: most, MostOfUser: mostOfUser}
}

// streamer opens a stream when the server is about to send it. What it does not send it does not close.
type streamer struct {
	readers  *readers.Readers
	mimeType string
	open     func(context.Context) (io.ReadCloser, error)
}

var _ rest.ResourceStreamer = &streamer{}

// InputStream opens the stream. The server closes it.
func (s *streamer) InputStream(ctx context.Context, _, _ string) (stream io.ReadCloser, flush bool, mimeType string, err error) {
	done, err := s.readers.Admit(ctx)
	if err != nil {
		return nil, false, "", err
	}
	opened, err := s.open(ctx)
	if err != nil {
		done()
		return nil, false, "", err
	}
	return &admittedStream{opened, done}, false, s.mimeType, nil
}

// GetObjectKind returns none: a stream is no object.
func (s *streamer) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject is not called: a stream can't be copied.
func (s *streamer) DeepCopyObject() runtime.Object { panic("a stream can't be copied") }

// admittedStream is an open stream. Close ends the read.
type admittedStream struct {
	io.ReadCloser
	done func()
}

func (s *admittedStream) Close() error {
	defer s.done()
	return s.ReadCloser.Close()
}
