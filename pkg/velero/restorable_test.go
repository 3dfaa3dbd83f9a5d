// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRestorable(t *testing.T) {
	for name, tt := range map[string]struct{ object, want string }{
		"metadata": {
			`{"kind":"ConfigMap","metadata":{"namespace":"a","name":"x","uid":"u","resourceVersion":"1","managedFields":[],"ownerReferences":[{}],"labels":{"velero.io/restore-name":"r","app":"x"},"annotations":{"note":"n"}},"data":{"k":"v"},"status":{}}`,
			`{"kind":"ConfigMap","metadata":{"namespace":"b","name":"x","labels":{"app":"x"},"annotations":{"note":"n"}},"data":{"k":"v"}}`,
		},
		"cluster-scoped": {`{"kind":"ClusterRole","metadata":{"name":"x"}}`, `{"kind":"ClusterRole","metadata":{"name":"x"}}`},
		"Service": {
			`{"kind":"Service","metadata":{"name":"x"},"spec":{"clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"],"healthCheckNodePort":3,"ports":[{"port":80,"nodePort":30000}]}}`,
			`{"kind":"Service","metadata":{"name":"x"},"spec":{"ports":[{"port":80}]}}`,
		},
		"headless Service": {
			`{"kind":"Service","metadata":{"name":"x"},"spec":{"clusterIP":"None","clusterIPs":["None"]}}`,
			`{"kind":"Service","metadata":{"name":"x"},"spec":{"clusterIP":"None","clusterIPs":["None"]}}`,
		},
		"claim": {
			`{"kind":"PersistentVolumeClaim","metadata":{"name":"x","annotations":{"pv.kubernetes.io/bind-completed":"yes"}},"spec":{"volumeName":"pv","storageClassName":"s"}}`,
			`{"kind":"PersistentVolumeClaim","metadata":{"name":"x"},"spec":{"storageClassName":"s"}}`,
		},
		"Pod": {
			`{"kind":"Pod","metadata":{"name":"x"},"spec":{"nodeName":"n","priority":1,"volumes":[{"name":"kube-api-access-abcde"},{"name":"data"}],"containers":[{"name":"c","volumeMounts":[{"name":"kube-api-access-abcde"}]}]}}`,
			`{"kind":"Pod","metadata":{"name":"x"},"spec":{"volumes":[{"name":"data"}],"containers":[{"name":"c"}]}}`,
		},
		"Job": {
			`{"kind":"Job","metadata":{"name":"x"},"spec":{"selector":{},"template":{"metadata":{"labels":{"controller-uid":"u","batch.kubernetes.io/controller-uid":"u","a":"b"}}}}}`,
			`{"kind":"Job","metadata":{"name":"x"},"spec":{"template":{"metadata":{"labels":{"a":"b"}}}}}`,
		},
		"ServiceAccount": {`{"kind":"ServiceAccount","metadata":{"name":"x"},"secrets":[{"name":"x-token"}]}`, `{"kind":"ServiceAccount","metadata":{"name":"x"}}`},
		"odd":            {`{"kind":"Service","metadata":{"name":"x"},"spec":"odd"}`, `{"kind":"Service","metadata":{"name":"x"},"spec":"odd"}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Restorable([]byte(tt.object), "b")
			if err != nil {
				t.Fatal(err)
			}
			var want map[string]any
			if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got.Object); d != "" {
				t.Error(d)
			}
		})
	}
	for _, text := range []string{`[]`, `null`, `1`} {
		if _, err := Restorable([]byte(text), ""); err == nil {
			t.Errorf("%s is an object", text)
		}
	}
}

func TestIsSame(t *testing.T) {
	const source = `{"kind":"ConfigMap","metadata":{"namespace":"a","name":"x","uid":"1"},"data":{"k":"v"}}`
	for target, want := range map[string]bool{
		`{"kind":"ConfigMap","metadata":{"namespace":"b","name":"x","uid":"2"},"data":{"k":"v"}}`:                              true,
		`{"kind":"ConfigMap","metadata":{"namespace":"b","name":"x","labels":{"velero.io/backup-name":"b"}},"data":{"k":"v"}}`: true,
		`{"kind":"ConfigMap","metadata":{"namespace":"b","name":"x","labels":{"app":"b"}},"data":{"k":"v"}}`:                   false,
		`{"kind":"ConfigMap","metadata":{"namespace":"b","name":"x"},"data":{"k":"w"}}`:                                        false,
		`{"kind":"ConfigMap","metadata":{"namespace":"b","name":"x","annotations":{"a":"b"},"generation":2},"data":{"k":"v"}}`: false,
	} {
		if got, err := IsSame([]byte(source), []byte(target)); got != want || err != nil {
			t.Errorf("%s: %t, %v", target, got, err)
		}
	}
}

// TestIsSameOfWhatAClusterChanges compares objects of which a cluster changes a part, and Velero only that of the source.
func TestIsSameOfWhatAClusterChanges(t *testing.T) {
	for object, want := range map[string]bool{
		`{"kind":"Service","metadata":{"name":"x"},"spec":{"clusterIP":"10.0.0.1","ports":[{"port":80}]}}`:   false,
		`{"kind":"Service","metadata":{"name":"x"},"spec":{"clusterIP":"None","ports":[{"port":80}]}}`:       true,
		`{"kind":"PersistentVolumeClaim","metadata":{"name":"x"},"spec":{"volumeName":"pv"}}`:                false,
		`{"kind":"ServiceAccount","metadata":{"name":"x","annotations":{"a":"b"}},"secrets":[{"name":"t"}]}`: true,
	} {
		if got, err := IsSame([]byte(object), []byte(object)); got != want || err != nil {
			t.Errorf("%s: %t, %v", object, got, err)
		}
	}
}

// FuzzRestorable reads what a cluster may send.
func FuzzRestorable(f *testing.F) {
	f.Add([]byte(`{"kind":"Pod","metadata":{"name":1},"spec":{"containers":[1],"volumes":{}}}`))
	f.Add([]byte(`{"kind":"Service","metadata":[],"spec":{"ports":[{}]}}`))
	f.Add([]byte(`{"kind":"Job","spec":{"template":{"metadata":{"labels":1}}}}`))
	f.Fuzz(func(t *testing.T, object []byte) {
		if o, err := Restorable(object, "n"); err == nil && o.Object["status"] != nil {
			t.Error("the status stays")
		}
	})
}
