// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"text/template"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"kurator.dev/migrate-apiserver/test/localfleet/node"
)

const (
	// nodesMinor is the oldest minor version of Kubernetes that serves
	// MutatingAdmissionPolicies of version v1 by default.
	nodesMinor  = 36
	provisioner = "localfleet.kurator.dev/local"
	pauseImage  = "localhost/pause:1"
	// uninitialized taints a node until its cloud provider, here the fleet, has set
	// its addresses.
	uninitialized = "node.cloudprovider.kubernetes.io/uninitialized"
)

var (
	//go:embed nodes.yaml
	nodesManifest string
	//go:embed node-agent.yaml
	nodeAgentManifest string
)

// NodesMissing returns nil if a fleet of this process can have nodes. The error says
// what is missing and what to do.
func NodesMissing() error { return node.Missing() }

func (s *state) checkNodes() error {
	if !s.Nodes && len(s.HostImages) == 0 {
		return nil
	}
	if s.Nodes && s.WithoutVelero {
		return errors.New("a fleet with nodes has Velero")
	}
	if s.Minor < nodesMinor {
		return fmt.Errorf("nodes need Kubernetes 1.%d or later, and %s is 1.%d", nodesMinor, s.Kubernetes, s.Minor)
	}
	return NodesMissing()
}

func (f *Fleet) hasNode(c cluster) bool {
	if c.member() {
		return f.state.Nodes
	}
	return len(f.state.HostImages) > 0
}

// PodPort returns the port of the machine's loopback that leads to the port podPort of the host's node.
func (f *Fleet) PodPort() int { return f.state.Ports[serverName] }

// podPort is the port of our server in its pod, which has the node's network.
const podPort = 6443

// nodeName returns the name of a cluster's Node object, of the node's process and of the
// kubelet's port.
func (f *Fleet) nodeName(c cluster) string { return c.name + "-node" }

// cgroup returns the cgroup of all nodes of the fleet.
func (f *Fleet) cgroup() node.Cgroup { return node.Cgroup("localfleet-" + f.state.ID) }

// nodeCommands returns the commands that a cluster with a node has in addition.
func (f *Fleet) nodeCommands(c cluster) []command {
	return []command{f.scheduler(c), f.provisioner(c), f.node(c)}
}

func (f *Fleet) scheduler(c cluster) command {
	return command{
		name:    c.name + "-scheduler",
		program: f.program("kube-scheduler"),
		args:    []string{"--kubeconfig=" + f.kubeconfig(c.name, "scheduler"), "--leader-elect=false", "--secure-port=0", "--profiling=false"},
	}
}

// provisioner returns the command of the process that provisions the volumes of a
// cluster. They are directories of the machine, which the cluster's node shares.
func (f *Fleet) provisioner(c cluster) command {
	name := c.name + "-provisioner"
	return command{
		name:    name,
		program: f.program("local-provisioner"),
		args: []string{
			"--kubeconfig=" + f.kubeconfig(c.name, "admin"), "--provisioner=" + provisioner,
			"--dir=" + filepath.Join(f.dataDir(name), "volumes"),
		},
	}
}

// node returns the command of the first process of a cluster's node.
func (f *Fleet) node(c cluster) command {
	name := f.nodeName(c)
	cgroup := f.cgroup() + node.Cgroup("/"+name)
	configured := node.Config{
		Name: name, Dir: filepath.Join(f.dataDir(name), "node"), BinDir: f.state.BinDir,
		Images: []string{f.image("pause"), f.image("shop"), f.image("velero")}, PauseImage: pauseImage,
		Kubeconfig: f.kubeconfig(c.name, "kubelet"), ClientCA: f.keys(c.name).authority(),
		KubeletPort: f.state.Ports[name], Ports: []int{f.state.Ports[c.name], f.state.Ports["storage"]},
		Cgroup: cgroup,
	}
	if !c.member() {
		configured.Images = append([]string{f.image("pause")}, f.state.HostImages...)
		configured.Ports = []int{f.state.Ports["etcd"], f.state.Ports["storage"]}
		for _, other := range f.clusters() {
			configured.Ports = append(configured.Ports, f.state.Ports[other.name])
		}
		configured.Published = map[int]int{f.PodPort(): podPort}
	}
	// The configuration is an argument, so that a changed one restarts the node.
	config, err := json.Marshal(configured)
	return command{
		name:     name,
		program:  f.program("localfleet"),
		args:     []string{"node", "--config=" + string(config)},
		isolated: true,
		prepare: func(ctx context.Context) error {
			// Each run starts with a new cgroup: cAdvisor needs seconds for the containers
			// of an earlier one.
			return errors.Join(err, cgroup.Remove(ctx), cgroup.Create())
		},
		ready: func(ctx context.Context, started time.Time) error { return f.nodeReady(ctx, c, started) },
	}
}

// image returns the path of the archive of an image.
func (f *Fleet) image(name string) string { return filepath.Join(f.program("images"), name+".tar") }

// upNode gives a cluster its node and returns when, in a member, Velero's node-agent runs on it.
func (f *Fleet) upNode(ctx context.Context, c cluster) error {
	applier, err := f.applier(c)
	if err != nil {
		return err
	}
	objects, err := f.nodeObjects(c)
	if err != nil {
		return err
	}
	if err := applier.apply(ctx, objects...); err != nil {
		return err
	}
	for _, command := range f.nodeCommands(c) {
		if err := f.process(command).ensure(ctx); err != nil {
			return err
		}
	}
	if !c.member() {
		return nil
	}
	return f.awaitNodeAgent(ctx, c)
}

func (f *Fleet) nodeObjects(c cluster) ([]*unstructured.Unstructured, error) {
	manifest := nodesManifest
	if c.member() {
		manifest += "---\n" + nodeAgentManifest
	}
	parsed, err := template.New("nodes.yaml").Parse(manifest)
	if err != nil {
		return nil, err
	}
	var content bytes.Buffer
	values := map[string]string{"Port": strconv.Itoa(f.state.Ports[c.name]), "Provisioner": provisioner}
	if err := parsed.Execute(&content, values); err != nil {
		return nil, err
	}
	return parse(inNamespace(content.Bytes(), f.veleroNamespace(c)))
}

// nodeReady returns nil if the kubelet that was started at this time reports a Ready
// node. It initializes the node first, as a cloud provider does.
func (f *Fleet) nodeReady(ctx context.Context, c cluster, started time.Time) error {
	client, err := f.client(c)
	if err != nil {
		return err
	}
	live, err := client.CoreV1().Nodes().Get(ctx, f.nodeName(c), metav1.GetOptions{})
	if err != nil {
		return err
	}
	if err := initializeNode(ctx, client, live); err != nil {
		return err
	}
	for _, condition := range live.Status.Conditions {
		if condition.Type != corev1.NodeReady {
			continue
		}
		if condition.Status != corev1.ConditionTrue || !condition.LastHeartbeatTime.After(started) {
			return fmt.Errorf("node %s is Ready=%s since %s: %s", live.Name, condition.Status, condition.LastHeartbeatTime, condition.Message)
		}
		return nil
	}
	return fmt.Errorf("node %s has no condition Ready", live.Name)
}

func initializeNode(ctx context.Context, client kubernetes.Interface, live *corev1.Node) error {
	nodes := client.CoreV1().Nodes()
	internal := func(a corev1.NodeAddress) bool { return a.Type == corev1.NodeInternalIP }
	if !slices.ContainsFunc(live.Status.Addresses, internal) {
		patch := `{"status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}}`
		if _, err := nodes.Patch(ctx, live.Name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status"); err != nil {
			return err
		}
	}
	for i, taint := range live.Spec.Taints {
		if taint.Key != uninitialized {
			continue
		}
		patch := fmt.Sprintf(`[{"op": "test", "path": "/spec/taints/%d/key", "value": %q}, {"op": "remove", "path": "/spec/taints/%d"}]`, i, uninitialized, i)
		_, err := nodes.Patch(ctx, live.Name, types.JSONPatchType, []byte(patch), metav1.PatchOptions{})
		return err
	}
	return nil
}

// awaitNodeAgent waits until a container of node-agent that started after the node's
// process is ready.
func (f *Fleet) awaitNodeAgent(ctx context.Context, c cluster) error {
	client, err := f.client(c)
	if err != nil {
		return err
	}
	started := f.record(f.nodeName(c)).Started
	done := f.progress.step("node-agent on " + f.nodeName(c))
	lastErr := errors.New("not read yet")
	err = wait.PollUntilContextTimeout(ctx, pollInterval, startDeadline, true, func(ctx context.Context) (bool, error) {
		lastErr = nodeAgentReady(ctx, client, f.veleroNamespace(c), started)
		return lastErr == nil, nil
	})
	if err != nil {
		err = f.process(f.node(c)).failure(fmt.Errorf("wait for node-agent: %w: %w", err, lastErr))
	}
	done(err)
	return err
}

func nodeAgentReady(ctx context.Context, client kubernetes.Interface, namespace string, started time.Time) error {
	pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "name=node-agent"})
	if err != nil {
		return err
	}
	err = errors.New("there is no pod of node-agent")
	for _, pod := range pods.Items {
		err = fmt.Errorf("pod %s is %s", pod.Name, pod.Status.Phase)
		for _, container := range pod.Status.ContainerStatuses {
			running, waiting := container.State.Running, container.State.Waiting
			if container.Ready && running != nil && !running.StartedAt.Time.Before(started.Truncate(time.Second)) {
				return nil
			}
			if waiting != nil {
				err = fmt.Errorf("pod %s is waiting: %s: %s", pod.Name, waiting.Reason, waiting.Message)
			}
		}
	}
	return err
}

func (f *Fleet) client(c cluster) (*kubernetes.Clientset, error) {
	config, err := f.config(c)
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}
