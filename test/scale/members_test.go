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

// namespace is where the fleets and Migrates are on the host.
const namespace = "default"

// The members by number: ten each are behind a proxy that takes connections and
// stays silent, that refuses them, and that delays; the others are well. Those in
// trouble come first in every order that there is.
const (
	silentMembers = 10
	deadMembers   = 20
	firstWell     = 30
	members       = 100
)

// The fleets: that of those who are well, and that of all.
const (
	seventy = "seventy"
	hundred = "hundred"
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

// troubled are the proxies before the thirty: ten members behind each.
type troubled struct {
	silent, refused, slow *netproxy.Proxy
}

// of is the proxy before a member; nil if there is none.
func (p troubled) of(n int) *netproxy.Proxy {
	switch {
	case n < silentMembers:
		return p.silent
	case n < deadMembers:
		return p.refused
	case n < firstWell:
		return p.slow
	}
	return nil
}

func (p troubled) set(t *testing.T, silent, refused, slow netproxy.Mode) {
	t.Helper()
	if err := errors.Join(p.silent.Set(silent), p.refused.Set(refused), p.slow.Set(slow)); err != nil {
		t.Fatal(err)
	}
}

// enroll makes the hundred members and both fleets, and a namespace with a storage
// location in the cluster that they share for each.
func enroll(t *testing.T) troubled {
	t.Helper()
	kubeconfig, err := clientcmd.LoadFromFile(fleet.MemberKubeconfig(1))
	if err != nil {
		t.Fatal(err)
	}
	server := &kubeconfig.Clusters[kubeconfig.Contexts[kubeconfig.CurrentContext].Cluster].Server
	direct := *server
	listen := func() *netproxy.Proxy { return netproxy.ForTest(t, direct[len("https://"):]) }
	proxies := troubled{listen(), listen(), listen()}
	var all []localfleet.Attachment
	for n := range members {
		*server = direct
		if p := proxies.of(n); p != nil {
			*server = "https://" + p.Addr()
		}
		way, err := clientcmd.Write(*kubeconfig)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, localfleet.Attachment{Name: memberName(n), Kubeconfig: way, VeleroNamespace: veleroNamespace(n)})
	}
	if err := errors.Join(
		fleet.AddVeleroNamespaces(t.Context(), 1, veleroNamespaces()...),
		fleet.Attach(t.Context(), hundred, all...),
		fleet.Attach(t.Context(), seventy, all[firstWell:]...),
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
	ended := make(chan error)
	go func() { ended <- veleros.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
