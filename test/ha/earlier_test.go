// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package ha

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	typed "kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned/typed/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

// testEarlierVersion runs a replica of an earlier version beside one of this version, as during an upgrade, under load. Both serve the
// same objects, and a migration that one of them drives is continued by the other.
func testEarlierVersion(t *testing.T, fleet *localfleet.Fleet) {
	earlier := earlierProgram(t, fleet)
	config := hostConfig(t, fleet)
	replicas := leadsFrom(t, fleet, earlier)
	l := startLoad(t, config, "earlier")
	l.awaitMore(t, minRequests)
	clients := map[string]typed.MigrateInterface{}
	for name, p := range map[string]*localfleet.Process{"current": replicas.current, "earlier": replicas.earlier} {
		config, err := fleet.ServerConfig(p.Name())
		if err != nil {
			t.Fatal(err)
		}
		clients[name] = newMigrates(t, config)
	}

	for name, client := range clients {
		for other, watcher := range clients {
			checkSeen(t, "of the "+name+" version, watched by the "+other+" one", client, watcher)
		}
	}

	// The earlier one leads; then this one; then the earlier one again.
	through := newMigrates(t, config)
	handOver := func(name string, from, to *localfleet.Process, restart func()) {
		t.Helper()
		m := startMigration(t, through, name)
		kill(t, from)
		eventually(t, to.Name()+" to become the leader", func() bool { return isLeader(t, to) })
		m.await(t, v1alpha1.MigratePhaseCompleted)
		checkMigratedOnce(t, fleet, string(m.UID))
		restart()
		checkKept(t, m.Migrate, clients)
	}
	startEarlier := func() {
		if err := replicas.earlier.StartFrom(t.Context(), earlier); err != nil {
			t.Fatal(err)
		}
	}
	handOver("earlier-to-current", replicas.earlier, replicas.current, startEarlier)
	handOver("current-to-earlier", replicas.current, replicas.earlier, func() { start(t, replicas.current) })

	// The upgrade ends.
	kill(t, replicas.earlier)
	start(t, replicas.earlier)
	l.awaitMore(t, minRequests)
	t.Log(l.end(t))
}

// pair is a replica of each version.
type pair struct{ earlier, current *localfleet.Process }

// leadsFrom restarts the follower from an earlier program, and makes it the leader.
func leadsFrom(t *testing.T, fleet *localfleet.Fleet, program string) pair {
	t.Helper()
	leader, follower := leaderAndFollower(t, fleet)
	kill(t, follower)
	if err := follower.StartFrom(t.Context(), program); err != nil {
		t.Fatal(err)
	}
	kill(t, leader)
	eventually(t, "the earlier version to become the leader", func() bool { return isLeader(t, follower) })
	start(t, leader)
	return pair{earlier: follower, current: leader}
}

// earlierProgram returns the path of our server of an earlier commit.
func earlierProgram(t *testing.T, fleet *localfleet.Fleet) string {
	t.Helper()
	path := filepath.Join(fleet.BinDir(), "..", "earlier", "migrate-apiserver")
	if _, err := os.Stat(path); err != nil {
		// A copy without the history of the repository can't have it.
		localfleet.SkipByName(t, fmt.Errorf("the server of an earlier commit is missing (hack/earlier.sh _output/earlier): %w", err))
	}
	return path
}

// checkSeen checks that one replica sees by a watch and by a get what is created, changed and deleted by another, or by itself.
func checkSeen(t *testing.T, what string, writer, reader typed.MigrateInterface) {
	t.Helper()
	fail := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("a Migrate %s: %v", what, err)
		}
	}
	list, err := reader.List(t.Context(), metav1.ListOptions{})
	fail(err)
	watching, err := reader.Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.ResourceVersion, FieldSelector: "metadata.name=seen"})
	fail(err)
	defer watching.Stop()
	m := &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{Name: "seen"}}
	m.Spec.SourceCluster.Fleet, m.Spec.TargetCluster.Fleet = "nowhere", "nowhere"
	_, err = writer.Create(t.Context(), m, metav1.CreateOptions{})
	fail(err)
	patched, err := writer.Patch(t.Context(), "seen", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{})
	fail(err)
	read, err := reader.Get(t.Context(), "seen", metav1.GetOptions{})
	fail(err)
	if read.UID != patched.UID || read.Labels["a"] != "b" {
		t.Errorf("a Migrate %s: read %s with %v", what, read.UID, read.Labels)
	}
	fail(writer.Delete(t.Context(), "seen", metav1.DeleteOptions{}))
	var seen []watch.EventType
	for event := range watching.ResultChan() {
		if len(seen) == 0 || seen[len(seen)-1] != event.Type { // the driver records the status in between
			seen = append(seen, event.Type)
		}
		if event.Type == watch.Deleted || event.Type == watch.Error {
			break
		}
	}
	if diff := cmp.Diff([]watch.EventType{watch.Added, watch.Modified, watch.Deleted}, seen); diff != "" {
		t.Errorf("a Migrate %s (-want +seen)\n%s", what, diff)
	}
}

// checkKept changes a Migrate that has ended by each replica, and checks that both show the same and that its spec and status are kept.
func checkKept(t *testing.T, ended *v1alpha1.Migrate, clients map[string]typed.MigrateInterface) {
	t.Helper()
	for by, writer := range clients {
		if _, err := writer.Patch(t.Context(), ended.Name, types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"labels":{"changed-by":%q}}}`, by), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		for shown, reader := range clients {
			got, err := reader.Get(t.Context(), ended.Name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(ended.Spec, got.Spec) + cmp.Diff(ended.Status, got.Status); diff != "" {
				t.Errorf("%s, changed by %s, shown by %s (-ended +shown)\n%s", ended.Name, by, shown, diff)
			}
		}
	}
}
