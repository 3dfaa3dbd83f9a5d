// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	genericapiserver "k8s.io/apiserver/pkg/server"
)

// endless is a driver that does not stop until it is released.
type endless struct {
	Driver
	released chan struct{}
}

func (e endless) Run(context.Context) error {
	<-e.released
	return nil
}

func TestStopTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := endless{released: make(chan struct{})}
		b := newBackground(e)
		if err := b.start(genericapiserver.PostStartHookContext{}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := b.stop(); err != nil {
			t.Errorf("stop: %v, after which the server does not wait for requests", err)
		}
		if took := time.Since(start); took != 20*time.Second {
			t.Errorf("the stop took %s", took)
		}
		close(e.released)
	})
}
