// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package nodes

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/wait"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

const (
	source = 1
	target = 2
)

// TestStatefulSetIsMigratedWithItsData migrates a volume whose files are backed up because of an
// annotation of the pod, with a filter of namespaces and with one that lists the resources of
// the application but not its PersistentVolume, and because of the policy.
func TestStatefulSetIsMigratedWithItsData(t *testing.T) {
	localfleet.NeedsNodes(t)
	kubectl(t, source, "apply", "--filename=../localfleet/cmd/shop/shop.yaml")
	before := served(t, source)
	for _, tt := range []struct {
		name, policy string
		annotation   string
	}{
		{"namespace", `{"resourceFilter": {"includedNamespaces": ["shop"]}}`, `"data"`},
		{"listed resources", `{"resourceFilter": {"includedNamespaces": ["shop"], "includedResources": ["sts", "pods", "pvc"]}}`, `"data"`},
		{"policy", `{"resourceFilter": {"includedNamespaces": ["shop"]}, "volumes": {"data": "FileSystemBackup"}}`, `null`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			kubectl(t, source, "patch", "statefulset/shop", "--namespace=shop", "--type=merge",
				`--patch={"spec": {"template": {"metadata": {"annotations": {"backup.velero.io/backup-volumes": `+tt.annotation+`}}}}}`)
			served(t, source) // when the pod has the annotation, or has it no more
			kubectl(t, 0, "delete", "migrate", "shop", "--ignore-not-found")
			kubectl(t, target, "delete", "namespace", "shop", "--ignore-not-found")
			create(t, kubectl(t, 0, "patch", "--local", "--filename=../../artifacts/examples/migrate-stateful.yaml", "--type=merge",
				`--patch={"spec": {"policy": `+tt.policy+`}}`, "--output=yaml"))
			kubectl(t, 0, "wait", "migrate/shop", "--for=jsonpath={.status.phase}=Completed", "--timeout=5m")
			if after := served(t, target); after != before {
				t.Errorf("the application serves %q in the source and %q in the target", before, after)
			}
		})
	}
}

// TestApplicationIsRetried migrates a StatefulSet and a Deployment to a target that refuses an item, and retries. The volumes whose
// data the first attempt has moved have it, and it is not written again for a pod that was replaced; the claim that the StatefulSet
// makes anew has none.
func TestApplicationIsRetried(t *testing.T) {
	localfleet.NeedsNodes(t)
	kubectl(t, 0, "delete", "migrate", "shop", "--ignore-not-found")
	kubectl(t, target, "delete", "namespace", "shop", "--ignore-not-found")
	kubectl(t, source, "apply", "--filename=../localfleet/cmd/shop/shop.yaml")
	kubectl(t, source, "apply", "--filename="+file(t, refusedAndDeployed))
	defer kubectl(t, source, "delete", "--filename="+file(t, refusedAndDeployed))
	kubectl(t, source, "rollout", "status", "deployment/deployed", "--namespace=shop", "--timeout=5m")
	before := served(t, source)
	kubectl(t, target, "apply", "--filename="+file(t, refusal))
	defer kubectl(t, target, "delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", "refused", "--ignore-not-found")
	refuses := func(want bool) {
		t.Helper()
		if err := wait.PollUntilContextTimeout(t.Context(), time.Second/10, 5*time.Minute, true, func(ctx context.Context) (bool, error) {
			_, err := fleet.Kubectl(ctx, fleet.MemberKubeconfig(target), "create", "configmap", "refused", "--dry-run=server")
			return (err != nil) == want, nil
		}); err != nil {
			t.Fatalf("the target refuses the item: not %t: %v", want, err)
		}
	}
	refuses(true)
	create(t, kubectl(t, 0, "patch", "--local", "--filename=../../artifacts/examples/migrate-stateful.yaml", "--type=merge",
		`--patch={"spec": {"waitForWorkloads": {"timeoutSeconds": 60}, "policy": {"resourceFilter": {"includedNamespaces": ["shop"]}, "volumes": {"data": "FileSystemBackup"}}}}`, "--output=yaml"))
	ended := func(phase v1alpha1.MigratePhase, attempt int32, moved int64, exceptions ...string) {
		t.Helper()
		kubectl(t, 0, "wait", "migrate/shop", "--for=jsonpath={.status.phase}="+string(phase), "--timeout=5m")
		var m v1alpha1.Migrate
		if err := json.Unmarshal([]byte(kubectl(t, 0, "get", "migrate", "shop", "--output=json")), &m); err != nil {
			t.Fatal(err)
		}
		var got []string
		status := m.Status.TargetClusterStatus[0]
		for _, x := range status.Exceptions {
			got = append(got, fmt.Sprintf("%s %s %s", x.Resource, x.Name, x.Outcome))
		}
		if d := cmp.Diff(exceptions, got); d != "" || m.Status.Attempt() != attempt || status.Volumes.Total != 2 || status.Volumes.Moved != moved {
			t.Errorf("attempt %d, volumes %+v: %s\n%s", m.Status.Attempt(), status.Volumes, status.Message, d)
		}
	}
	options := file(t, `{"apiVersion": "backup.kurator.dev/v1alpha1", "kind": "MigrateRetryOptions"}`)
	retry := func() {
		t.Helper()
		kubectl(t, 0, "create", "--raw=/apis/backup.kurator.dev/v1alpha1/namespaces/default/migrates/shop/retry", "--filename="+options)
	}
	ended(v1alpha1.MigratePhasePartiallyFailed, 1, 2, "ConfigMap refused Failed")
	if after := served(t, target); after != before {
		t.Errorf("the application serves %q in the source and %q in the target", before, after)
	}
	kubectl(t, target, "rollout", "status", "deployment/deployed", "--namespace=shop", "--timeout=5m")
	kubectl(t, target, "delete", "pods", "--namespace=shop", "--selector=app=deployed")
	kubectl(t, target, "rollout", "status", "deployment/deployed", "--namespace=shop", "--timeout=5m")
	retry()
	ended(v1alpha1.MigratePhasePartiallyFailed, 2, 2, "ConfigMap refused Failed")

	kubectl(t, target, "scale", "statefulset/shop", "--namespace=shop", "--replicas=0")
	kubectl(t, target, "delete", "persistentvolumeclaim", "data-shop-0", "--namespace=shop", "--timeout=5m")
	kubectl(t, target, "scale", "statefulset/shop", "--namespace=shop", "--replicas=1")
	kubectl(t, target, "wait", "--for=create", "persistentvolumeclaim/data-shop-0", "--namespace=shop", "--timeout=5m")
	retry()
	ended(v1alpha1.MigratePhasePartiallyFailed, 3, 1, "ConfigMap refused Failed", "PersistentVolumeClaim data-shop-0 WithoutData", "PersistentVolumeClaim data-shop-0 Kept")

	kubectl(t, target, "delete", "namespace", "shop")
	kubectl(t, target, "delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", "refused")
	kubectl(t, target, "create", "namespace", "shop")
	refuses(false)
	retry()
	ended(v1alpha1.MigratePhaseCompleted, 4, 2)
	if after := served(t, target); after != before {
		t.Errorf("after the last attempt the application serves %q in the source and %q in the target", before, after)
	}
}

const refusedAndDeployed = `
apiVersion: v1
kind: ConfigMap
metadata: {name: refused, namespace: shop}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: deployed, namespace: shop}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: deployed, namespace: shop}
spec:
  selector: {matchLabels: {app: deployed}}
  template:
    metadata: {labels: {app: deployed}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: localhost/shop:1
        args: [--listen=127.0.0.1:8094, --fill=100000]
        readinessProbe: {tcpSocket: {host: 127.0.0.1, port: 8094}, periodSeconds: 1}
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: deployed}}]
`

const refusal = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: refused}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]}
  validations: [{expression: object.metadata.name != 'refused', message: not here}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: refused}
spec: {policyName: refused, validationActions: [Deny]}
`

// create creates an object in the host.
func create(t *testing.T, manifest string) {
	t.Helper()
	kubectl(t, 0, "create", "--filename="+file(t, manifest))
}

// file writes a manifest to a file and returns its path.
func file(t *testing.T, manifest string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "manifest.yaml")
	if err := os.WriteFile(path, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// served waits until the application of shop.yaml is ready in the nth member and returns
// what it serves: the size of its data and their SHA-256.
func served(t *testing.T, n int) string {
	t.Helper()
	kubectl(t, n, "rollout", "status", "statefulset/shop", "--namespace=shop", "--timeout=5m")
	answer, err := fleet.GetFromPod(t.Context(), n, "shop", "shop-0", 8080)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}
