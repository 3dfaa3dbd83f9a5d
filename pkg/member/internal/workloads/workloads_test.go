// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/clienttest"
	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
)

// none are the answers of a member without workloads.
func none() map[string]string {
	return map[string]string{
		"/apis/apps/v1/deployments": `{}`, "/apis/apps/v1/statefulsets": `{}`, "/apis/apps/v1/daemonsets": `{}`,
		"/apis/apps/v1/replicasets": `{}`, "/api/v1/replicationcontrollers": `{}`, "/apis/batch/v1/jobs": `{}`, "/api/v1/pods": `{}`, "/api/v1/persistentvolumeclaims": `{}`,
	}
}

const (
	ready = `{"metadata":{"name":"ready","namespace":"app","generation":1},"spec":{"replicas":1},
		"status":{"observedGeneration":1,"replicas":1,"updatedReplicas":1,"readyReplicas":1,"availableReplicas":1,
		"conditions":[{"type":"Available","status":"True"},{"type":"Progressing","status":"True","reason":"NewReplicaSetAvailable"}]}}`
	notReady = `{"metadata":{"name":"web","namespace":"app","generation":1},"spec":{"replicas":2,"selector":{"matchLabels":{"app":"web"}}},
		"status":{"observedGeneration":1,"replicas":2,"updatedReplicas":2,"readyReplicas":1,"availableReplicas":1}}`
	readyPod = `{"metadata":{"name":"web-0","namespace":"app"},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}`
)

// pod returns a pod that is not ready, with more of its status.
func pod(status string) string {
	return `{"metadata":{"name":"web-1","namespace":"app"},"status":{"phase":"Pending",` + status + `}}`
}

func TestReady(t *testing.T) {
	s := membertest.NewAPIServer(t)
	s.Answers = none()
	s.Answers["/apis/apps/v1/deployments"] = `{"items":[` + ready + `]}`
	s.Answers["/api/v1/pods"] = `{"items":[` + readyPod + `,
		{"metadata":{"name":"owned","ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","controller":true}]},"status":{"phase":"Pending"}}]}`
	s.Answers["/apis/batch/v1/jobs"] = `{"items":[{"metadata":{"name":"suspended"},"spec":{"suspend":true}}]}`
	s.Answers["/api/v1/persistentvolumeclaims"] = `{"items":[{"metadata":{"name":"data","namespace":"app"},"status":{"phase":"Bound"}}]}`
	got := Read(t.Context(), clienttest.New(s, client.Options{}), []string{"r"})
	if d := cmp.Diff(v1alpha1.WorkloadCounts{Total: 4, Ready: 4}, got.Counts); d != "" || got.Err != nil {
		t.Error(d, got.Err)
	}
}

// TestPodsExplainWorkloads has a Deployment with a pod that is ready and one that is not.
func TestPodsExplainWorkloads(t *testing.T) {
	for name, tt := range map[string]struct{ pod, want string }{
		"image":         {pod(`"containerStatuses":[{"name":"main","state":{"waiting":{"reason":"ImagePullBackOff","message":"no such image"}}}]`), "Pod web-1: container main: ImagePullBackOff: no such image"},
		"init":          {pod(`"initContainerStatuses":[{"name":"init","state":{"waiting":{"reason":"CrashLoopBackOff","message":"back-off"}}}],"containerStatuses":[{"name":"main","state":{"waiting":{"reason":"PodInitializing"}}}]`), "Pod web-1: container init: CrashLoopBackOff: back-off"},
		"ended":         {pod(`"containerStatuses":[{"name":"main","state":{"terminated":{"exitCode":3}}}]`), "Pod web-1: container main: Error, exit code 3"},
		"unschedulable": {pod(`"conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable","message":"0/1 nodes are available"}]`), "Pod web-1: Unschedulable: 0/1 nodes are available"},
		"starting":      {pod(`"containerStatuses":[{"name":"main","state":{"waiting":{"reason":"ContainerCreating"}}}]`), "Pod web-1: Pod is in the Pending phase"},
		"no pod":        {readyPod, "Available: 1/2"},
	} {
		t.Run(name, func(t *testing.T) {
			s := membertest.NewAPIServer(t)
			s.Answers = none()
			s.Answers["/apis/apps/v1/deployments"] = `{"items":[` + ready + `,` + notReady + `]}`
			s.Answers["/api/v1/namespaces/app/pods"] = `{"items":[` + readyPod + `,` + tt.pod + `]}`
			got := Read(t.Context(), clienttest.New(s, client.Options{}), []string{"r"})
			if d := cmp.Diff(v1alpha1.WorkloadCounts{Total: 2, Ready: 1}, got.Counts); d != "" || got.Err != nil {
				t.Error(d, got.Err)
			}
			if d := cmp.Diff([]string{"Deployment app/web (" + tt.want + ")"}, got.NotReady); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestUnboundClaims(t *testing.T) {
	s := membertest.NewAPIServer(t)
	s.Answers = none()
	s.Answers["/api/v1/persistentvolumeclaims"] = `{"items":[
		{"metadata":{"name":"a","namespace":"app"},"spec":{"storageClassName":"fast"},"status":{"phase":"Pending"}},
		{"metadata":{"name":"b","namespace":"app"},"spec":{"storageClassName":"local"},"status":{"phase":"Pending"}},
		{"metadata":{"name":"c","namespace":"app"},"spec":{"storageClassName":"../../secrets"},"status":{"phase":"Pending"}},
		{"metadata":{"name":"d","namespace":"app"},"status":{"phase":"Pending"}},
		{"metadata":{"name":"e","namespace":"app"},"spec":{"storageClassName":"late"},"status":{"phase":"Pending"}}]}`
	s.Answers["/apis/storage.k8s.io/v1/storageclasses/late"] = `{"volumeBindingMode":"WaitForFirstConsumer"}`
	s.Answers["/apis/storage.k8s.io/v1/storageclasses/local"], s.Answers["/apis/storage.k8s.io/v1/storageclasses/fast"] = `{}`, membertest.Absent
	got := Read(t.Context(), clienttest.New(s, client.Options{}), []string{"r"})
	if got.Counts != (v1alpha1.WorkloadCounts{Total: 4}) || len(got.NotReady) != 3 {
		t.Fatalf("%+v", got)
	}
	for i, want := range []string{"a (StorageClass fast does not exist in the cluster)", "b (PVC is not Bound", "c (PVC is not Bound"} {
		if !strings.HasPrefix(got.NotReady[i], "PersistentVolumeClaim app/"+want) {
			t.Errorf("%q, want %q", got.NotReady[i], want)
		}
	}
}

// TestPodsOfOtherControllers checks a pod whose controller is of a kind that is not checked.
func TestPodsOfOtherControllers(t *testing.T) {
	s := membertest.NewAPIServer(t)
	s.Answers = none()
	s.Answers["/api/v1/pods"] = `{"items":[{"metadata":{"name":"db-0","namespace":"app","ownerReferences":[{"apiVersion":"example.com/v1","kind":"PodSet","controller":true}]},"status":{"phase":"Pending"}}]}`
	s.Answers["/apis/apps/v1/replicasets"] = `{"items":[{"metadata":{"name":"bare","namespace":"app","generation":1},"spec":{"replicas":1},"status":{"observedGeneration":1}}]}`
	if got := Read(t.Context(), clienttest.New(s, client.Options{}), []string{"r"}); got.Err != nil || got.Counts != (v1alpha1.WorkloadCounts{Total: 2}) {
		t.Errorf("%+v", got)
	}
}

// TestWorkloadsThatCannotBeRead has a list that is not served, and one with other JSON.
func TestWorkloadsThatCannotBeRead(t *testing.T) {
	for _, answer := range []string{"", `{"items":[{"metadata":1}]}`, `[]`} {
		s := membertest.NewAPIServer(t)
		s.Answers = none()
		s.Answers["/apis/apps/v1/daemonsets"] = answer
		if got := Read(t.Context(), clienttest.New(s, client.Options{}), []string{"r"}); got.Err == nil || !strings.HasPrefix(got.Err.Error(), "reading the daemonsets: ") {
			t.Errorf("%q: %+v", answer, got)
		}
	}
}

// TestHostileStatus has a pod at which kstatus panics.
func TestHostileStatus(t *testing.T) {
	s := membertest.NewAPIServer(t)
	s.Answers = none()
	s.Answers["/api/v1/pods"] = `{"items":[{"metadata":{"name":"x"},"status":{"phase":"Running","containerStatuses":["x"]}}]}`
	if got := Read(t.Context(), clienttest.New(s, client.Options{}), []string{"r"}); got.Err == nil || got.Err.Error() != "reading the pods: unexpected format" {
		t.Errorf("%+v", got)
	}
}
