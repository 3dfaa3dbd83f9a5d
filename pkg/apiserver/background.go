// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/klog/v2"

	"kurator.dev/migrate-apiserver/pkg/registry/backup/migrate/storage"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/migratepreview"
)

// liveReader reads from the members what the subresources of Migrates serve.
type liveReader interface {
	storage.LiveStatus
	storage.Logs
	storage.Results
	storage.Warnings
	storage.ClusterUse
	migratepreview.Previewer
}

// Driver drives migrations in the background and serves their subresources.
type Driver interface {
	liveReader
	// Run runs until ctx ends and everything it began has finished. It returns an error if
	// that takes too long.
	Run(ctx context.Context) error
	// LivenessChecks returns checks for /livez, which fail when only a restart helps.
	LivenessChecks() []healthz.HealthChecker
}

// stopTimeout bounds the wait for the driver to stop. It is longer than the 15 s that a driver
// takes to finish its work and release its Lease, and shorter than
// terminationGracePeriodSeconds in artifacts/deploy.
const stopTimeout = 20 * time.Second

// background runs a driver between two hooks of a server.
type background struct {
	driver Driver

	// ctx ends when the driver must stop. The context of the hook that starts it could end
	// before the driver has recorded its last writes.
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mutex sync.Mutex
	// ended is the error of a driver that ended although it was not stopped.
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
	if err := server.AddHealthChecks(healthz.NamedCheck(name, b.check)); err != nil {
		return err
	}
	// A replica whose driver is stuck serves the API until it is restarted.
	return server.AddLivezChecks(0, b.driver.LivenessChecks()...)
}

func (b *background) start(genericapiserver.PostStartHookContext) error {
	b.running.Go(b.run)
	return nil
}

// stop stops the driver and waits for it, at most stopTimeout. It logs a timeout instead of
// returning an error, after which the server would not drain requests.
func (b *background) stop() error {
	b.cancel()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		b.running.Wait()
	}()
	select {
	case <-stopped:
	case <-time.After(stopTimeout):
		klog.FromContext(b.ctx).Error(nil, "Driver did not stop in time, stopping the server without it", "waited", stopTimeout)
	}
	return nil
}

// check fails after the driver has ended by itself, so that the server is restarted.
func (b *background) check(*http.Request) error {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.ended
}

func (b *background) run() {
	err := b.driver.Run(b.ctx)
	if b.ctx.Err() != nil {
		if err != nil {
			klog.FromContext(b.ctx).Error(err, "Stopping the driver failed")
		}
		return
	}
	if err == nil {
		err = errors.New("Run returned")
	}
	klog.FromContext(b.ctx).Error(err, "Driver ended by itself")
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.ended = fmt.Errorf("the driver ended by itself: %w", err)
}
