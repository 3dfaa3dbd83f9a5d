// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/klog/v2"

	"kurator.dev/migrate-apiserver/pkg/registry/backup/migrate/storage"
)

// Driver drives migrations in the background and tells their live status.
type Driver interface {
	storage.LiveStatus
	// Run returns when ctx has ended and all that it began is finished.
	Run(ctx context.Context) error
}

// background runs a driver between two hooks of a server.
type background struct {
	driver Driver

	// ctx ends when the driver shall stop. It is not that of the hook that starts
	// it, which may end before the driver has recorded what it did.
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mutex sync.Mutex
	// ended is why the driver ended by itself.
	ended error
}

func newBackground(driver Driver) *background {
	ctx, cancel := context.WithCancel(context.Background())
	return &background{driver: driver, ctx: ctx, cancel: cancel}
}

func (b *background) addTo(server *genericapiserver.GenericAPIServer) error {
	const name = "migrate-driver"
	if err := server.AddPostStartHook("start-"+name, b.start); err != nil {
		return err
	}
	if err := server.AddPreShutdownHook("stop-"+name, b.stop); err != nil {
		return err
	}
	return server.AddHealthChecks(healthz.NamedCheck(name, b.check))
}

func (b *background) start(genericapiserver.PostStartHookContext) error {
	b.running.Go(b.run)
	return nil
}

// stop returns when the driver has finished what it began.
func (b *background) stop() error {
	b.cancel()
	b.running.Wait()
	return nil
}

// check fails when the driver has ended by itself, so that the server is started
// again.
func (b *background) check(*http.Request) error {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.ended
}

func (b *background) run() {
	err := b.driver.Run(b.ctx)
	if b.ctx.Err() != nil {
		if err != nil {
			klog.FromContext(b.ctx).Error(err, "The driver did not stop well")
		}
		return
	}
	if err == nil {
		err = errors.New("it returned")
	}
	klog.FromContext(b.ctx).Error(err, "The driver has ended by itself")
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.ended = fmt.Errorf("the driver has ended by itself: %w", err)
}
