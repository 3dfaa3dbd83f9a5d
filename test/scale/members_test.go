// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"kurator.dev/migrate-apiserver/test/localfleet"
	"kurator.dev/migrate-apiserver/test/modelvelero"
	"kurator.dev/migrate-apiserver/test/netproxy"
)

// namespace is the namespace of the fleets and Migrates on the host.
const namespace = "default"

// The members by number: a tenth does not answer, a tenth refuses connections, and a tenth is slow, all by
// proxies. The others are healthy. The faulty members come first in every sort order.
var (
	members       int
	silentMembers int
	// unreachableMembers is the number of members that don't answer or refuse connections.
	unreachableMembers int
	firstHealthy       int
)

func setMembers(tens int) {
	members, silentMembers, unreachableMembers, firstHealthy = 10*tens, tens, 2*tens, 3*tens
}

// Names of the fleets: of the healthy members, and of all.
const (
	healthyFleet = "healthy"
	fullFleet    = "full"
)

func memberName(n int) string { return fmt.Sprintf("member%03d", n) }

func veleroNamespaces() []string {
	var all []string
	for n := range members {
		all = append(all, veleroNamespace(n))
	}
	return all
}

func veleroNamespace(n int) string { return fmt.Sprintf("velero-%03d", n) }

// faultyProxies are the proxies of the faulty members, a tenth of all behind each.
type faultyProxies struct {
	silent, refused, slow *netproxy.Proxy
}

// of returns the proxy of a member, or nil if it is healthy.
func (p faultyProxies) of(n int) *netproxy.Proxy {
	switch {
	case n < silentMembers:
		return p.silent
	case n < unreachableMembers:
		return p.refused
	case n < firstHealthy:
		return p.slow
	}
	return nil
}

func (p faultyProxies) set(t *testing.T, silent, refused, slow netproxy.Mode) {
	t.Helper()
	if err := errors.Join(p.silent.Set(silent), p.refused.Set(refused), p.slow.Set(slow)); err != nil {
		t.Fatal(err)
	}
}

// attachMembers attaches the members to both fleets and creates a namespace with a
// storage location for each.
func attachMembers(t *testing.T) faultyProxies {
	t.Helper()
	kubeconfig, err := clientcmd.LoadFromFile(fleet.MemberKubeconfig(1))
	if err != nil {
		t.Fatal(err)
	}
	server := &kubeconfig.Clusters[kubeconfig.Contexts[kubeconfig.CurrentContext].Cluster].Server
	direct := *server
	listen := func() *netproxy.Proxy { return netproxy.ForTest(t, direct[len("https://"):]) }
	proxies := faultyProxies{listen(), listen(), listen()}
	var all []localfleet.Attachment
	for n := range members {
		*server = direct
		if p := proxies.of(n); p != nil {
			*server = "https://" + p.Addr()
		}
		memberKubeconfig, err := clientcmd.Write(*kubeconfig)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, localfleet.Attachment{Name: memberName(n), Kubeconfig: memberKubeconfig, VeleroNamespace: veleroNamespace(n)})
	}
	if err := errors.Join(
		fleet.AddVeleroNamespaces(t.Context(), 1, veleroNamespaces()...),
		fleet.Attach(t.Context(), fullFleet, all...),
		fleet.Attach(t.Context(), healthyFleet, all[firstHealthy:]...),
	); err != nil {
		t.Fatal(err)
	}
	return proxies
}

// runVeleros runs a modelled Velero for each member until the test ends.
func runVeleros(t *testing.T) {
	t.Helper()
	config, err := fleet.MemberConfig(1)
	if err != nil {
		t.Fatal(err)
	}
	veleros, err := modelvelero.NewVeleros(config, veleroNamespaces()...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error)
	go func() { done <- veleros.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
