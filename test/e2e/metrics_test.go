// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// scrape returns the metrics of the server, by the names of their families.
func scrape(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	config, err := fleet.ServerConfig(ourServer)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Get(config.Host + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatal(response.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// value returns the sum of the metrics of a family whose labels are as given: of their values, or of how many observations they have.
func value(families map[string]*dto.MetricFamily, name string, labels map[string]string) (sum float64) {
	for _, metric := range families[name].GetMetric() {
		matching := 0
		for _, label := range metric.GetLabel() {
			if labels[label.GetName()] == label.GetValue() {
				matching++
			}
		}
		if matching == len(labels) {
			sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

// TestMetrics migrates an item, and reads what the metrics say of it.
func TestMetrics(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "measured")
	migration{metav1.NamespaceDefault, "measured"}.delete(t)
	members[source].apply(t, settings("measured"))
	before := scrape(t)
	resumeVelero := pauseVelero(t, source)
	m := migrate(t, manifest("measured", only("measured"), 2))
	m.awaitPhase(t, v1alpha1.MigratePhaseBackupInProgress)
	liveStatus(t, metav1.NamespaceDefault, "measured")
	eventually(t, "the migration is counted", func() (string, bool) {
		n := value(scrape(t), "migrate_migrations", map[string]string{"phase": "BackupInProgress"})
		return fmt.Sprint(n), n >= 1
	})
	resumeVelero()
	m.awaitCompleted(t)
	eventually(t, "the migration is counted no more", func() (string, bool) {
		n := value(scrape(t), "migrate_migrations", nil)
		return fmt.Sprint(n), n == value(before, "migrate_migrations", nil)
	})
	after := scrape(t)
	for _, tt := range []struct {
		name   string
		labels map[string]string
		least  float64
	}{
		{"migrate_migrations_ended_total", map[string]string{"phase": "Completed"}, 1},
		{"migrate_migration_duration_seconds", map[string]string{"phase": "Completed"}, 1},
		{"migrate_stage_duration_seconds", map[string]string{"stage": "backup", "phase": "Completed"}, 1},
		{"migrate_stage_duration_seconds", map[string]string{"stage": "restore", "phase": "Completed"}, 1},
		{"migrate_clusters_ended_total", map[string]string{"stage": "restore", "phase": "Completed", "reason": "RestoreCompleted"}, 1},
		{"migrate_wait_duration_seconds", map[string]string{"reason": "WaitingForBackup"}, 1},
		{"migrate_items_total", map[string]string{"outcome": "Created"}, 1},
		{"migrate_live_read_duration_seconds", map[string]string{"result": "success"}, 1},
		{"migrate_member_requests_total", nil, 1},
		{"rest_client_requests_total", map[string]string{"cluster": "default/kurator-member1", "method": "POST", "code": "201"}, 1},
		{"rest_client_requests_total", map[string]string{"cluster": "default/kurator-member2", "method": "POST", "code": "201"}, 1},
		{"rest_client_requests_total", map[string]string{"cluster": "host"}, 1},
		{"rest_client_request_duration_seconds", map[string]string{"cluster": "default/kurator-member1"}, 1},
		{"workqueue_adds_total", map[string]string{"name": "migrates"}, 1},
		{"workqueue_queue_duration_seconds", map[string]string{"name": "migrates"}, 1},
	} {
		if more := value(after, tt.name, tt.labels) - value(before, tt.name, tt.labels); more < tt.least {
			t.Errorf("%s%v has grown by %v", tt.name, tt.labels, more)
		}
	}
	for _, name := range []string{
		"migrate_migrations_stalled", "migrate_results_unavailable_total", "migrate_volume_bytes_total", "migrate_member_write_errors_total", "migrate_member_watched",
		"migrate_member_unreachable", "migrate_member_cache_bytes", "workqueue_depth", "leader_election_master_status", "migrate_panics_total",
	} {
		if after[name] == nil {
			t.Errorf("there is no metric %s", name)
		}
	}
}
