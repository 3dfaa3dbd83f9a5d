// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kurator.dev/migrate-apiserver/pkg/member/internal/clienttest"
	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
)

const (
	podsPath = "/api/v1/namespaces/velero/pods"
	ready    = `{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`
	notReady = `{"status":{"conditions":[{"type":"Ready","status":"Unknown","reason":"NodeStatusUnknown","message":"Kubelet stopped posting node status."}]}}`
	unready  = `{"items":[{"status":{"conditions":[{"type":"Ready","status":"False"}]}}]}`
	pulling  = `{"status":{"phase":"Pending","initContainerStatuses":[{"name":"restore-wait","state":{"waiting":{"reason":"ImagePullBackOff","message":"no such image"}}}],
		"containerStatuses":[{"name":"main","state":{"waiting":{"reason":"PodInitializing"}}}]}}`
	unscheduled = `{"status":{"phase":"Pending","conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable","message":"0/1 nodes are available"}]}}`
	waiting     = `{"spec":{"nodeName":"n1"},"status":{"phase":"Pending","initContainerStatuses":[{"name":"restore-wait","state":{"running":{}}}]}}`
)

// TestHindrances has one volume whose data moves, or does not, for reasons of its pod, its node, and the
// pod that moves the data.
func TestHindrances(t *testing.T) {
	restored := func(phase string) string {
		return `{"metadata":{"name":"pvr","labels":{"velero.io/restore-name":"x"}},"spec":{"pod":{"namespace":"app","name":"db"}},"status":{"phase":"` + phase + `"}}`
	}
	const backedUp = `{"metadata":{"name":"pvb","labels":{"velero.io/backup-name":"x"}},"spec":{"node":"n1","pod":{"namespace":"app","name":"db"}},"status":{"phase":"InProgress"}}`
	for name, tt := range map[string]struct {
		backup, restore string
		answers         map[string]string // besides those of a node and its node-agent that are ready
		want            []string
	}{
		"moving":                  {backup: backedUp},
		"waiting":                 {restore: restored("Prepared"), answers: map[string]string{"/api/v1/namespaces/app/pods/db": waiting}},
		"ended":                   {restore: restored("Failed"), answers: map[string]string{"/api/v1/namespaces/app/pods/db": pulling}},
		"pod is not scheduled":    {restore: restored(""), answers: map[string]string{"/api/v1/namespaces/app/pods/db": unscheduled}, want: []string{"PodVolumeRestore pvr: Pod app/db: Unschedulable: 0/1 nodes are available"}},
		"image is not pulled":     {restore: restored("New"), answers: map[string]string{"/api/v1/namespaces/app/pods/db": pulling}, want: []string{"PodVolumeRestore pvr: Pod app/db: container restore-wait: ImagePullBackOff: no such image"}},
		"pod is gone":             {restore: restored("New"), want: []string{"PodVolumeRestore pvr: Pod app/db does not exist any more"}},
		"node is gone":            {backup: backedUp, answers: map[string]string{"/api/v1/nodes/n1": membertest.Absent}, want: []string{"PodVolumeBackup pvb: node n1 does not exist any more"}},
		"node is not ready":       {backup: backedUp, answers: map[string]string{"/api/v1/nodes/n1": notReady}, want: []string{"PodVolumeBackup pvb: node n1 is not ready: NodeStatusUnknown: Kubelet stopped posting node status."}},
		"no node-agent":           {restore: restored("New"), answers: map[string]string{"/api/v1/namespaces/app/pods/db": waiting, podsPath: `{}`}, want: []string{"PodVolumeRestore pvr: Velero's node-agent does not run on node n1"}},
		"node-agent is not ready": {backup: backedUp, answers: map[string]string{podsPath: unready}, want: []string{"PodVolumeBackup pvb: Velero's node-agent does not run on node n1"}},
		"data mover has failed": {
			backup: backedUp, answers: map[string]string{podsPath + "/pvb": `{"metadata":{"name":"pvb"},"status":{"phase":"Failed","reason":"NodeLost"}}`},
			want: []string{"PodVolumeBackup pvb: Pod pvb that moves the data has failed, and Velero does not start it again: NodeLost"},
		},
		"data mover is not scheduled": {
			backup: backedUp, answers: map[string]string{podsPath + "/pvb": `{"metadata":{"name":"pvb"},` + unscheduled[1:]},
			want: []string{"PodVolumeBackup pvb: Pod pvb that moves the data: Unschedulable: 0/1 nodes are available"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := membertest.NewAPIServer(t)
			s.Answers = map[string]string{
				"/api/v1/nodes/n1": ready, podsPath: `{"items":[` + ready + `]}`,
				podsPath + "/pvb": membertest.Absent, podsPath + "/pvr": membertest.Absent, "/api/v1/namespaces/app/pods/db": membertest.Absent,
			}
			maps.Copy(s.Answers, tt.answers)
			label := velerov1.BackupNameLabel
			if tt.restore != "" {
				label = velerov1.RestoreNameLabel
			}
			for resource, body := range map[string]string{"podvolumebackups": tt.backup, "podvolumerestores": tt.restore} {
				object := &unstructured.Unstructured{}
				if json.Unmarshal([]byte(body), &object.Object) == nil {
					s.Put(resource, object)
				}
			}
			c := clienttest.New(s, brief)
			all, ok := volumes(t.Context(), c, label, "x")
			if d := cmp.Diff(tt.want, hindrances(t.Context(), c, all)); d != "" || !ok {
				t.Error(ok, d)
			}
		})
	}
}

// TestFirstUnfinished checks which volumes are explained: those first that Velero has begun with.
func TestFirstUnfinished(t *testing.T) {
	var all []volume
	for i, phase := range []string{"Completed", "", "New", "Failed", "InProgress", "New", "Canceled", "Prepared"} {
		v := volume{}
		v.Name, v.Status.Phase = fmt.Sprint(i), phase
		all = append(all, v)
	}
	var got []string
	for _, v := range firstUnfinished(all) {
		got = append(got, v.Name)
	}
	if d := cmp.Diff([]string{"4", "7", "1"}, got); d != "" {
		t.Error(d)
	}
}
