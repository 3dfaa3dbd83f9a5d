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
)

// Driver drives migrations in the background and tells their live status.
type Driver interface {
	storage.LiveStatus
	// Run returns when ctx has ended and all that it began is finished, with an error if
	// that takes too long.
	Run(ctx context.Context) error
	// LivenessChecks are those of /livez: what is wrong when one fails only a restart ends.
	LivenessChecks() []healthz.HealthChecker
}

// stopPatience is how long a driver is waited for. It is more than a driver needs that
// waits for what runs and gives its Lease up, 15 s, and well below
// terminationGracePeriodSeconds of artifacts/deploy.
const stopPatience = 20 * time.Second

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
	if err := server.AddHealthChecks(healthz.NamedCheck(name, b.check)); err != nil {
		return err
	}
	// A replica whose driver stands still serves the API until it is restarted.
	return server.AddLivezChecks(0, b.driver.LivenessChecks()...)
}

func (b *background) start(genericapiserver.PostStartHookContext) error {
	b.running.Go(b.run)
	return nil
}

// stop returns when the driver has finished what it began, or stopPatience later. That
// is logged and no error: after one the server would not wait for requests any more.
func (b *background) stop() error {
	b.cancel()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		b.running.Wait()
	}()
	select {
	case <-stopped:
	case <-time.After(stopPatience):
		klog.FromContext(b.ctx).Error(nil, "The driver has not stopped, the server stops without it", "waited", stopPatience)
	}
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
