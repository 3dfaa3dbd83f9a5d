// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

const (
	// controllerUser is the user of Kurator's fleet-manager, and controllerFinalizer its finalizer.
	controllerUser      = "system:serviceaccount:kurator-system:kurator-fleet-manager"
	controllerFinalizer = "backup.kurator.dev"
	registered          = "v1alpha1.backup.kurator.dev"
	patience            = 90 * time.Second
)

var groupVersion = schema.GroupVersion{Group: "backup.kurator.dev", Version: "v1alpha1"}

// TestWithKurator installs the server beside Kurator, and removes it again: the definitions of Kurator's kinds, with objects, are
// there before and afterwards, and a controller that watches all three kinds goes on.
func TestWithKurator(t *testing.T) {
	k := newKuratorHost(t)

	// Kurator alone.
	k.create("backups", "nightly", map[string]any{"schedule": "0 3 * * *", "destination": map[string]any{"fleet": "quickstart"}, "policy": map[string]any{"ttl": "720h0m0s"}})
	k.create("restores", "back", map[string]any{"backupName": "nightly"})
	clusters := func(names ...string) map[string]any {
		var refs []any
		for _, name := range names {
			refs = append(refs, map[string]any{"kind": "AttachedCluster", "name": name})
		}
		return map[string]any{"fleet": "quickstart", "clusters": refs}
	}
	migration := map[string]any{"sourceCluster": clusters("kurator-member1"), "targetCluster": clusters("kurator-member2")}
	for _, name := range []string{"done", "running", "waiting"} {
		k.create("migrates", name, migration)
	}
	k.setStatus("migrates", "done", map[string]any{
		"phase":               "Completed",
		"conditions":          []any{map[string]any{"type": "sourceReady", "status": "True", "lastTransitionTime": "2025-09-01T10:00:00Z"}},
		"sourceClusterStatus": map[string]any{"clusterName": "kurator-member1", "clusterKind": "AttachedCluster", "backupNameInCluster": "kurator-member1-migrate-default-done", "backupStatusInCluster": map[string]any{"phase": "Completed"}},
		"targetClusterStatus": []any{map[string]any{"clusterName": "kurator-member2", "clusterKind": "AttachedCluster", "restoreNameInCluster": "kurator-member2-migrate-default-done", "restoreStatusInCluster": map[string]any{"phase": "Completed", "warnings": int64(2)}}},
	})
	k.setStatus("migrates", "running", map[string]any{"phase": "RestoreInProgress"})
	before := k.startController("backups/nightly", "restores/back", "migrates/done", "migrates/running", "migrates/waiting")
	k.await("the controller's status", func() error { return k.hasPhase("backups", "nightly", "Reconciled") })
	before.stop()
	wasUID, wasCreated := k.get("backups", "nightly").GetUID(), k.get("backups", "nightly").GetCreationTimestamp()

	// Import, before the group version is switched. The server has logged that it is not.
	output, err := k.run("import")
	k.expect(output, err, "2 of 5 objects were not transferred", "default", "backups/nightly", "Created", "migrates/done", "migrates/running",
		"it is not finished, Kurator reports RestoreInProgress", "Kurator reports no phase")
	again, _ := k.run("import")
	if n := strings.Count(again, "Unchanged"); n != 3 || strings.Contains(again, "Created") {
		t.Errorf("a second import is not unchanged:\n%s", again)
	}
	k.await("the server's log", func() error {
		content, err := os.ReadFile(filepath.Join(k.fleet.Dir(), "logs", "migrate-apiserver.log"))
		if err == nil && !strings.Contains(string(content), "still serves the group version by CustomResourceDefinitions") {
			err = fmt.Errorf("it does not say that the definitions still serve the group version")
		}
		return err
	})

	k.kubectl("apply", "--server-side", "--force-conflicts", "--filename="+k.registration)
	k.kubectl("wait", "apiservice/"+registered, "--for=condition=Available", "--timeout=60s")
	k.await("the imported Backup", func() error { return k.hasPhase("backups", "nightly", "Reconciled") })
	imported := k.get("backups", "nightly")
	if imported.GetUID() != wasUID || !imported.GetCreationTimestamp().Time.Equal(wasCreated.Time) || !slices.Contains(imported.GetFinalizers(), controllerFinalizer) {
		t.Errorf("the imported Backup is another one: %v", imported.Object)
	}
	if got := k.kubectl("get", "backups,restores,migrates"); !strings.Contains(got, "0 3 * * *") || !strings.Contains(got, "Completed") {
		t.Errorf("kubectl get:\n%s", got)
	}
	ready := k.kubectl("get", "migrate/done", "--output=jsonpath={.status.conditions[?(@.type=='Ready')]}")
	if !strings.Contains(ready, "ImportedFromKurator") || !strings.Contains(ready, "was not checked") {
		t.Errorf("Ready of the imported Migrate: %s", ready)
	}
	if output, err := k.run("import"); err == nil || !strings.Contains(output, "kubectl delete apiservice "+registered) {
		t.Errorf("an import from this server: %v\n%s", err, output)
	}

	// At work: the controller has its kinds, and no Migrates. A definition's status is written as before.
	during := k.startController("backups/nightly", "restores/back")
	k.create("backups", "adhoc", map[string]any{"destination": map[string]any{"fleet": "quickstart"}})
	k.await("the controller's status", func() error { return k.hasPhase("backups", "adhoc", "Reconciled") })
	k.kubectl("apply", "--server-side", "--filename=testdata/applied.yaml")
	k.await("the controller's status", func() error { return k.hasPhase("backups", "applied", "Reconciled") })
	if got := k.get("backups", "applied"); got.GetGeneration() != 1 {
		t.Errorf("writing the status changed the generation: %d", got.GetGeneration())
	}
	k.kubectl("delete", "backup/nightly", "--timeout=60s") // the controller removes its finalizer
	k.kubectl("apply", "--filename=../../artifacts/examples/migrate-select-labels.yaml")
	k.kubectl("wait", "migrate/select-labels", "--for=condition=Ready", "--timeout=60s")
	if seen := during.migrates(); len(seen) > 0 {
		t.Errorf("Kurator's controller sees the Migrates %v", seen)
	}
	for manifest, want := range map[string]string{
		"{apiVersion: backup.kurator.dev/v1alpha1, kind: Backup, metadata: {name: bad, namespace: default}, spec: {destination: {}}}": "spec.destination.fleet: Required value",
		"{apiVersion: backup.kurator.dev/v1alpha1, kind: Restore, metadata: {name: bad, namespace: default}, spec: {}}":               "spec.backupName: Required value",
		"{apiVersion: backup.kurator.dev/v1alpha1, kind: Backup, metadata: {name: bad, namespace: default}, spec: {other: 1}}":        "unknown field",
	} {
		file := filepath.Join(t.TempDir(), "bad.yaml")
		if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := k.fleet.Kubectl(t.Context(), k.fleet.HostKubeconfig(), "apply", "--filename="+file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", manifest, err, want)
		}
	}
	during.stop()

	// Everything into a file, from which another server could take it.
	file := filepath.Join(t.TempDir(), "export.yaml")
	output, err = k.run("export", "--filename="+file)
	k.expect(output, err, "", "Wrote 5 objects")
	output, err = k.run("import", "--filename="+file)
	k.expect(output, err, "")
	if n := strings.Count(output, "Unchanged"); n != 5 {
		t.Errorf("the import of an export changes something:\n%s", output)
	}

	// The way back.
	k.kubectl("delete", "apiservice", registered)
	k.await("the definitions", func() error { return k.hasPhase("backups", "nightly", "Reconciled") })
	k.kubectl("apply", "--filename=../../artifacts/kurator/export.yaml")
	output, err = k.run("export")
	k.expect(output, err, "4 of 8 objects were not transferred", "backups/adhoc", "backups/applied", "Created",
		"if it was deleted there since the import, delete it on the host too", "Kurator goes on with it, unless you delete it", "Kurator would migrate it again")
	if output, _ := k.run("export"); !strings.Contains(output, "4 of 8 objects were not transferred") || strings.Contains(output, "Created") || strings.Contains(output, "Updated") {
		t.Errorf("a second export changes something:\n%s", output)
	}
	k.kubectl("delete", "backup/nightly", "--wait=false")
	after := k.startController("backups/adhoc", "backups/applied", "restores/back", "migrates/done")
	k.await("the deleted Backup", func() error {
		if _, err := k.client("backups").Get(t.Context(), "nightly", metav1.GetOptions{}); err == nil {
			return fmt.Errorf("it is still there")
		}
		return nil
	})
	if got := k.get("backups", "adhoc"); !slices.Contains(got.GetFinalizers(), controllerFinalizer) || len(got.GetAnnotations()) > 0 {
		t.Errorf("the exported Backup: %v", got.Object)
	}
	after.stop()
	// What was exported is known when it is imported again.
	if output, _ := k.run("import"); !strings.Contains(output, "2 of 6 objects were not transferred") || strings.Contains(output, "Created") || strings.Contains(output, "Updated") {
		t.Errorf("an import after the export:\n%s", output)
	}
}

// kuratorHost is a host with the definitions of Kurator, and with our server installed but not aggregated.
type kuratorHost struct {
	t            *testing.T
	fleet        *localfleet.Fleet
	host         dynamic.Interface
	registration string
}

func newKuratorHost(t *testing.T) *kuratorHost {
	t.Helper()
	fleet := localfleet.UpForTest(t, localfleet.Options{Members: 2, ServerFlags: []string{"--kurator-compatibility"}})
	config, err := fleet.HostConfig()
	if err != nil {
		t.Fatal(err)
	}
	host, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	k := &kuratorHost{t: t, fleet: fleet, host: host, registration: filepath.Join(t.TempDir(), "apiservice.yaml")}
	if _, err := fleet.Kubectl(t.Context(), fleet.MemberKubeconfig(1), "apply", "--filename=../localfleet/cmd/localfleet/app.yaml"); err != nil {
		t.Fatal(err)
	}
	k.kubectl("apply", "--filename=../../artifacts/deploy/components/kurator/rbac.yaml")
	k.kubectl("create", "clusterrolebinding", "kurator", "--clusterrole=cluster-admin", "--user="+controllerUser)

	object := k.object(schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}, registered)
	delete(object.Object, "status")
	object.SetResourceVersion("")
	object.SetUID("")
	object.SetManagedFields(nil)
	content, err := object.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(k.registration, content, 0o600); err != nil {
		t.Fatal(err)
	}
	k.kubectl("delete", "apiservice", registered)
	k.kubectl("apply", "--filename=testdata/kurator-crds.yaml")
	k.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd/backups.backup.kurator.dev", "crd/restores.backup.kurator.dev", "crd/migrates.backup.kurator.dev")
	k.kubectl("wait", "apiservice/"+registered, "--for=condition=Available", "--timeout=60s")
	return k
}

func (k *kuratorHost) kubectl(args ...string) string {
	k.t.Helper()
	output, err := k.fleet.Kubectl(k.t.Context(), k.fleet.HostKubeconfig(), args...)
	if err != nil {
		k.t.Fatal(err)
	}
	return output
}

// run runs the server's program as a person in its pod would.
func (k *kuratorHost) run(command string, args ...string) (string, error) {
	program := exec.CommandContext(k.t.Context(), localfleet.ServerProgram(k.fleet.BinDir()),
		append([]string{command, "--data-dir=" + k.fleet.EtcdDir(), "--kubeconfig=" + k.fleet.ServerKubeconfig()}, args...)...)
	output, err := program.CombinedOutput()
	k.t.Logf("migrate-apiserver %s: %v\n%s", command, err, output)
	return string(output), err
}

// expect checks an output that has some texts, and an error, if failure is not empty, that it explains.
func (k *kuratorHost) expect(output string, err error, failure string, texts ...string) {
	k.t.Helper()
	if (err != nil) != (failure != "") {
		k.t.Fatalf("got %v, want failure %q\n%s", err, failure, output)
	}
	for _, text := range append(texts, failure) {
		if !strings.Contains(output, text) {
			k.t.Errorf("the output lacks %q:\n%s", text, output)
		}
	}
}

func (k *kuratorHost) client(resource string) dynamic.ResourceInterface {
	return k.host.Resource(groupVersion.WithResource(resource)).Namespace("default")
}

func (k *kuratorHost) get(resource, name string) *unstructured.Unstructured {
	k.t.Helper()
	got, err := k.client(resource).Get(k.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		k.t.Fatal(err)
	}
	return got
}

func (k *kuratorHost) object(resource schema.GroupVersionResource, name string) *unstructured.Unstructured {
	k.t.Helper()
	got, err := k.host.Resource(resource).Get(k.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		k.t.Fatal(err)
	}
	return got
}

func (k *kuratorHost) create(resource, name string, spec map[string]any) {
	k.t.Helper()
	kind := strings.ToUpper(resource[:1]) + strings.TrimSuffix(resource[1:], "s")
	obj := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	obj.SetAPIVersion(groupVersion.String())
	obj.SetKind(kind)
	obj.SetName(name)
	if _, err := k.client(resource).Create(k.t.Context(), obj, metav1.CreateOptions{}); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kuratorHost) setStatus(resource, name string, status map[string]any) {
	k.t.Helper()
	obj := k.get(resource, name)
	obj.Object["status"] = status
	if _, err := k.client(resource).UpdateStatus(k.t.Context(), obj, metav1.UpdateOptions{}); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kuratorHost) hasPhase(resource, name, want string) error {
	got, err := k.client(resource).Get(k.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if phase, _, _ := unstructured.NestedString(got.Object, "status", "phase"); phase != want {
		return fmt.Errorf("%s %s: phase %q, want %s", resource, name, phase, want)
	}
	return nil
}

func (k *kuratorHost) await(what string, check func() error) {
	k.t.Helper()
	var last error
	if err := wait.PollUntilContextTimeout(k.t.Context(), 100*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		last = check()
		return last == nil, nil
	}); err != nil {
		k.t.Fatalf("%s: %v", what, last)
	}
}

// controller behaves as the manager of Kurator's fleet-manager: it watches all three kinds and ends if it can't. It sets a
// finalizer and a phase on its Backups.
type controller struct {
	t      *testing.T
	client dynamic.Interface
	stop   func()

	mutex sync.Mutex
	seen  map[string]bool
}

// startController starts a controller, and returns once its informers have synced and have these objects.
func (k *kuratorHost) startController(wanted ...string) *controller {
	k.t.Helper()
	config, err := k.fleet.HostConfig()
	if err != nil {
		k.t.Fatal(err)
	}
	config.Impersonate = rest.ImpersonationConfig{UserName: controllerUser}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		k.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(k.t.Context())
	c := &controller{t: k.t, client: client, seen: map[string]bool{}}
	factory := dynamicinformer.NewDynamicSharedInformerFactory(client, 0)
	for _, resource := range []string{"backups", "restores", "migrates"} {
		informer := factory.ForResource(groupVersion.WithResource(resource)).Informer()
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { c.reconcile(ctx, resource, obj) },
			UpdateFunc: func(_, obj any) { c.reconcile(ctx, resource, obj) },
		}); err != nil {
			k.t.Fatal(err)
		}
	}
	factory.Start(ctx.Done())
	c.stop = func() { cancel(); factory.Shutdown() }
	k.t.Cleanup(c.stop)
	// As controller-runtime waits for its caches.
	synced, cancelSync := context.WithTimeout(ctx, patience)
	defer cancelSync()
	for resource, ok := range factory.WaitForCacheSync(synced.Done()) {
		if !ok {
			k.t.Fatalf("the cache of %s has not synced", resource)
		}
	}
	k.await("the controller's objects", func() error {
		c.mutex.Lock()
		defer c.mutex.Unlock()
		for _, name := range wanted {
			if !c.seen[name] {
				return fmt.Errorf("it lacks %s, it has %v", name, slices.Sorted(maps.Keys(c.seen)))
			}
		}
		return nil
	})
	return c
}

func (c *controller) migrates() []string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	var names []string
	for name := range c.seen {
		if strings.HasPrefix(name, "migrates/") {
			names = append(names, name)
		}
	}
	return names
}

// reconcile patches as Cluster API's helper does, which Kurator uses.
func (c *controller) reconcile(ctx context.Context, resource string, obj any) {
	u := obj.(*unstructured.Unstructured)
	c.mutex.Lock()
	c.seen[resource+"/"+u.GetName()] = true
	c.mutex.Unlock()
	if resource != "backups" {
		return
	}
	client := c.client.Resource(groupVersion.WithResource(resource)).Namespace(u.GetNamespace())
	patch := func(body string, subresources ...string) {
		if _, err := client.Patch(ctx, u.GetName(), "application/merge-patch+json", []byte(body), metav1.PatchOptions{}, subresources...); err != nil && ctx.Err() == nil {
			c.t.Logf("controller: %s: %v", u.GetName(), err)
		}
	}
	phase, _, _ := unstructured.NestedString(u.Object, "status", "phase")
	switch {
	case u.GetDeletionTimestamp() != nil:
		patch(`{"metadata": {"finalizers": null}}`)
	case !slices.Contains(u.GetFinalizers(), controllerFinalizer):
		patch(`{"metadata": {"finalizers": ["` + controllerFinalizer + `"]}}`)
	case phase == "":
		patch(`{"status": {"phase": "Reconciled"}}`, "status")
	}
}
