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

// The namespaces of two tenants, and text in their Migrates that the other tenant must not see.
const (
	ours, theirs             = "matrix-ours", "matrix-theirs"
	oursSecret, theirsSecret = "secret-of-ours", "secret-of-theirs"
)

// tenant is a user with real credentials.
type tenant struct {
	name       string
	kubeconfig string
	// impersonates are flags of kubectl that impersonate this user.
	impersonates []string
	// anonymous is whether config has no credentials. kubectl prompts for a name without any,
	// so it impersonates the anonymous user.
	anonymous bool
}

// matrixUsers are the users of the matrix, in the order of its columns.
var matrixUsers = []string{"viewer", "operator", "cluster-user", "fleet-user", "admin", "other-tenant", "root", "no-role", "anonymous"}

// newTenants creates the namespaces and RBAC objects of two tenants, and returns the users of the
// matrix by name.
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
		"viewer":       n.byCertificate("viewer"),
		"operator":     n.byToken("operator"),
		"cluster-user": n.byCertificate("cluster-user", "cluster-users"),
		"fleet-user":   supporter.impersonating("fleet-user", "fleet-users"),
		"admin":        n.byToken("admin"),
		"other-tenant": n.byCertificate("other-tenant"),
		"root":         n.byCertificate("root"),
		"no-role":      n.byToken("no-role"),
		"anonymous":    supporter.impersonating("system:anonymous", "system:unauthenticated"),
	}
	anonymous := users["anonymous"]
	anonymous.name, anonymous.anonymous = "anonymous", true
	users["anonymous"] = anonymous
	eventually(t, "the roles to be aggregated", func(context.Context) bool {
		_, err := users["admin"].try(t, "", "auth", "can-i", "deletecollection", "migrates", "--namespace="+ours)
		return err == nil
	})
	return users
}

// tenantObjects are the namespaces, ServiceAccounts and RBAC objects of the users.
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
metadata: {name: no-role, namespace: matrix-ours}
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
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: cluster-user}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: fleet-user}
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
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: cluster-users}
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
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: fleet-users}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: other-tenants, namespace: matrix-theirs}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: migrate-admin}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: other-tenant}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: all-clusters, namespace: matrix-theirs}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: migrate-cluster-user}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: other-tenant}
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
- {apiGroups: [""], resources: [users], resourceNames: [fleet-user, "system:anonymous"], verbs: [impersonate]}
- {apiGroups: [""], resources: [groups], resourceNames: [fleet-users, "system:unauthenticated"], verbs: [impersonate]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: matrix-supporter}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: matrix-supporter}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: supporter}
`

// administrator returns the administrator of the host.
func administrator() tenant {
	return tenant{name: "kubernetes-admin", kubeconfig: host.HostKubeconfig()}
}

func applyAs(t *testing.T, u tenant, manifests string) {
	t.Helper()
	if out, err := u.try(t, manifests, "apply", "-f", "-"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// byCertificate returns a user with a client certificate of the host.
func (n namespace) byCertificate(user string, groups ...string) tenant {
	n.t.Helper()
	pair := clientPair(n.t, authorityOf(n.t, "host"), user, groups...)
	return tenant{name: user, kubeconfig: n.kubeconfig(user, clientcmdapi.AuthInfo{ClientCertificateData: pair.Certificate, ClientKeyData: pair.Key})}
}

// byToken returns a ServiceAccount of the namespace with a token.
func (n namespace) byToken(account string) tenant {
	n.t.Helper()
	token := strings.TrimSpace(n.run("create", "token", account, "--duration=1h"))
	return tenant{name: account, kubeconfig: n.kubeconfig(account, clientcmdapi.AuthInfo{Token: token})}
}

// impersonating returns a user whom this user impersonates.
func (u tenant) impersonating(name, group string) tenant {
	return tenant{name: name, kubeconfig: u.kubeconfig, impersonates: []string{"--as=" + name, "--as-group=" + group}}
}

// kubeconfig writes a kubeconfig for the host and returns its path.
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

// try runs kubectl as the user and returns its output and errors.
func (u tenant) try(t *testing.T, input string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, host.KubectlPath(), append(args, u.impersonates...)...)
	command.Env = host.KubectlEnvironment(u.kubeconfig)
	var out bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(input), &out, &out
	err := command.Run()
	return out.String(), err
}

// config returns a client configuration for the host with the user's credentials.
func (u tenant) config(t *testing.T) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", u.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if u.anonymous {
		return rest.AnonymousClientConfig(config)
	}
	for _, flag := range u.impersonates {
		if name, ok := strings.CutPrefix(flag, "--as="); ok {
			config.Impersonate.UserName = name
		}
		if group, ok := strings.CutPrefix(flag, "--as-group="); ok {
			config.Impersonate.Groups = append(config.Impersonate.Groups, group)
		}
	}
	return config
}
