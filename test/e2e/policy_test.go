// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

const ordered = `
apiVersion: v1
kind: Namespace
metadata: {name: ordered}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: first, namespace: ordered}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: second, namespace: ordered}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: third, namespace: ordered}
---
apiVersion: v1
kind: Secret
metadata: {name: first, namespace: ordered}
---
apiVersion: v1
kind: Secret
metadata: {name: second, namespace: ordered}
`

// TestOrderedResourcesOrderTheBackup reads the Backup's archive in the storage, since
// the order has no other lasting effect.
func TestOrderedResourcesOrderTheBackup(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "ordered")
	members[source].apply(t, ordered)
	m := migrateAndComplete(t, manifest("ordered", `
    resourceFilter: {includedNamespaces: [ordered]}
    orderedResources: {configmaps: "ordered/third,ordered/first", secrets: "ordered/second"}`, 2))
	backup := m.Status.SourceClusterStatus.BackupNameInCluster
	for resource, want := range map[string][]string{
		"configmaps": {"third", "first", "second"},
		"secrets":    {"second", "first"},
	} {
		if got := backupOrder(t, backup, resource, "ordered"); !slices.Equal(got, want) {
			t.Errorf("the %s were backed up in the order %q, want %q", resource, got, want)
		}
	}
	if got := len(members[2].restored(t, m.Status.TargetClusterStatus[0].RestoreNameInCluster)); got != 5 {
		t.Errorf("%d objects were restored, want 5", got)
	}
}

// backupOrder lists the objects of one resource and namespace in their order in a
// Backup's archive in the bucket.
func backupOrder(t *testing.T, backup, resource, namespace string) []string {
	t.Helper()
	file, err := os.Open(filepath.Join(fleet.Bucket(), "backups", backup, backup+".tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for archive := tar.NewReader(unzipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		folder, name := path.Split(header.Name)
		if folder == "resources/"+resource+"/namespaces/"+namespace+"/" && name != "kube-root-ca.crt.json" {
			found = append(found, strings.TrimSuffix(name, ".json"))
		}
	}
}

// A Service with a node port that its cluster assigns, and two objects with a status
// that no controller of the fleet writes.
const kept = `
apiVersion: v1
kind: Namespace
metadata: {name: kept}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: kept}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: balanced, namespace: kept}
spec: {type: LoadBalancer, allocateLoadBalancerNodePorts: false, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: kept}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}
`

// TestNodePortsAndStatus migrates the same objects with different values of
// preserveNodePorts and migrateStatus. In kurator-member3 another Service has the node
// port already, so that Velero must choose another one.
func TestNodePortsAndStatus(t *testing.T) {
	needsFleet(t)
	t.Parallel()
	ensureAbsent(t, "kept", "taken", "kept-nothing", "kept-ingress", "kept-but-services", "kept-all")
	members[source].apply(t, kept)
	const balancer = `{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.7"}]}}}`
	members[source].kubectl(t, "patch", "service/balanced", "ingress/web", "--namespace=kept", "--subresource=status", "--type=merge", "--patch="+balancer)
	nodePort := members[source].nodePort(t, "kept")
	members[3].apply(t, `
apiVersion: v1
kind: Namespace
metadata: {name: taken}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: taken}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, nodePort: `+nodePort+`}]}
`)
	for _, c := range []struct {
		name, policy             string
		target                   int
		nodePortKept             bool
		serviceAddr, ingressAddr string
	}{
		{"kept-nothing", ``, 3, false, "", ""},
		{"kept-ingress", `preserveNodePorts: false, migrateStatus: {includedResources: [ingresses]}`, 3, false, "", "192.0.2.7"},
		{"kept-but-services", `preserveNodePorts: true, migrateStatus: {includedResources: ["*"], excludedResources: [services]}`, 2, true, "", "192.0.2.7"},
		{"kept-all", `preserveNodePorts: true, migrateStatus: {includedResources: ["*"]}`, 4, true, "192.0.2.7", "192.0.2.7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			migrateAndComplete(t, manifest(c.name, fmt.Sprintf(
				"{resourceFilter: {includedNamespaces: [kept]}, namespaceMapping: {kept: %s}, %s}", c.name, c.policy), c.target))
			target := members[c.target]
			if got := target.nodePort(t, c.name); (got == nodePort) != c.nodePortKept {
				t.Errorf("the node port is %s in the source and %s in the target", nodePort, got)
			}
			const address = "--output=jsonpath={.status.loadBalancer.ingress[0].ip}"
			if got := target.kubectl(t, "get", "service/balanced", "--namespace="+c.name, address); got != c.serviceAddr {
				t.Errorf("the Service's status has address %q, want %q", got, c.serviceAddr)
			}
			if got := target.kubectl(t, "get", "ingress/web", "--namespace="+c.name, address); got != c.ingressAddr {
				t.Errorf("the Ingress's status has address %q, want %q", got, c.ingressAddr)
			}
		})
	}
}

// nodePort returns the node port of Service web in a namespace.
func (c *cluster) nodePort(t *testing.T, namespace string) string {
	t.Helper()
	return c.kubectl(t, "get", "service/web", "--namespace="+namespace, "--output=jsonpath={.spec.ports[0].nodePort}")
}

// TestExistingResourcePolicy migrates a ConfigMap that the target has with other data.
func TestExistingResourcePolicy(t *testing.T) {
	needsFleet(t)
	t.Parallel()
	for policy, want := range map[string]string{"": "old", "existingResourcePolicy: none, ": "old", "existingResourcePolicy: update, ": "new"} {
		end := v1alpha1.MigratePhaseCompleted
		if policy == "" {
			end = v1alpha1.MigratePhasePartiallyFailed
		}
		ensureAbsent(t, "existing")
		for n, mode := range map[int]string{source: "new", 2: "old"} {
			members[n].apply(t, `
apiVersion: v1
kind: Namespace
metadata: {name: existing}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: existing}
data: {mode: `+mode+`}
`)
		}
		m := migrate(t, manifest("existing", "{"+policy+"resourceFilter: {includedNamespaces: [existing]}}", 2)).awaitEnd(t, end)
		if message := m.Status.TargetClusterStatus[0].Message; strings.Contains(message, "settings") != (want == "old") {
			t.Errorf("with policy %q the message of the target is %q", policy, message)
		}
		if got := members[2].configMap(t, "existing", "settings")["mode"]; got != want {
			t.Errorf("with policy %q the target has %q, want %q", policy, got, want)
		}
	}
}

// TestStorageClassMapping migrates claims of two StorageClasses, of which one is mapped, and a StatefulSet
// with templates of both.
func TestStorageClassMapping(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "classes")
	claim := func(class string) string {
		return `{accessModes: [ReadWriteOnce], storageClassName: ` + class + `, resources: {requests: {storage: 1Gi}}}`
	}
	members[source].apply(t, `
apiVersion: v1
kind: Namespace
metadata: {name: classes}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: a, namespace: classes}
spec: `+claim("fast")+`
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: b, namespace: classes}
spec: `+claim("other")+`
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: classes}
spec:
  replicas: 0
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: main, image: localhost/none}]}
  volumeClaimTemplates:
  - {metadata: {name: one}, spec: `+claim("other")+`}
  - {metadata: {name: two}, spec: `+claim("fast")+`}
`)
	classes := manifestFile(t, `
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: fast}
provisioner: example.com/none
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: slow}
provisioner: example.com/none
`)
	members[2].kubectl(t, "delete", "--filename="+classes, "--ignore-not-found")
	waiting := migrate(t, manifest("classes", `{volumes: {storageClassMapping: {fast: slow, slow: fast}}, resourceFilter: {includedNamespaces: [classes]}}`, 2))
	waiting.await(t, "the missing classes", func(m *v1alpha1.Migrate) bool {
		target := m.Status.TargetClusterStatus
		return len(target) == 1 && target[0].Reason == v1alpha1.ReasonStorageClassNotFound && strings.Contains(target[0].Message, "do not exist in kurator-member2: fast, slow.")
	})
	members[2].kubectl(t, "create", "--filename="+classes)
	m := waiting.awaitCompleted(t)
	got := members[2].kubectl(t, "get", "persistentvolumeclaims,statefulsets", "--namespace=classes",
		"--output=jsonpath={.items[*].spec.storageClassName} {.items[*].spec.volumeClaimTemplates[*].spec.storageClassName}")
	if want := "slow other other slow"; got != want {
		t.Errorf("the classes in the target are %q, want %q", got, want)
	}
	restore := members[2].restores(t, m.UID)[0]
	owner := members[2].kubectl(t, "get", "configmap/"+restore.Spec.ResourceModifier.Name, "--namespace="+veleroNamespace,
		"--output=jsonpath={.metadata.ownerReferences[0].uid} {.metadata.labels}")
	backup := members[2].backups(t, m.UID)[0]
	if want := fmt.Sprintf(`%s {"backup.kurator.dev/migrate-uid":"%s"}`, backup.UID, m.UID); owner != want {
		t.Errorf("the ConfigMap has the owner and labels %s, want %s", owner, want)
	}
}

// TestMissingNodeAgent asks for a file-system backup in clusters without nodes.
func TestMissingNodeAgent(t *testing.T) {
	needsFleet(t)
	m := migrate(t, manifest("agentless", `{volumes: {data: FileSystemBackup}, resourceFilter: {includedNamespaces: [agentless]}}`, 2))
	m.await(t, "the missing node-agent", func(m *v1alpha1.Migrate) bool {
		return condition(m, v1alpha1.ConditionReady).Reason == v1alpha1.ReasonNodeAgentNotReady
	})
	m.delete(t)
}

// TestStorageLocation migrates by another storage location than the default one, which has another name in
// the target.
func TestStorageLocation(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "archived")
	members[source].apply(t, settings("archived"))
	m := migrate(t, manifest("archived", "{storageLocation: archive, resourceFilter: {includedNamespaces: [archived]}}", 2))
	m.await(t, "that the location is missing", func(m *v1alpha1.Migrate) bool {
		return m.Status.SourceClusterStatus != nil && m.Status.SourceClusterStatus.Reason == v1alpha1.ReasonStorageNotConfigured
	})
	if err := os.MkdirAll(filepath.Join(filepath.Dir(fleet.Bucket()), "archive"), 0o700); err != nil {
		t.Fatal(err)
	}
	for n, name := range map[int]string{2: "archive-of-member1", source: "archive"} {
		locations := members[n].dynamic.Resource(locationResource).Namespace(veleroNamespace)
		location, err := locations.Get(t.Context(), "default", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		archive := &unstructured.Unstructured{Object: map[string]any{"spec": location.Object["spec"]}}
		archive.SetGroupVersionKind(location.GroupVersionKind())
		archive.SetName(name)
		unstructured.RemoveNestedField(archive.Object, "spec", "default")
		if err := unstructured.SetNestedField(archive.Object, "archive", "spec", "objectStorage", "bucket"); err != nil {
			t.Fatal(err)
		}
		if _, err := locations.Create(t.Context(), archive, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		defer members[n].kubectl(t, "delete", "backupstoragelocation", name, "--namespace="+veleroNamespace)
	}
	done := m.awaitCompleted(t)
	if got := members[source].backups(t, done.UID)[0].Spec.StorageLocation; got != "archive" {
		t.Errorf("the Backup is stored in %q", got)
	}
	if got := members[2].backups(t, done.UID)[0].Spec.StorageLocation; got != "archive-of-member1" {
		t.Errorf("the target has the Backup in %q", got)
	}
	if members[2].configMap(t, "archived", "settings")["greeting"] != "hello" {
		t.Error("the ConfigMap did not arrive")
	}
}
