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

// marker is in every field of the kubeconfigs that could hold a secret.
const marker = "s3cr3t-marker"

// part is a cluster's part of a Migrate: its kubeconfig, the reason that is told, and
// what its message says.
type part struct{ kubeconfig, reason, message string }

// hostileKubeconfigs are what a tenant may write into a Secret, by the name of the
// cluster.
func hostileKubeconfigs(t *testing.T) map[string]part {
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
	return map[string]part{
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
		"not-one":         {"password: " + marker + "\n", refused, ""},
		"not-yaml":        {"{" + marker, refused, "can't be parsed"},
		"wrong-kind":      {"apiVersion: v1\nkind: " + marker + "\n", refused, "can't be parsed"},
		"yaml-alias-bomb": {write(cluster, token) + "a: &a " + strings.Repeat(marker, 10_000) + "\nb: [" + strings.Repeat("*a,", 50_000) + "]\n", refused, "it has YAML aliases"},
	}
}

// clientCertificate is a user whom nobody knows, with the name of the marker.
func clientCertificate(t *testing.T) string {
	t.Helper()
	authority, err := pki.NewAuthority("nobody-knows")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Client(marker)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(pair.Key)
	// The key holds the marker too: in a header, which is no part of its value.
	block.Headers = map[string]string{"Note": marker}
	return "client-certificate-data: " + base64.StdEncoding.EncodeToString(pair.Certificate) +
		", client-key-data: " + base64.StdEncoding.EncodeToString(pem.EncodeToMemory(block))
}

// TestHostileKubeconfigs has the server use each of them at its highest verbosity, and
// looks through all that it writes for what was in them, and for the token of a user.
func TestHostileKubeconfigs(t *testing.T) {
	n := newNamespace(t)
	program := localfleet.ServerProgram(host.BinDir())
	// The host looks for the API once a minute where it did not find it.
	eventually(t, "the host to know the API", func(context.Context) bool {
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
	n.enroll(cases)
	n.awaitParts(map[string]part{"token": {
		reason: "MemberAddressNotAllowed", message: "it is a loopback address, which the operator of this server may allow with --member-allow-local-addresses",
	}})

	if err := host.StartServer(t.Context(), program, "-v=10"); err != nil {
		t.Fatal(err)
	}
	var written strings.Builder
	n.awaitParts(cases)
	server := direct(t)
	n.run("create", "serviceaccount", "talker")
	token := strings.TrimSpace(n.run("create", "token", "talker"))
	directAs(t, func(config *rest.Config) *rest.Config {
		config = rest.AnonymousClientConfig(config)
		config.BearerToken = token
		return config
	}).get(t, "/readyz")
	for name := range cases {
		written.WriteString(server.get(t, "/apis/backup.kurator.dev/v1alpha1/namespaces/"+n.name+"/migrates/"+name+"/status"))
	}
	written.WriteString(n.run("get", "migrates", "-o", "yaml", "--show-managed-fields"))
	written.WriteString(n.run("get", "events.v1.events.k8s.io", "-A", "-o", "yaml"))
	written.WriteString(server.get(t, "/metrics"))
	process := ourServer(t)
	log, err := os.ReadFile(process.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	for _, verbose := range []string{"/attachedclusters", "/tokenreviews", `"Response Body"`} {
		if !strings.Contains(string(log), verbose) {
			t.Errorf("the log does not hold %q, so it is not verbose", verbose)
		}
	}
	written.Write(log)
	if strings.Contains(written.String(), token) {
		t.Error("the token of a user was written")
	}
	// Some bodies would be written as a hexadecimal dump.
	if all, left := strings.Count(string(log), ` Body" body=`), strings.Count(string(log), ` Body" body="(`); all != left {
		t.Errorf("%d of %d bodies were written", all-left, all)
	}
	for form, text := range formsOf(marker) {
		if i := strings.Index(written.String(), text); i >= 0 {
			t.Errorf("%s was written, %s:\n%s", marker, form, written.String()[max(0, i-300):min(written.Len(), i+300)])
		}
	}
}

// formsOf are the ways in which a text may be written: as it is, and as a part of what
// is base64, which depends on where in it the text begins.
func formsOf(text string) map[string]string {
	forms := map[string]string{"as it is": text}
	for offset := range 3 {
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", offset) + text))
		forms[fmt.Sprintf("in base64, from %d", offset)] = encoded[4 : len(encoded)-4]
	}
	return forms
}

// enroll makes clusters of these kubeconfigs, a Fleet, and a Migrate from each.
func (n namespace) enroll(cases map[string]part) {
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

// awaitParts returns when the source's part of each of these Migrates is as it should
// be.
func (n namespace) awaitParts(want map[string]part) {
	n.t.Helper()
	missing := map[string]string{}
	err := wait.PollUntilContextTimeout(n.t.Context(), time.Second, patience, true, func(context.Context) (bool, error) {
		clear(missing)
		for line := range strings.Lines(n.run("get", "migrates", "-o", `jsonpath={range .items[*]}{.metadata.name}{"\t"}{.status.sourceClusterStatus.reason}{"\t"}{.status.sourceClusterStatus.message}{"\n"}{end}`)) {
			fields := strings.SplitN(line, "\t", 3)
			if len(fields) != 3 {
				continue // a line of a message of several
			}
			if test, ok := want[fields[0]]; ok && (fields[1] != test.reason || !strings.Contains(fields[2], test.message)) {
				missing[fields[0]] = line
			}
		}
		return len(missing) == 0, nil
	})
	if err != nil {
		n.t.Fatalf("not as they should be: %v", missing)
	}
}
