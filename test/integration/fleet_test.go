// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"testing"
)

// createUnreachable creates a Migrate whose cluster objects exist and are ready but whose
// members can't be reached, and waits until its status reports that.
func (n namespace) createUnreachable(name string) {
	n.t.Helper()
	n.run("create", "-f", n.file("fleet.yaml", unreachableFleet(n.t, "member1", "member2", "member3"), 0o600))
	for _, member := range []string{"member1", "member2", "member3"} {
		n.run("patch", "attachedcluster", member, "--subresource=status", "--type=merge", "-p", `{"status":{"ready":true}}`)
	}
	n.create(name)
	n.run("wait", "migrate/"+name, "--for=jsonpath={.status.sourceClusterStatus.reason}=MemberUnreachable", "--timeout=60s")
}

// unreachableFleet returns manifests of Fleet nowhere and of its AttachedClusters, which can't
// be reached and are not ready yet.
func unreachableFleet(t *testing.T, members ...string) string {
	t.Helper()
	kubeconfig := unreachableKubeconfig(t)
	var all, clusters strings.Builder
	for _, name := range members {
		all.WriteString(secret(name, kubeconfig) + `---
apiVersion: cluster.kurator.dev/v1alpha1
kind: AttachedCluster
metadata:
  name: ` + name + `
spec:
  kubeconfig:
    name: ` + name + `
    key: value
---
`)
		clusters.WriteString("  - kind: AttachedCluster\n    name: " + name + "\n")
	}
	return all.String() + fleetHeader + clusters.String()
}

// fleetOfBothKinds returns manifests of Fleet nowhere and of its members AttachedCluster
// member1 and Cluster member2, which can't be reached and are not ready yet.
func fleetOfBothKinds(t *testing.T) string {
	t.Helper()
	return unreachableFleet(t, "member1") + `  - kind: Cluster
    name: member2
---
apiVersion: cluster.kurator.dev/v1alpha1
kind: Cluster
metadata:
  name: member2
---
` + secret("member2-kubeconfig", unreachableKubeconfig(t))
}

const fleetHeader = `apiVersion: fleet.kurator.dev/v1alpha1
kind: Fleet
metadata:
  name: nowhere
spec:
  clusters:
`

func secret(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\ndata:\n  value: %s\n",
		name, base64.StdEncoding.EncodeToString([]byte(value)))
}

// unreachableKubeconfig returns a kubeconfig for a local port on which nothing listens.
func unreachableKubeconfig(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"clusters":[{"name":"a","cluster":{"server":"https://%s"}}],"users":[{"name":"a","user":{"token":"t"}}],`+
		`"contexts":[{"name":"a","context":{"cluster":"a","user":"a"}}],"current-context":"a"}`, listener.Addr())
}
