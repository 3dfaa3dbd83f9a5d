// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	hostName     = "host"
	memberPrefix = "kurator-member"
)

// hostControllers are the controllers that a cluster without workloads needs.
// Workload controllers would only create pods that no node ever runs.
var hostControllers = []string{
	"namespace-controller", "garbage-collector-controller", "resourcequota-controller",
	"serviceaccount-controller", "serviceaccount-token-controller", "root-ca-certificate-publisher-controller",
	"clusterrole-aggregation-controller", "validatingadmissionpolicy-status-controller",
}

// memberControllers also have the controllers of the objects that tests migrate.
var memberControllers = append([]string{
	"deployment-controller", "replicaset-controller", "statefulset-controller", "daemonset-controller",
	"job-controller", "cronjob-controller", "endpoints-controller", "endpointslice-controller",
	"disruption-controller", "horizontal-pod-autoscaler-controller", "service-cidr-controller",
}, hostControllers...)

// nodeControllers are the controllers that nodes, their pods and volumes need. Without
// nodes they would only delete what tests create for nodes that don't exist.
var nodeControllers = []string{
	"node-lifecycle-controller", "taint-eviction-controller", "pod-garbage-collector-controller",
	"persistentvolume-binder-controller", "persistentvolume-attach-detach-controller", "ephemeral-volume-controller",
	"persistentvolume-protection-controller", "persistentvolumeclaim-protection-controller",
}

// cluster is the host or a member. All clusters run the same control plane.
type cluster struct{ name string }

func (c cluster) member() bool { return c.name != hostName }

// MemberName returns the name of the nth member, counted from 1.
func MemberName(n int) string { return fmt.Sprintf("%s%d", memberPrefix, n) }

func (f *Fleet) clusters() []cluster {
	clusters := []cluster{{name: hostName}}
	for n := 1; n <= f.state.Members; n++ {
		clusters = append(clusters, cluster{name: MemberName(n)})
	}
	return clusters
}

// etcd returns the command of the etcd that all clusters share, each with its own
// prefix. It requires client certificates of its own authority.
func (f *Fleet) etcd() command { return f.etcdMember("etcd", []string{"etcd"}, f.keys("etcd")) }

// etcdMember returns the command of one member of an etcd cluster. The names are
// those of processes and of their client ports.
func (f *Fleet) etcdMember(name string, members []string, keys keys) command {
	peerURL := func(member string) string { return "https://" + f.address(member+"-peer") }
	client, peer := "https://"+f.address(name), peerURL(name)
	var cluster []string
	for _, member := range members {
		cluster = append(cluster, member+"="+peerURL(member))
	}
	return command{
		name:    name,
		program: f.program("etcd"),
		args: []string{
			"--name=" + name, "--data-dir=etcd", "--log-level=warn",
			"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=" + strings.Join(cluster, ","),
			"--client-cert-auth", "--trusted-ca-file=" + keys.authority(),
			"--cert-file=" + keys.certificate("server"), "--key-file=" + keys.key("server"),
			"--peer-client-cert-auth", "--peer-trusted-ca-file=" + keys.authority(),
			"--peer-cert-file=" + keys.certificate("server"), "--peer-key-file=" + keys.key("server"),
			"--quota-backend-bytes=4294967296",
		},
		ready: func(ctx context.Context, _ time.Time) error {
			return get(ctx, client+"/readyz", keys.authority(), keys.certificate("client"), keys.key("client"))
		},
	}
}

func (f *Fleet) apiserver(c cluster) command {
	keys, etcd := f.keys(c.name), f.keys("etcd")
	args := []string{
		"--etcd-servers=https://" + f.address("etcd"), "--etcd-prefix=/" + c.name,
		"--etcd-cafile=" + etcd.authority(),
		"--etcd-certfile=" + etcd.certificate("client"), "--etcd-keyfile=" + etcd.key("client"),
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", f.state.Ports[c.name]),
		"--tls-cert-file=" + keys.certificate("server"), "--tls-private-key-file=" + keys.key("server"),
		"--client-ca-file=" + keys.authority(), "--authorization-mode=Node,RBAC", "--profiling=false",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + keys.key("serviceaccount"),
		"--service-account-signing-key-file=" + keys.key("serviceaccount"),
		"--service-cluster-ip-range=10.0.0.0/24", "--allow-privileged",
		// An address reserved for documentation: no pod runs that could connect to it,
		// but without the flag the server doesn't start on a machine without a default
		// route.
		"--advertise-address=192.0.2.1", "--endpoint-reconciler-type=none",
	}
	if f.hasNode(c) {
		// For logs, exec and port forwarding.
		args = append(args, "--kubelet-preferred-address-types=InternalIP",
			"--kubelet-client-certificate="+keys.certificate("kubelet-client"), "--kubelet-client-key="+keys.key("kubelet-client"))
	}
	// Only the host has an aggregator and an audit log.
	if !c.member() {
		front := f.keys("front-proxy")
		args = append(args,
			"--requestheader-client-ca-file="+front.authority(), "--requestheader-allowed-names=front-proxy",
			"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
			"--requestheader-extra-headers-prefix=X-Remote-Extra-",
			"--proxy-client-cert-file="+front.certificate("client"), "--proxy-client-key-file="+front.key("client"),
			"--audit-policy-file="+f.auditPolicy(), "--audit-log-path="+f.HostAuditLog(),
		)
		// The aggregator passes on the UID of users since Kubernetes 1.32.
		if f.state.Minor >= 32 {
			args = append(args, "--requestheader-uid-headers=X-Remote-Uid")
		}
	}
	return command{
		name:    c.name + "-apiserver",
		program: filepath.Join(f.ofMember(f.state.MemberKubernetes, c, f.state.Kubernetes), kubeAPIServer),
		args:    args,
		ready: func(ctx context.Context, _ time.Time) error {
			return get(ctx, "https://"+f.address(c.name)+"/readyz", keys.authority(), keys.certificate("admin"), keys.key("admin"))
		},
	}
}

func (f *Fleet) controllerManager(c cluster) command {
	keys, controllers := f.keys(c.name), hostControllers
	if c.member() || f.hasNode(c) {
		controllers = memberControllers
	}
	if f.hasNode(c) {
		controllers = slices.Concat(controllers, nodeControllers)
	}
	name := c.name + "-controller-manager"
	return command{
		name:    name,
		program: filepath.Join(f.ofMember(f.state.MemberKubernetes, c, f.state.Kubernetes), "kube-controller-manager"),
		args: []string{
			"--kubeconfig=" + f.kubeconfig(c.name, "controller-manager"), "--use-service-account-credentials",
			"--controllers=" + strings.Join(controllers, ","), "--leader-elect=false",
			"--root-ca-file=" + keys.authority(), "--service-account-private-key-file=" + keys.key("serviceaccount"),
			// It creates this directory, by default in the machine's /usr.
			"--flex-volume-plugin-dir=" + filepath.Join(f.dataDir(name), "volume-plugins"),
			// No client calls it, so it serves no port.
			"--secure-port=0", "--profiling=false",
		},
		ready: func(ctx context.Context, _ time.Time) error { return f.namespacesUsable(ctx, c) },
	}
}

// namespacesUsable returns nil once the controllers have created the ServiceAccount
// and the ConfigMap of the namespace default that every namespace gets.
func (f *Fleet) namespacesUsable(ctx context.Context, c cluster) error {
	config, err := f.config(c)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if _, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{}); err != nil {
		return err
	}
	_, err = client.CoreV1().ConfigMaps(metav1.NamespaceDefault).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
	return err
}

func (f *Fleet) dataDir(process string) string { return filepath.Join(f.dir, "data", process) }

// EtcdURL returns the URL of the etcd that all clusters share.
func (f *Fleet) EtcdURL() string { return "https://" + f.address("etcd") }
