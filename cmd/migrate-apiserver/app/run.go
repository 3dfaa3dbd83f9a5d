// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"k8s.io/klog/v2"

	"kurator.dev/migrate-apiserver/cmd/migrate-apiserver/app/internal/etcd"
	"kurator.dev/migrate-apiserver/cmd/migrate-apiserver/app/options"
	"kurator.dev/migrate-apiserver/pkg/clientmetrics"
)

// Run serves until ctx ends. The embedded etcd starts before the server and stops
// after it.
func Run(ctx context.Context, o *options.Options) error {
	logger := klog.FromContext(ctx)
	logger.Info("Starting", "version", version())
	defer logger.Info("Stopped")
	if !o.UsesEmbeddedEtcd() {
		return serve(ctx, o, "")
	}
	embedded, err := etcd.Start(ctx, etcd.Config{Dir: o.EmbeddedEtcd.DataDir, QuotaBytes: o.EmbeddedEtcd.QuotaBytes})
	if err != nil {
		return err
	}
	return errors.Join(serveOver(ctx, o, embedded), embedded.Stop())
}

// serveOver serves until ctx ends or the etcd fails.
func serveOver(ctx context.Context, o *options.Options, embedded *etcd.Server) error {
	ctx, cancel := context.WithCancelCause(ctx)
	served := make(chan error, 1)
	go func() { served <- serve(ctx, o, embedded.Endpoint()) }()
	select {
	case err := <-served:
		cancel(nil)
		return err
	case failure := <-embedded.Failed():
		err := fmt.Errorf("embedded etcd: %w", failure)
		cancel(err)
		return errors.Join(err, <-served)
	}
}

func serve(ctx context.Context, o *options.Options, endpoint string) error {
	clientmetrics.Register()
	config, err := o.Config(version(), endpoint)
	if err != nil {
		return err
	}
	certificate, err := servingCertificate(config.Generic.ClientConfig, o)
	if err != nil {
		return err
	}
	if certificate != nil {
		config.Generic.SecureServing.Cert = certificate
	}
	config.NewDriver = driverFactory(config.Generic.ClientConfig, config.Generic.Authorization.Authorizer, o)
	alarms := etcd.NewAlarms(o.EtcdTransport(endpoint))
	config.Generic.AddReadyzChecks(alarms)
	server, err := config.Complete().New()
	if err != nil {
		return err
	}
	if certificate != nil {
		if err := certificate.Load(ctx); err != nil {
			return err
		}
	}
	defer runAlarms(ctx, alarms)()
	return server.Run(ctx)
}

// runAlarms reports the alarms of the etcd in the background until the returned function is called.
func runAlarms(ctx context.Context, alarms *etcd.Alarms) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		if err := alarms.Run(ctx); err != nil {
			klog.FromContext(ctx).Error(err, "The alarms of the etcd are not reported")
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}
