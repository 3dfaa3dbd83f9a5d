// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

const (
	rulesFile     = "../../artifacts/deploy/components/monitoring/prometheusrule.yaml"
	dashboardFile = "../../artifacts/monitoring/dashboard.json"
)

// prometheus is a Prometheus that scrapes our server every second.
type prometheus struct{ address string }

// startPrometheus starts a real Prometheus with our rules, which the end of the test stops.
func startPrometheus(t *testing.T) *prometheus {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	manifest, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	var rule struct {
		Spec map[string]any `json:"spec"`
	}
	if err := yaml.Unmarshal(manifest, &rule); err != nil {
		t.Fatal(err)
	}
	rules, err := yaml.Marshal(rule.Spec)
	if err != nil {
		t.Fatal(err)
	}
	config, err := fleet.ServerConfig(ourServer)
	if err != nil {
		t.Fatal(err)
	}
	file := write("prometheus.yaml", fmt.Appendf(nil, `
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
- job_name: migrate-apiserver
  scheme: https
  tls_config: {ca_file: %q, cert_file: %q, key_file: %q}
  static_configs: [{targets: [%q]}]
`, write("rules.yaml", rules), config.CAFile, write("client.crt", config.CertData), write("client.key", config.KeyData), strings.TrimPrefix(config.Host, "https://")))

	run := exec.Command(filepath.Join(fleet.BinDir(), "prometheus"), "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0")
	log, err := run.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = run.Process.Kill()
		_ = run.Wait() // killed
	})
	listening := regexp.MustCompile(`msg="Listening on".* address=(127\.0\.0\.1:\d+)`)
	lines := bufio.NewScanner(log)
	var said []string
	for lines.Scan() {
		said = append(said, lines.Text())
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			go func() {
				for lines.Scan() { // so that it is never blocked
				}
			}()
			return &prometheus{found[1]}
		}
	}
	t.Fatalf("Prometheus has ended:\n%s", strings.Join(said, "\n"))
	return nil
}

// get reads the data of an answer of the API of Prometheus.
func (p *prometheus) get(t *testing.T, path string, query url.Values, data any) error {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.address+"/api/v1/"+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s %s: %s", path, query.Encode(), answer.Error)
	}
	return nil
}

// series returns how many series an expression has now.
func (p *prometheus) series(t *testing.T, expression string) (int, error) {
	t.Helper()
	var data struct{ Result []any }
	err := p.get(t, "query", url.Values{"query": {expression}}, &data)
	return len(data.Result), err
}

// TestMonitoring has a real Prometheus scrape the server during a migration, and evaluate our rules and each expression of the dashboard.
func TestMonitoring(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "monitored")
	migration{metav1.NamespaceDefault, "monitored"}.delete(t)
	members[source].apply(t, settings("monitored"))
	p := startPrometheus(t)
	eventually(t, "the server is scraped", func() (string, bool) {
		n, err := p.series(t, `up{job="migrate-apiserver"} == 1`)
		return fmt.Sprint(n, err), n == 1
	})
	resumeVelero := pauseVelero(t, source)
	m := migrate(t, manifest("monitored", only("monitored"), 2))
	m.awaitPhase(t, v1alpha1.MigratePhaseBackupInProgress)
	liveStatus(t, metav1.NamespaceDefault, "monitored")
	resumeVelero()
	m.awaitCompleted(t)
	eventually(t, "the end of the migration is scraped", func() (string, bool) {
		n, err := p.series(t, `sum(migrate_items_total{outcome="Created"}) > 0`)
		return fmt.Sprint(n, err), n == 1
	})

	content, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	expressions := regexp.MustCompile(`"expr": ("(?:[^"\\]|\\.)*")`).FindAllStringSubmatch(string(content), -1)
	if len(expressions) < 20 {
		t.Fatalf("the dashboard has %d expressions", len(expressions))
	}
	// Of what has not happened in this fleet there are no series: its server does not issue its certificate, and
	// requests may all succeed.
	mayBeEmpty := []string{"migrate_serving_certificate_expiration_timestamp_seconds", `code!~"[1234].."`}
	for _, found := range expressions {
		var expression string
		if err := json.Unmarshal([]byte(found[1]), &expression); err != nil {
			t.Fatal(err)
		}
		empty := slices.ContainsFunc(mayBeEmpty, func(part string) bool { return strings.Contains(expression, part) })
		eventually(t, "something is shown for "+expression, func() (string, bool) {
			n, err := p.series(t, strings.ReplaceAll(expression, "$__rate_interval", "1m"))
			return fmt.Sprint(n, err), err == nil && (n > 0 || empty)
		})
	}

	var data struct {
		Groups []struct {
			Rules []struct{ Name, Query, Health, LastError string }
		}
	}
	eventually(t, "all rules are evaluated", func() (string, bool) {
		if err := p.get(t, "rules", nil, &data); err != nil {
			return err.Error(), false
		}
		for _, group := range data.Groups {
			for _, rule := range group.Rules {
				if rule.Health != "ok" {
					return rule.Name + " is " + rule.Health + " " + rule.LastError, false
				}
			}
		}
		return fmt.Sprint(len(data.Groups)), len(data.Groups) == 2
	})
	var names []string
	if err := p.get(t, "label/__name__/values", nil, &names); err != nil {
		t.Fatal(err)
	}
	for _, group := range data.Groups {
		for _, rule := range group.Rules {
			for _, name := range regexp.MustCompile(`\b(?:migrate|etcd|workqueue|leader)_[a-z_0-9]+`).FindAllString(rule.Query, -1) {
				if !slices.Contains(names, name) && name != mayBeEmpty[0] {
					t.Errorf("%s is about %s, which the server does not export", rule.Name, name)
				}
			}
		}
	}
}
