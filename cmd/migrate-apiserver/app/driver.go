// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"os"
	"sync"

	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/kubernetes"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	componentbaseconfig "k8s.io/component-base/config"
	"k8s.io/utils/clock"

	"kurator.dev/migrate-apiserver/cmd/migrate-apiserver/app/options"
	"kurator.dev/migrate-apiserver/pkg/apiserver"
	"kurator.dev/migrate-apiserver/pkg/driver"
	"kurator.dev/migrate-apiserver/pkg/fleet"
	"kurator.dev/migrate-apiserver/pkg/member"
	"kurator.dev/migrate-apiserver/pkg/permission"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/migrate/storage"
)

const (
	// reporter is the reporting controller of Events and the prefix of the Lease's holder.
	reporter = "migrate-apiserver"
	// hostQPS and hostBurst bound the driver's requests to the host: two small reads for each
	// cluster of each live status.
	hostQPS, hostBurst = 200, 400
)

// driverFactory returns a factory of drivers that read the host's inventory and check permissions
// by its authorizer.
func driverFactory(host *rest.Config, a authorizer.UnconditionalAuthorizer, o *options.Options) apiserver.DriverFactory {
	return func(migrates *storage.Client) (apiserver.Driver, error) {
		host := rest.CopyConfig(host)
		host.QPS, host.Burst = hostQPS, hostBurst
		kube, objects, err := hostClients(host)
		if err != nil {
			return nil, err
		}
		leader, err := leaderElection(kube, o.LeaderElection)
		if err != nil {
			return nil, err
		}

		inventoryOptions := fleet.Options{Namespaces: o.Namespaces, Probe: o.Members.Readiness == options.ReadinessProbe}
		if file := o.Members.AccessProviders; file != "" {
			if inventoryOptions.Access, err = fleet.LoadAccessProviders(file); err != nil {
				return nil, fmt.Errorf("--cluster-access-providers: %w", err)
			}
		}
		inventory := fleet.New(objects, fleet.Secrets(kube.CoreV1()), inventoryOptions)
		ranges, err := o.Members.Ranges()
		if err != nil {
			return nil, err
		}
		services := fleet.NewServices(kube)
		pool := member.NewPool(inventory, member.Options{
			AllowInsecureTLS: o.Members.AllowInsecureTLS,
			Addresses: member.Addresses{
				AllowLocal:   o.Members.AllowLocalAddresses,
				Ranges:       ranges,
				HostServices: services.Ranges,
			},
		})
		inventory.OnClusterChange(pool.Invalidate)
		broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: kube.EventsV1()})
		return &hosted{
			Driver: driver.New(driver.Config{
				Migrates: migrates,
				Host:     inventory,
				Permission: permission.New(a, permission.Options{
					ReviewMembers:        o.Members.AccessReview,
					ReviewHostIdentities: o.Members.AccessReviewSystemIdentities,
				}),
				Members:        driver.PoolMembers(pool),
				Events:         broadcaster.NewRecorder(clientscheme.Scheme, reporter),
				Clock:          clock.RealClock{},
				LeaderElection: leader,
			}),
			events:   broadcaster,
			pool:     pool,
			services: services,
		}, nil
	}
}

// hosted is a driver with the components that run with it.
type hosted struct {
	*driver.Driver
	events   events.EventBroadcaster
	pool     *member.Pool
	services *fleet.Services
}

// Run runs the driver and its components until ctx ends.
func (h *hosted) Run(ctx context.Context) error {
	defer h.pool.Close()
	if err := h.events.StartRecordingToSinkWithContext(ctx); err != nil {
		return fmt.Errorf("recording Events: %w", err)
	}
	defer h.events.Shutdown()
	ctx, cancel := context.WithCancel(ctx)
	var known sync.WaitGroup
	defer known.Wait()
	defer cancel()
	known.Go(func() { h.services.Run(ctx) })
	return h.Driver.Run(ctx)
}

func leaderElection(kube kubernetes.Interface, o componentbaseconfig.LeaderElectionConfiguration) (*driver.LeaderElection, error) {
	if !o.LeaderElect {
		return nil, nil
	}
	hostname, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("identity for leader election: %w", err)
	}
	lock, err := resourcelock.New(o.ResourceLock, o.ResourceNamespace, o.ResourceName,
		kube.CoreV1(), kube.CoordinationV1(),
		resourcelock.ResourceLockConfig{Identity: hostname + "_" + string(uuid.NewUUID())})
	if err != nil {
		return nil, fmt.Errorf("lock for leader election: %w", err)
	}
	return &driver.LeaderElection{
		Lock:          lock,
		LeaseDuration: o.LeaseDuration.Duration,
		RenewDeadline: o.RenewDeadline.Duration,
		RetryPeriod:   o.RetryPeriod.Duration,
	}, nil
}
