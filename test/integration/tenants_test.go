// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"kurator.dev/migrate-apiserver/test/localfleet/pki"
)

// Two tenants: namespaces whose Migrates carry words that nobody may read in the
// other one.
const (
	ours, theirs             = "matrix-ours", "matrix-theirs"
	oursSecret, theirsSecret = "secret-of-ours", "secret-of-theirs"
)

// tenant is a user with credentials of the real kind.
type tenant struct {
	name       string
	kubeconfig string
	// impersonates are kubectl's flags for whoever acts as this user.
	impersonates []string
	// bare says that without kubectl, which asks for a name, there are no credentials.
	bare bool
}

// The users of the matrix, in the order of its columns.
var matrixUsers = []string{"viewer", "operator", "mover", "fleeter", "admin", "neighbour", "root", "nobody", "anonymous"}

// newTenants makes two namespaces with Migrates, and all users of the matrix.
func newTenants(t *testing.T) map[string]tenant {
	t.Helper()
	if host == nil {
		t.Skip("needs a host")
	}
	n := namespace{t, ours}
	namespace{t, "default"}.run("apply", "-f", filepath.Join("..", "..", "artifacts", "examples", "tenant-roles.yaml"))
	applyAs(t, administrator(), tenantObjects)
	supporter := n.byCertificate("supporter")
	users := map[string]tenant{
		"viewer":    n.byCertificate("viewer"),
		"operator":  n.byToken("operator"),
		"mover":     n.byCertificate("mover", "movers"),
		"fleeter":   supporter.acting("fleeter", "fleeters"),
		"admin":     n.byToken("admin"),
		"neighbour": n.byCertificate("neighbour"),
		"root":      n.byCertificate("root"),
		"nobody":    n.byToken("nobody"),
		"anonymous": supporter.acting("system:anonymous", "system:unauthenticated"),
	}
	anonymous := users["anonymous"]
	anonymous.name, anonymous.bare = "anonymous", true
	users["anonymous"] = anonymous
	eventually(t, "the roles to be aggregated", func(context.Context) bool {
		_, err := users["admin"].try(t, "", "auth", "can-i", "deletecollection", "migrates", "--namespace="+ours)
		return err == nil
	})
	return users
}

// Who may do what. A user of a ServiceAccount is named as the host names it.
const tenantObjects = `
apiVersion: v1
kind: Namespace
metadata: {name: matrix-ours}
---
apiVersion: v1
kind: Namespace
metadata: {name: matrix-theirs}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: operator, namespace: matrix-ours}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: admin, namespace: matrix-ours}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: nobody, namespace: matrix-ours}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: viewers, namespace: matrix-ours}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: migrate-viewer}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: viewer}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: operators, namespace: matrix-ours}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: migrate-operator}
subjects:
- {kind: ServiceAccount, name: operator, namespace: matrix-ours}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: mover}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: fleeter}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: admins, namespace: matrix-ours}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects:
- {kind: ServiceAccount, name: admin, namespace: matrix-ours}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: three-clusters, namespace: matrix-ours}
rules:
- {apiGroups: [cluster.kurator.dev], resources: [attachedclusters], resourceNames: [m1, m2], verbs: [use]}
- {apiGroups: [cluster.kurator.dev], resources: [clusters], resourceNames: [m4], verbs: [use]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: three-clusters, namespace: matrix-ours}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: three-clusters}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: movers}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: the-fleet, namespace: matrix-ours}
rules:
- {apiGroups: [fleet.kurator.dev], resources: [fleets], resourceNames: [secret-of-ours], verbs: [use]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: the-fleet, namespace: matrix-ours}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: the-fleet}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: fleeters}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: neighbours, namespace: matrix-theirs}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: migrate-admin}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: neighbour}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: all-clusters, namespace: matrix-theirs}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: migrate-cluster-user}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: neighbour}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: matrix-root}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: root}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: matrix-supporter}
rules:
- {apiGroups: [""], resources: [users], resourceNames: [fleeter, "system:anonymous"], verbs: [impersonate]}
- {apiGroups: [""], resources: [groups], resourceNames: [fleeters, "system:unauthenticated"], verbs: [impersonate]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: matrix-supporter}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: matrix-supporter}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: supporter}
`

// administrator is the host's.
func administrator() tenant {
	return tenant{name: "kubernetes-admin", kubeconfig: host.HostKubeconfig()}
}

func applyAs(t *testing.T, u tenant, manifests string) {
	t.Helper()
	if out, err := u.try(t, manifests, "apply", "-f", "-"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// byCertificate is a user of the host by a client certificate.
func (n namespace) byCertificate(user string, groups ...string) tenant {
	n.t.Helper()
	pair := clientPair(n.t, authorityOf(n.t, "host"), user, groups...)
	return tenant{name: user, kubeconfig: n.kubeconfig(user, clientcmdapi.AuthInfo{ClientCertificateData: pair.Certificate, ClientKeyData: pair.Key})}
}

// byToken is a ServiceAccount of the namespace by a token.
func (n namespace) byToken(account string) tenant {
	n.t.Helper()
	token := strings.TrimSpace(n.run("create", "token", account, "--duration=1h"))
	return tenant{name: account, kubeconfig: n.kubeconfig(account, clientcmdapi.AuthInfo{Token: token})}
}

// acting is somebody as whom the user may act.
func (u tenant) acting(name, group string) tenant {
	return tenant{name: name, kubeconfig: u.kubeconfig, impersonates: []string{"--as=" + name, "--as-group=" + group}}
}

// kubeconfig writes one for the host and returns its path.
func (n namespace) kubeconfig(user string, identity clientcmdapi.AuthInfo) string {
	n.t.Helper()
	config, err := host.HostConfig()
	if err != nil {
		n.t.Fatal(err)
	}
	content, err := clientcmd.Write(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"host": {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"it": &identity},
		Contexts:       map[string]*clientcmdapi.Context{"it": {Cluster: "host", AuthInfo: "it"}},
		CurrentContext: "it",
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return n.file(user+".kubeconfig", string(content), 0o600)
}

func clientPair(t *testing.T, authority *pki.Authority, user string, groups ...string) pki.Pair {
	t.Helper()
	pair, err := authority.Client(user, groups...)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// try runs kubectl as the user and returns what it printed, complaints included.
func (u tenant) try(t *testing.T, input string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, host.KubectlPath(), append(args, u.impersonates...)...)
	command.Env = host.KubectlEnvironment(u.kubeconfig)
	var out bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(input), &out, &out
	err := command.Run()
	return out.String(), err
}

// config is the user's way to the host without kubectl.
func (u tenant) config(t *testing.T) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", u.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if u.bare {
		return rest.AnonymousClientConfig(config)
	}
	for _, flag := range u.impersonates {
		if name, is := strings.CutPrefix(flag, "--as="); is {
			config.Impersonate.UserName = name
		}
		if group, is := strings.CutPrefix(flag, "--as-group="); is {
			config.Impersonate.Groups = append(config.Impersonate.Groups, group)
		}
	}
	return config
}
