// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package node

// Config configures a node.
type Config struct {
	// Name is the name of the Node object.
	Name string `json:"name"`
	// Dir is the directory of the files of the node, which outlive its processes.
	Dir string `json:"dir"`
	// BinDir is the directory of kubelet, containerd, containerd-shim-runc-v2 and ctr.
	BinDir string `json:"binDir"`
	// Images are the paths of archives of images, and PauseImage is the name of the one
	// that holds a pod's namespaces.
	Images     []string `json:"images"`
	PauseImage string   `json:"pauseImage"`
	// Kubeconfig is the path of the kubelet's kubeconfig. ClientCA is the path of the
	// authority of its clients.
	Kubeconfig string `json:"kubeconfig"`
	ClientCA   string `json:"clientCA"`
	// KubeletPort is the port of the kubelet on loopback, inside and outside.
	KubeletPort int `json:"kubeletPort"`
	// Ports are ports of the machine's loopback that the node reaches on its own.
	Ports []int `json:"ports"`
	// Published maps ports of the machine's loopback to ports of the node's, at which pods listen.
	Published map[int]int `json:"published,omitempty"`
	// Cgroup is the cgroup of all pods of the node. It exists.
	Cgroup Cgroup `json:"cgroup"`
}
