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

// createOfDeadFleet creates a Migrate whose members are all there and ready, but for
// their servers, and returns when the server has tried to reach them.
func (n namespace) createOfDeadFleet(name string) {
	n.t.Helper()
	n.run("create", "-f", n.file("fleet.yaml", deadFleet(n.t, "member1", "member2", "member3"), 0o600))
	for _, member := range []string{"member1", "member2", "member3"} {
		n.run("patch", "attachedcluster", member, "--subresource=status", "--type=merge", "-p", `{"status":{"ready":true}}`)
	}
	n.create(name)
	n.run("wait", "migrate/"+name, "--for=jsonpath={.status.sourceClusterStatus.reason}=MemberUnreachable", "--timeout=60s")
}

// deadFleet is a Fleet named nowhere, of AttachedClusters whose servers are gone.
// They have yet to be ready.
func deadFleet(t *testing.T, members ...string) string {
	t.Helper()
	kubeconfig := deadKubeconfig(t)
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

// fleetOfTwoKinds is a Fleet named nowhere of the AttachedCluster member1 and the
// Cluster member2, whose servers are gone. They have yet to be ready.
func fleetOfTwoKinds(t *testing.T) string {
	t.Helper()
	return deadFleet(t, "member1") + `  - kind: Cluster
    name: member2
---
apiVersion: cluster.kurator.dev/v1alpha1
kind: Cluster
metadata:
  name: member2
---
` + secret("member2-kubeconfig", deadKubeconfig(t))
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

// deadKubeconfig leads to a port of this machine on which nothing listens any more.
func deadKubeconfig(t *testing.T) string {
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
