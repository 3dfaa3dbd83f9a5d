// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"kurator.dev/migrate-apiserver/test/localfleet"
	"kurator.dev/migrate-apiserver/test/netproxy"
)

// faultsNamespace is the namespace of the Migrates of TestFaults, with a fleet whose clusters
// are behind proxies.
const faultsNamespace = "faults"

// faultsLease are the durations of the Lease during TestFaults: the successor of a killed
// server waits until its Lease expires.
var faultsLease = []string{"--leader-elect-lease-duration=4s", "--leader-elect-renew-deadline=3s", "--leader-elect-retry-period=1s"}

// network is the network between our server and the members.
type network struct {
	// to has the proxy of each member.
	to [len(members)]*netproxy.Proxy
}

// faultsFleet attaches the members to faultsNamespace through proxies, and sets a short Lease
// of our server, until the end of the test.
func faultsFleet(t *testing.T) *network {
	t.Helper()
	ensureAbsent(t, faultsNamespace)
	host.apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: fleet.kurator.dev/v1alpha1
kind: Fleet
metadata: {name: quickstart, namespace: %[1]s}
spec:
  clusters:
  - {kind: AttachedCluster, name: kurator-member1}
  - {kind: AttachedCluster, name: kurator-member2}
  - {kind: AttachedCluster, name: kurator-member3}
  - {kind: AttachedCluster, name: kurator-member4}
`, faultsNamespace))
	n := &network{}
	for i := 1; i < len(members); i++ {
		n.to[i] = newProxy(t, i)
		attachWith(t, faultsNamespace, i, kubeconfigThrough(t, i, n.to[i]))
		markReady(t, faultsNamespace, i)
	}
	startServerWith(t, faultsLease...)
	t.Cleanup(func() { startServerWith(t) })
	return n
}

func newProxy(t *testing.T, n int) *netproxy.Proxy {
	t.Helper()
	config, err := fleet.MemberConfig(n)
	if err != nil {
		t.Fatal(err)
	}
	return netproxy.ForTest(t, config.Host[len("https://"):])
}

// kubeconfigThrough returns a member's kubeconfig with the address of a proxy.
func kubeconfigThrough(t *testing.T, n int, p *netproxy.Proxy) []byte {
	t.Helper()
	config, err := clientcmd.LoadFromFile(members[n].kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range config.Clusters {
		c.Server = "https://" + p.Addr()
	}
	kubeconfig, err := clientcmd.Write(*config)
	if err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

// link sets the mode of the network to members, and closes the open connections if the mode
// blocks new ones.
func link(mode netproxy.Mode, to ...int) action {
	return func(t *testing.T, r *run) {
		t.Helper()
		for _, n := range to {
			if err := r.network.to[n].Set(mode); err != nil {
				t.Fatal(err)
			}
			if mode == netproxy.Refuse {
				r.network.to[n].Cut()
			}
			r.addCleanup(func() {
				if err := r.network.to[n].Set(netproxy.Pass); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// Names of processes, for actions.
const (
	ourServer     = "migrate-apiserver"
	hostAPIServer = "host-apiserver"
	storage       = "storage"
	etcd          = "etcd"
)

func apiserverOf(n int) string { return localfleet.MemberName(n) + "-apiserver" }
func veleroOf(n int) string    { return localfleet.MemberName(n) + "-velero" }

// stop stops processes by SIGSTOP until resume or the end of the case.
func stop(processes ...string) action {
	return func(t *testing.T, r *run) {
		t.Helper()
		for _, name := range processes {
			r.release[name] = pause(t, name)
		}
	}
}

// resume releases a stop or hold by its name.
func resume(names ...string) action {
	return func(t *testing.T, r *run) {
		t.Helper()
		for _, name := range names {
			r.release[name]()
		}
	}
}

// kill kills processes, which start or the end of the case starts again.
func kill(processes ...string) action {
	return func(t *testing.T, r *run) {
		t.Helper()
		for _, name := range processes {
			p := process(t, name)
			if err := p.Kill(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.addCleanup(func() { startProcess(t, p) })
		}
	}
}

// start starts processes and waits until they are ready.
func start(processes ...string) action {
	return func(t *testing.T, _ *run) {
		t.Helper()
		for _, name := range processes {
			startProcess(t, process(t, name))
		}
	}
}

func process(t *testing.T, name string) *localfleet.Process {
	t.Helper()
	p, err := fleet.Process(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// startProcess starts a process. It also sends SIGCONT, because a stopped process never
// becomes ready.
func startProcess(t *testing.T, p *localfleet.Process) {
	t.Helper()
	if p.Running() {
		if err := p.Signal(syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	}
	if err := p.Start(t.Context()); err != nil {
		t.Error(err)
	}
}

// waitFor waits while a fault lasts.
func waitFor(d time.Duration) action {
	return func(t *testing.T, _ *run) {
		select {
		case <-time.After(d):
		case <-t.Context().Done():
		}
	}
}
