// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kurator.dev/migrate-apiserver/pkg/velero"
)

const podSpec = `{
	"serviceAccountName": "runner", "priorityClassName": "high", "runtimeClassName": "kata", "imagePullSecrets": [{"name": "pull"}],
	"volumes": [
		{"configMap": {"name": "volume"}}, {"configMap": {"name": "kube-root-ca.crt"}}, {"secret": {"secretName": "volume", "optional": false}},
		{"secret": {"secretName": "optional", "optional": true}}, {"persistentVolumeClaim": {"claimName": "data"}}, {"emptyDir": {}},
		{"projected": {"sources": [{"configMap": {"name": "projected"}}, {"secret": {"name": "projected"}}, {"serviceAccountToken": {}}]}}],
	"initContainers": [{"envFrom": [{"configMapRef": {"name": "init"}}]}],
	"containers": [{"env": [{"value": "x"}, {"valueFrom": {"secretKeyRef": {"name": "env", "key": "k"}}}, {"valueFrom": {"configMapKeyRef": {"name": "maybe", "optional": true}}}],
		"envFrom": [{"secretRef": {"name": "env-from"}}]}]}`

var references = []string{
	"ServiceAccount app/runner", "Secret app/pull", "PriorityClass /high", "RuntimeClass /kata", "ConfigMap app/volume", "Secret app/volume",
	"PersistentVolumeClaim app/data", "ConfigMap app/projected", "Secret app/projected", "ConfigMap app/init", "Secret app/env-from", "Secret app/env",
}

func TestReferences(t *testing.T) {
	for name, tt := range map[string]struct {
		resource velero.Resource
		object   string
		want     []string
	}{
		"Pod":        {velero.Resource{Name: "pods"}, `{"spec":` + podSpec + `}`, references},
		"Deployment": {velero.Resource{Group: "apps", Name: "deployments"}, `{"spec":{"template":{"spec":` + podSpec + `}}}`, references},
		"CronJob":    {velero.Resource{Group: "batch", Name: "cronjobs"}, `{"spec":{"jobTemplate":{"spec":{"template":{"spec":` + podSpec + `}}}}}`, references},
		"default":    {velero.Resource{Name: "pods"}, `{"spec":{"serviceAccountName":"default","priorityClassName":"system-node-critical"}}`, nil},
		"RoleBinding": {
			velero.Resource{Group: "rbac.authorization.k8s.io", Name: "rolebindings"},
			`{"roleRef":{"kind":"Role","name":"r"},"subjects":[{"kind":"ServiceAccount","namespace":"app","name":"s"},{"kind":"ServiceAccount","namespace":"x","name":"s"},{"kind":"User","name":"u"}]}`,
			[]string{"Role app/r", "ServiceAccount app/s"},
		},
		"RoleBinding of a ClusterRole": {
			velero.Resource{Group: "rbac.authorization.k8s.io", Name: "rolebindings"}, `{"roleRef":{"kind":"ClusterRole","name":"view"}}`, []string{"ClusterRole /view"},
		},
		"Ingress": {
			velero.Resource{Group: "networking.k8s.io", Name: "ingresses"},
			`{"spec":{"ingressClassName":"nginx","tls":[{"secretName":"tls"},{}]}}`,
			[]string{"Secret app/tls", "IngressClass /nginx"},
		},
		"custom":  {velero.Resource{Group: "example.com", Name: "pods"}, `{"spec":` + podSpec + `}`, nil},
		"invalid": {velero.Resource{Name: "pods"}, `{"spec":{"volumes":"x"}}`, nil},
	} {
		var o object
		if err := json.Unmarshal([]byte(tt.object), &o); err != nil {
			t.Fatal(err)
		}
		o.Metadata.Namespace, o.Metadata.Name = "app", "one"
		var got []string
		for _, r := range referencesOf(tt.resource, &o) {
			got = append(got, fmt.Sprintf("%s %s/%s", r.Resource.Kind, r.To.Namespace, r.To.Name))
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
