// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/test/localfleet"
	"kurator.dev/migrate-apiserver/test/localfleet/pki"
)

// marker is the value of every field of the kubeconfigs that could be a credential.
const marker = "s3cr3t-marker"

// kubeconfigCase is the kubeconfig of a cluster, the expected reason in its cluster status, and
// a part of the expected message.
type kubeconfigCase struct{ kubeconfig, reason, message string }

// hostileKubeconfigs returns kubeconfigs as a malicious tenant may write them, by the name of
// the cluster.
func hostileKubeconfigs(t *testing.T) map[string]kubeconfigCase {
	t.Helper()
	config, err := host.HostConfig()
	if err != nil {
		t.Fatal(err)
	}
	cluster := "server: '" + config.Host + "', certificate-authority-data: " + base64.StdEncoding.EncodeToString(config.CAData)
	write := func(cluster, user string) string {
		return "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n" +
			"clusters: [{name: c, cluster: {" + cluster + "}}]\nusers: [{name: u, user: {" + user + "}}]\n"
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(marker))
	token := "token: " + marker
	const refused = "KubeconfigNotAccepted"
	return map[string]kubeconfigCase{
		"token":       {write(cluster, token), "MemberUnreachable", "does not accept the credentials"},
		"password":    {write(cluster, "username: "+marker+", password: "+marker), "MemberUnreachable", `User "system:anonymous" cannot list`},
		"certificate": {write(cluster, clientCertificate(t)), "MemberUnreachable", "does not accept the credentials"},
		"exec": {
			write(cluster, "exec: {apiVersion: client.authentication.k8s.io/v1, command: "+marker+", args: ["+marker+"], env: [{name: A, value: "+marker+"}], interactiveMode: Never}"),
			refused, "exec is not allowed",
		},
		"auth-provider":   {write(cluster, "auth-provider: {name: oidc, config: {id-token: "+marker+"}}"), refused, "auth-provider is not allowed"},
		"token-file":      {write(cluster, "tokenFile: /etc/"+marker), refused, "tokenFile is a file"},
		"cert-file":       {write(cluster, "client-certificate: /"+marker+", client-key: /"+marker), refused, "client-certificate is a file"},
		"cert-garbage":    {write(cluster, "client-certificate-data: "+encoded+", client-key-data: "+encoded), refused, "not valid PEM"},
		"impersonate":     {write(cluster, token+", as: "+marker), refused, "as, as-uid, as-groups and as-user-extra are not allowed"},
		"proxy":           {write(cluster+", proxy-url: 'http://"+marker+":"+marker+"@proxy'", token), refused, "proxy-url is not allowed"},
		"insecure":        {write("server: 'https://127.0.0.1:1', insecure-skip-tls-verify: true", token), refused, "--member-allow-insecure-tls"},
		"ca-file":         {write("server: 'https://127.0.0.1:1', certificate-authority: /"+marker, token), refused, "certificate-authority is a file"},
		"plain-http":      {write("server: 'http://"+marker+"'", token), refused, "https://"},
		"unix-socket":     {write("server: 'unix:///"+marker+"'", token), refused, "https://"},
		"userinfo":        {write("server: 'https://"+marker+":"+marker+"@127.0.0.1:1'", token), refused, "no user"},
		"no-config":       {"password: " + marker + "\n", refused, ""},
		"not-yaml":        {"{" + marker, refused, "can't be parsed"},
		"wrong-kind":      {"apiVersion: v1\nkind: " + marker + "\n", refused, "can't be parsed"},
		"yaml-alias-bomb": {write(cluster, token) + "a: &a " + strings.Repeat(marker, 10_000) + "\nb: [" + strings.Repeat("*a,", 50_000) + "]\n", refused, "it has YAML aliases"},
	}
}

// clientCertificate returns kubeconfig fields with a certificate for user marker, signed by an
// authority that the member does not trust.
func clientCertificate(t *testing.T) string {
	t.Helper()
	authority, err := pki.NewAuthority("unknown")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Client(marker)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(pair.Key)
	// A PEM header adds the marker to the key and keeps the key valid.
	block.Headers = map[string]string{"Note": marker}
	return "client-certificate-data: " + base64.StdEncoding.EncodeToString(pair.Certificate) +
		", client-key-data: " + base64.StdEncoding.EncodeToString(pem.EncodeToMemory(block))
}

// TestKubeconfigContentIsNotLeaked runs the server at its highest verbosity with each hostile
// kubeconfig. No log, status, Event or metric may contain the marker or the token of a user.
func TestKubeconfigContentIsNotLeaked(t *testing.T) {
	n := newNamespace(t)
	program := localfleet.ServerProgram(host.BinDir())
	// If the host finds an API unavailable, it fetches its schemas again only after a minute.
	eventually(t, "the host to have the schemas", func(context.Context) bool {
		_, err := n.try("", "explain", "migrate")
		return err == nil
	})
	t.Cleanup(func() {
		if err := host.StartServer(context.Background(), program); err != nil {
			t.Error(err)
		}
	})
	if err := host.StartServer(t.Context(), program, "-v=10", "--member-allow-local-addresses=false"); err != nil {
		t.Fatal(err)
	}
	cases := hostileKubeconfigs(t)
	n.createClusters(cases)
	n.awaitReports(map[string]kubeconfigCase{"token": {
		reason: "MemberAddressNotAllowed", message: "it is a loopback address, which the operator of this server may allow with --member-allow-local-addresses",
	}})

	if err := host.StartServer(t.Context(), program, "-v=10"); err != nil {
		t.Fatal(err)
	}
	var output strings.Builder
	n.awaitReports(cases)
	server := directClient(t)
	n.run("create", "serviceaccount", "client")
	token := strings.TrimSpace(n.run("create", "token", "client"))
	directClientAs(t, func(config *rest.Config) *rest.Config {
		config = rest.AnonymousClientConfig(config)
		config.BearerToken = token
		return config
	}).get(t, "/readyz")
	for name := range cases {
		output.WriteString(server.get(t, "/apis/backup.kurator.dev/v1alpha1/namespaces/"+n.name+"/migrates/"+name+"/status"))
	}
	output.WriteString(n.run("get", "migrates", "-o", "yaml", "--show-managed-fields"))
	output.WriteString(n.run("get", "events.v1.events.k8s.io", "-A", "-o", "yaml"))
	output.WriteString(server.get(t, "/metrics"))
	process := ourServer(t)
	log, err := os.ReadFile(process.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"/attachedclusters", "/tokenreviews", `"Response Body"`} {
		if !strings.Contains(string(log), want) {
			t.Errorf("the log is not verbose enough: it does not contain %q", want)
		}
	}
	output.Write(log)
	if strings.Contains(output.String(), token) {
		t.Error("the token of a user was leaked")
	}
	// The log has the size of each body instead of its content. The search for the marker
	// would miss a hexadecimal dump.
	if all, sizes := strings.Count(string(log), ` Body" body=`), strings.Count(string(log), ` Body" body="(`); all != sizes {
		t.Errorf("%d of %d bodies were logged", all-sizes, all)
	}
	for encoding, text := range encodings(marker) {
		if i := strings.Index(output.String(), text); i >= 0 {
			t.Errorf("%s was leaked, %s:\n%s", marker, encoding, output.String()[max(0, i-300):min(output.Len(), i+300)])
		}
	}
}

// encodings returns a text as it is and in base64. Within longer base64 data, its encoding
// depends on its offset modulo 3.
func encodings(text string) map[string]string {
	encoded := map[string]string{"as it is": text}
	for offset := range 3 {
		all := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", offset) + text))
		encoded[fmt.Sprintf("in base64 at offset %d", offset)] = all[4 : len(all)-4]
	}
	return encoded
}

// createClusters creates a cluster for each kubeconfig, a Fleet of all of them, and a Migrate
// with each as its source.
func (n namespace) createClusters(cases map[string]kubeconfigCase) {
	n.t.Helper()
	var objects, statuses, members strings.Builder
	for name, test := range cases {
		attached := "---\napiVersion: cluster.kurator.dev/v1alpha1\nkind: AttachedCluster\nmetadata: {name: " + name + "}\n"
		fmt.Fprintf(&objects, "---\napiVersion: v1\nkind: Secret\nmetadata: {name: kubeconfig-%s}\ndata: {value: %s}\n",
			name, base64.StdEncoding.EncodeToString([]byte(test.kubeconfig)))
		objects.WriteString(attached + "spec: {kubeconfig: {name: kubeconfig-" + name + ", key: value}}\n")
		statuses.WriteString(attached + "status: {ready: true}\n")
		fmt.Fprintf(&members, "{kind: AttachedCluster, name: %s}, ", name)
	}
	fmt.Fprintf(&objects, "---\napiVersion: fleet.kurator.dev/v1alpha1\nkind: Fleet\nmetadata: {name: hostile}\nspec: {clusters: [%s]}\n", members.String())
	for name := range cases {
		fmt.Fprintf(&objects, `---
apiVersion: backup.kurator.dev/v1alpha1
kind: Migrate
metadata: {name: %s}
spec:
  sourceCluster: {fleet: hostile, clusters: [{kind: AttachedCluster, name: %s}]}
  targetCluster: {fleet: hostile}
`, name, name)
	}
	n.run("apply", "--server-side", "-f", n.file("objects.yaml", objects.String(), 0o600))
	n.run("apply", "--server-side", "--subresource=status", "--field-manager=status", "-f", n.file("statuses.yaml", statuses.String(), 0o600))
}

// awaitReports waits until the status of the source cluster of each of these Migrates is as
// expected.
func (n namespace) awaitReports(want map[string]kubeconfigCase) {
	n.t.Helper()
	missing := map[string]string{}
	err := wait.PollUntilContextTimeout(n.t.Context(), time.Second, waitTimeout, true, func(context.Context) (bool, error) {
		clear(missing)
		for line := range strings.Lines(n.run("get", "migrates", "-o", `jsonpath={range .items[*]}{.metadata.name}{"\t"}{.status.sourceClusterStatus.reason}{"\t"}{.status.sourceClusterStatus.message}{"\n"}{end}`)) {
			fields := strings.SplitN(line, "\t", 3)
			if len(fields) != 3 {
				continue // a further line of a message
			}
			if test, ok := want[fields[0]]; ok && (fields[1] != test.reason || !strings.Contains(fields[2], test.message)) {
				missing[fields[0]] = line
			}
		}
		return len(missing) == 0, nil
	})
	if err != nil {
		n.t.Fatalf("these differ: %v", missing)
	}
}
