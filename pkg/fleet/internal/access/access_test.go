// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clientauthentication "k8s.io/client-go/pkg/apis/clientauthentication/v1"
	clientcmdv1 "k8s.io/client-go/tools/clientcmd/api/v1"
)

func TestLoad(t *testing.T) {
	const good = `{"providers": [{"name": "a", "execConfig": {"apiVersion": "client.authentication.k8s.io/v1", "command": "true", "args": null, "env": null, "provideClusterInfo": true}}]}`
	for text, want := range map[string]string{
		good: "",
		strings.Replace(good, `"provideClusterInfo"`, `"interactiveMode": "Never", "installHint": "install it", "provideClusterInfo"`, 1): "",
		`providers: []`: "providers is empty",
		`other: []`:     "unknown field",
		strings.Replace(good, `"name": "a", `, "", 1):                                         "providers[0]: name is empty",
		strings.Replace(good, `"command": "true", `, "", 1):                                   `execConfig.command of "a" is empty`,
		strings.Replace(good, "k8s.io/v1", "k8s.io/v1alpha1", 1):                              "use one of client.authentication.k8s.io/v1, client.authentication.k8s.io/v1beta1",
		strings.Replace(good, `"name"`, `"profileSourcedCLIArgsPolicy": "Append", "name"`, 1): "must be Ignore",
		strings.Replace(good, `"name"`, `"profileSourcedEnvVarsPolicy": "Ignore", "name"`, 1): "",
		strings.Replace(good, `"args"`, `"interactiveMode": "Always", "args"`, 1):             "is Always",
		strings.Replace(good, "}]}", `}, {"name": "a", "execConfig": {}}]}`, 1):               `name "a" is there twice`,
	} {
		file := write(t, "providers", text)
		_, err := Load(file)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot %v, want %q", text, err, want)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a missing file is read")
	}
}

func TestKubeconfigIsRenewed(t *testing.T) {
	dir := t.TempDir()
	p := providers(t, `echo run >>`+dir+`/runs; [ ! -e `+dir+`/broken ] && cat `+dir+`/answer`)
	now := time.Now()
	p.now = func() time.Time { return now }
	answer := func(expires string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "answer"), []byte(`{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "t"`+expires+`}}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kubeconfig := func(of Provider) error {
		_, err := p.Kubeconfig(t.Context(), "key", []Provider{of})
		return err
	}
	first := Provider{Name: "a", Cluster: clientcmdv1.Cluster{Server: "https://one"}}
	second := Provider{Name: "a", Cluster: clientcmdv1.Cluster{Server: "https://two"}}
	ran := 0
	// settled waits until no program runs.
	settled := func(of Provider) {
		t.Helper()
		encoded, err := json.Marshal(of)
		if err != nil {
			t.Fatal(err)
		}
		hash := sha256.Sum256(encoded)
		<-p.running.DoChan("key"+string(hash[:]), func() (any, error) { return nil, nil })
	}
	expect := func(what string, of Provider, more int, fails bool) {
		t.Helper()
		if err := kubeconfig(of); (err != nil) != fails {
			t.Errorf("%s: got %v, want an error: %v", what, err, fails)
		}
		settled(of)
		content, _ := os.ReadFile(filepath.Join(dir, "runs"))
		if got := strings.Count(string(content), "run"); got != ran+more {
			t.Errorf("%s: the program ran %d times, want %d", what, got-ran, more)
		}
		ran += more
	}

	answer(fmt.Sprintf(`, "expirationTimestamp": %q`, now.Add(time.Hour).UTC().Format(time.RFC3339)))
	expect("the first time", first, 1, false)
	expect("again", first, 0, false)
	expect("a cluster at another address", second, 1, false)
	p.Forget("key")
	expect("new credentials that the cluster refuses", second, 0, false)
	now = now.Add(31 * time.Second)
	p.Forget("key")
	expect("credentials that the cluster refuses", second, 1, false)
	now = now.Add(57 * time.Minute)
	expect("before they expire", second, 0, false)
	now = now.Add(91 * time.Second)
	broken := filepath.Join(dir, "broken")
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	expect("a program that fails while the credentials are good", second, 1, false)
	expect("a moment later", second, 0, false)
	now = now.Add(time.Minute)
	expect("a program that fails after they expired", second, 1, true)
	expect("a moment after that", second, 0, true)
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	answer("")
	now = now.Add(time.Minute)
	expect("without an expiration", second, 1, false)
	now = now.Add(9 * time.Minute)
	expect("for some minutes", second, 0, false)
	now = now.Add(2 * time.Minute)
	expect("and then again, in the background", second, 1, false)
}

func TestKubeconfigRunsAProgramOnceAtATime(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "go-on")
	p := providers(t, `echo run >>`+dir+`/runs; while [ ! -e `+pipe+` ]; do sleep 0.01; done; echo '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "t"}}'`)
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if _, err := p.Kubeconfig(t.Context(), "key", []Provider{{Name: "a"}}); err != nil {
				t.Error(err)
			}
		})
	}
	if err := os.WriteFile(pipe, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	if content, _ := os.ReadFile(filepath.Join(dir, "runs")); strings.Count(string(content), "run") != 1 {
		t.Errorf("it ran %q", content)
	}
}

func TestExecute(t *testing.T) {
	const good = `"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"`
	cluster := clientcmdv1.Cluster{Server: "https://one", TLSServerName: "name", CertificateAuthorityData: []byte("ca")}
	if err := json.Unmarshal([]byte(`[{"name": "client.authentication.k8s.io/exec", "extension": {"audience": "a"}}, {"name": "clusterprofiles.multicluster.x-k8s.io/exec/additional-args", "extension": ["--evil"]}]`), &cluster.Extensions); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ script, want string }{
		"a token":                       {`echo '{` + good + `, "status": {"token": "t"}}'`, ""},
		"the input":                     {`[ "$KUBERNETES_EXEC_INFO" = '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"cluster":{"server":"https://one","tls-server-name":"name","certificate-authority-data":"Y2E=","config":{"audience":"a"}},"interactive":false}}' ] && [ $# = 1 ] && [ "$1" = arg ] && [ "$SETTING" = value ] && echo '{` + good + `, "status": {"token": "t"}}'`, ""},
		"a client certificate":          {`echo '{` + good + `, "status": {"clientCertificateData": "c", "clientKeyData": "k"}}'`, ""},
		"a certificate without key":     {`echo '{` + good + `, "status": {"clientCertificateData": "c"}}'`, "without its key"},
		"nothing":                       {`true`, "wrote no ExecCredential in JSON"},
		"no JSON":                       {`echo s3cret`, "wrote no ExecCredential in JSON"},
		"no status":                     {`echo '{` + good + `}'`, "neither a token nor a client certificate"},
		"another version":               {`echo '{"apiVersion": "v2", "kind": "ExecCredential", "status": {"token": "s3cret"}}'`, "wrote no ExecCredential of client.authentication.k8s.io/v1"},
		"a failure":                     {`echo s3cret; exit 3`, "exit status 3"},
		"more than it may":              {`head -c 2000000 /dev/zero`, "1 MiB"},
		"a child that keeps the output": {`(exec sleep 1000) & echo '{` + good + `, "status": {"token": "t"}}'`, "WaitDelay"},
	} {
		t.Run(name, func(t *testing.T) {
			config := &clientcmdv1.ExecConfig{
				APIVersion: clientauthentication.SchemeGroupVersion.String(), Command: scriptFile(t, tc.script), Args: []string{"arg"},
				Env: []clientcmdv1.ExecEnvVar{{Name: "SETTING", Value: "value"}}, ProvideClusterInfo: true,
			}
			_, err := execute(t.Context(), config, cluster)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("leaks: %v", err)
			}
		})
	}
	if _, err := execute(t.Context(), &clientcmdv1.ExecConfig{Command: "no-such-program", InstallHint: "install it"}, cluster); err == nil || !strings.Contains(err.Error(), "install it") {
		t.Errorf("a missing program: %v", err)
	}
}

func providers(t *testing.T, script string) *Providers {
	t.Helper()
	p, err := Load(write(t, "providers", "providers: [{name: a, execConfig: {apiVersion: client.authentication.k8s.io/v1, command: "+scriptFile(t, script)+"}}]"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func scriptFile(t *testing.T, script string) string {
	t.Helper()
	return write(t, "program", "#!/bin/sh\n"+script+"\n")
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}
