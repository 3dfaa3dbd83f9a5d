// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package clientmetrics

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/metrics/legacyregistry"
)

// TestRequestsByCluster sends requests by a real client, and reads the registry.
func TestRequestsByCluster(t *testing.T) {
	Register()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/odd" {
			w.WriteHeader(799)
			return
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	client := kubernetes.NewForConfigOrDie(&rest.Config{Host: server.URL}).RESTClient()
	for _, ctx := range []context.Context{t.Context(), WithCluster(t.Context(), "team-a", "member1"), WithCluster(t.Context(), "team-b", "member1")} {
		if err := client.Get().AbsPath("/version").Do(ctx).Error(); err == nil {
			t.Fatal("the request succeeds")
		}
	}
	if err := client.Get().AbsPath("/odd").Do(t.Context()).Error(); err == nil {
		t.Fatal("the request succeeds")
	}
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), "rest_client_request") {
			for _, metric := range family.GetMetric() {
				text := family.GetName()
				for _, label := range metric.GetLabel() {
					text += " " + label.GetValue()
				}
				found = append(found, fmt.Sprint(text, " ", metric.GetCounter().GetValue()+float64(metric.GetHistogram().GetSampleCount())))
			}
		}
	}
	want := `rest_client_request_duration_seconds host GET 2
rest_client_request_duration_seconds team-a/member1 GET 1
rest_client_request_duration_seconds team-b/member1 GET 1
rest_client_requests_total host 403 GET 1
rest_client_requests_total host other GET 1
rest_client_requests_total team-a/member1 403 GET 1
rest_client_requests_total team-b/member1 403 GET 1`
	if got := strings.Join(found, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestClustersAreBounded(t *testing.T) {
	b := bounded{known: map[string]bool{}}
	for i := range maxClusters {
		name := fmt.Sprint(i)
		if got := b.of(WithCluster(t.Context(), "team", name)); got != "team/"+name {
			t.Fatalf("cluster %d is %s", i, got)
		}
	}
	for name, want := range map[string]string{"more": "others", "0": "team/0"} {
		if got := b.of(WithCluster(t.Context(), "team", name)); got != want {
			t.Errorf("cluster %s is %s, want %s", name, got, want)
		}
	}
}
