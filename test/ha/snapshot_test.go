// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package ha

import (
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.etcd.io/etcd/server/v3/embed"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

// TestSnapshotIsRestored takes a snapshot of the running server, restores it over later data, and then moves the data to an
// external etcd.
func TestSnapshotIsRestored(t *testing.T) {
	fleet := startFleet(t, localfleet.Options{})
	server := process(t, fleet, "migrate-apiserver")
	migrates := versioned.NewForConfigOrDie(hostConfig(t, fleet)).BackupV1alpha1().Migrates(metav1.NamespaceDefault)
	create := func(name string) *v1alpha1.Migrate {
		t.Helper()
		m := &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.MigrateSpec{
			SourceCluster: v1alpha1.Destination{Fleet: "none"}, TargetCluster: v1alpha1.Destination{Fleet: "none"},
		}}
		created, err := migrates.Create(t.Context(), m, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return created
	}
	run := func(args ...string) *exec.Cmd {
		return exec.CommandContext(t.Context(), filepath.Join(fleet.BinDir(), "migrate-apiserver"), append([]string{"etcd", "--data-dir=" + fleet.EtcdDir()}, args...)...)
	}
	first := create("first")
	taken, err := run("snapshot", "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	later := create("later")
	stop := func() {
		t.Helper()
		if err := server.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string) {
		t.Helper()
		var got *v1alpha1.Migrate
		eventually(t, when+": the server answers", func() bool {
			var err error
			got, err = migrates.Get(t.Context(), "first", metav1.GetOptions{})
			return err == nil
		})
		if got.UID != first.UID {
			t.Errorf("%s: another Migrate: %s", when, got.UID)
		}
		if _, err := migrates.Get(t.Context(), "later", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("%s: what was created after the snapshot: %v", when, err)
		}
	}
	stop()
	file := filepath.Join(t.TempDir(), "snapshot.db")
	if err := os.WriteFile(file, taken, 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := run("restore", "--replace", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	start(t, server)
	check("restored")
	// A client that has seen what is gone now must read everything anew.
	watch, err := migrates.Watch(t.Context(), metav1.ListOptions{ResourceVersion: later.ResourceVersion})
	if err == nil {
		event := <-watch.ResultChan()
		watch.Stop()
		err = apierrors.FromObject(event.Object)
	}
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		t.Errorf("a watch from before the restore: %v", err)
	}

	stop()
	if err := fleet.StartServer(t.Context(), filepath.Join(fleet.BinDir(), "migrate-apiserver"), "--etcd-servers="+startEtcd(t, fleet.EtcdDir())); err != nil {
		t.Fatal(err)
	}
	check("on an external etcd")
	create("afterwards")
	stop()
}

// startEtcd starts an etcd of its own over the data in a directory, and returns its URL. The one of the local fleet is of an older
// version than that which made the data.
func startEtcd(t *testing.T, dir string) string {
	t.Helper()
	config := embed.NewConfig()
	config.Name, config.Dir, config.LogLevel = "migrate-apiserver", dir, "error"
	client := url.URL{Scheme: "http", Host: address(t)}
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	config.ListenPeerUrls = []url.URL{{Scheme: "http", Host: address(t)}}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	<-etcd.Server.ReadyNotify()
	return client.String()
}

// address returns an address that is free.
func address(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
