// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	veleroshared "github.com/vmware-tanzu/velero/pkg/apis/velero/shared"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	velerov2alpha1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v2alpha1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/pods"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// maxExplained is the number of volumes whose data is checked for what hinders it.
const maxExplained = 3

// volumeKinds are the objects that move the data of a volume, by the key of the label that names
// the Backup or Restore.
var volumeKinds = map[string][]struct {
	kind     string
	resource schema.GroupVersionResource
}{
	velerov1.BackupNameLabel: {
		{"PodVolumeBackup", velerov1.SchemeGroupVersion.WithResource("podvolumebackups")},
		{"DataUpload", velerov2alpha1.SchemeGroupVersion.WithResource("datauploads")},
	},
	velerov1.RestoreNameLabel: {
		{"PodVolumeRestore", velerov1.SchemeGroupVersion.WithResource("podvolumerestores")},
		{"DataDownload", velerov2alpha1.SchemeGroupVersion.WithResource("datadownloads")},
	},
}

// volume has the fields of the volumeKinds that matter here.
type volume struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		// Node is that of the pod of a PodVolumeBackup.
		Node string `json:"node"`
		// Pod is the one that a PodVolumeRestore waits for.
		Pod corev1.ObjectReference `json:"pod"`
	} `json:"spec"`
	Status struct {
		Phase    string                                 `json:"phase"`
		Node     string                                 `json:"node"`
		Progress veleroshared.DataMoveOperationProgress `json:"progress"`
	} `json:"status"`

	kind string
}

// volumes returns the objects that move the data of the Backup or Restore that a label names. It returns
// false if they can't be listed, or are too many.
func volumes(ctx context.Context, c *client.Client, label, name string) (all []volume, ok bool) {
	opts := metav1.ListOptions{Limit: maxListed, LabelSelector: labels.Set{label: velero.LabelValue(name)}.String()}
	for _, of := range volumeKinds[label] {
		var list struct {
			Items []volume `json:"items"`
		}
		switch err := client.ListInto(ctx, c, client.Collection{Resource: of.resource, InVelero: true}, opts, &list); {
		case apierrors.IsNotFound(err), errors.Is(err, client.ErrVeleroNotInstalled):
			continue
		case err != nil || len(list.Items) >= maxListed:
			return nil, false
		}
		for i := range list.Items {
			list.Items[i].kind = of.kind
		}
		all = append(all, list.Items...)
	}
	return all, true
}

// progress returns the sum of the volume data; nil if there is none.
func progress(all []volume) *v1alpha1.VolumeProgress {
	if len(all) == 0 {
		return nil
	}
	var sum v1alpha1.VolumeProgress
	for i := range all {
		sum.BytesDone += all[i].Status.Progress.BytesDone
		sum.TotalBytes += all[i].Status.Progress.TotalBytes
	}
	return &sum
}

// hindrances returns why the data of volumes does not move, for the first of those that have not ended.
func hindrances(ctx context.Context, c *client.Client, all []volume) []string {
	var found []string
	nodes := map[string]string{}
	ofNode := func(name string) string {
		if _, known := nodes[name]; !known && name != "" {
			nodes[name] = nodeHindrance(ctx, c, name)
		}
		return nodes[name]
	}
	for _, v := range firstUnfinished(all) {
		if why := v.hindrance(ctx, c, ofNode); why != "" {
			found = append(found, v.kind+" "+v.Name+": "+why)
		}
	}
	return found
}

// firstUnfinished returns the volumes that have not ended, those first that Velero has begun with, and at
// most maxExplained.
func firstUnfinished(all []volume) []volume {
	hasEnded := func(v volume) bool {
		return slices.Contains([]string{"Completed", "Failed", "Canceled"}, v.Status.Phase)
	}
	unfinished := slices.DeleteFunc(slices.Clone(all), hasEnded)
	isNew := func(v volume) int {
		if v.Status.Phase == "" || v.Status.Phase == "New" {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(unfinished, func(a, b volume) int { return cmp.Compare(isNew(a), isNew(b)) })
	return unfinished[:min(len(unfinished), maxExplained)]
}

// hindrance returns why the data of a volume does not move; empty if nothing hinders it, or if that is
// unknown. Velero v1.18.3 starts a pod with the name of the object on the node of the volume, by the
// node-agent there; a PodVolumeRestore first waits for the init container of the pod with the volume. ofNode
// returns why a node can't move data.
func (v *volume) hindrance(ctx context.Context, c *client.Client, ofNode func(name string) string) string {
	node := cmp.Or(v.Status.Node, v.Spec.Node)
	if v.kind == "PodVolumeRestore" {
		pod := v.Spec.Pod
		user, err := podOf(ctx, c, client.Collection{}.In(pod.Namespace), pod.Name)
		switch {
		case apierrors.IsNotFound(err):
			return fmt.Sprintf("Pod %s/%s does not exist any more", pod.Namespace, pod.Name)
		case err == nil && pods.Hindrance(user) != "":
			return fmt.Sprintf("Pod %s/%s: %s", pod.Namespace, pod.Name, pods.Hindrance(user))
		case err == nil:
			node = cmp.Or(node, user.Spec.NodeName)
		}
	}
	if why := ofNode(node); why != "" {
		return why
	}
	mover, err := podOf(ctx, c, client.Collection{InVelero: true}, v.Name)
	switch {
	case err != nil:
		return ""
	case mover.Status.Phase == corev1.PodFailed:
		return fmt.Sprintf("Pod %s that moves the data has failed, and Velero does not start it again: %s", mover.Name,
			cmp.Or(mover.Status.Message, pods.Hindrance(mover), mover.Status.Reason, "no reason is known"))
	case pods.Hindrance(mover) != "":
		return "Pod " + mover.Name + " that moves the data: " + pods.Hindrance(mover)
	}
	return ""
}

// nodeHindrance returns why a node can't move data; empty if it can, or if that is unknown.
func nodeHindrance(ctx context.Context, c *client.Client, name string) string {
	var node corev1.Node
	err := client.GetInto(ctx, c, client.Collection{Resource: corev1.SchemeGroupVersion.WithResource("nodes")}, name, &node)
	if apierrors.IsNotFound(err) {
		return fmt.Sprintf("node %s does not exist any more", name)
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status != corev1.ConditionTrue {
			return fmt.Sprintf("node %s is not ready: %s: %s", name, condition.Reason, condition.Message)
		}
	}
	var agents corev1.PodList
	err = client.ListInto(ctx, c, client.Collection{Resource: podsResource, InVelero: true}, metav1.ListOptions{
		Limit: maxListed, LabelSelector: "role=node-agent", FieldSelector: fields.OneTermEqualSelector("spec.nodeName", name).String(),
	}, &agents)
	if err == nil && !slices.ContainsFunc(agents.Items, func(p corev1.Pod) bool { return pods.IsReady(&p) }) {
		return "Velero's node-agent does not run on node " + name
	}
	return ""
}

var podsResource = corev1.SchemeGroupVersion.WithResource("pods")

// podOf reads a pod of a namespace.
func podOf(ctx context.Context, c *client.Client, in client.Collection, name string) (*corev1.Pod, error) {
	in.Resource = podsResource
	var pod corev1.Pod
	err := client.GetInto(ctx, c, in, name, &pod)
	return &pod, err
}
