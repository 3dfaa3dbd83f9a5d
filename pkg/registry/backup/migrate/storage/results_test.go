// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package storage_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/registry/rest"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/migrate/storage"
)

// fakeResults has the items and volumes of a cluster by their names, and an error.
type fakeResults map[string]struct {
	items, volumes []string
	err            error
	panics         bool
}

func (f fakeResults) Results(ctx context.Context, _ *v1alpha1.Migrate, of migration.Operation, to migration.ResultsVisitor) (errs, warnings []string, err error) {
	results := f[of.Cluster.Name]
	for _, name := range results.items {
		outcome := v1alpha1.ItemCreated
		if strings.HasPrefix(name, "kept") {
			outcome = v1alpha1.ItemKept
		}
		if err := to.Item(v1alpha1.ItemResult{Resource: "ConfigMap", Name: name, Outcome: outcome}); err != nil {
			return nil, nil, fmt.Errorf("reading: %w", err)
		}
	}
	for _, name := range results.volumes {
		if err := to.Volume(v1alpha1.VolumeResult{Claim: name, Outcome: v1alpha1.VolumeMoved}); err != nil {
			return []string{"error of " + of.Cluster.Name}, nil, err
		}
	}
	if results.panics {
		panic("in the results")
	}
	return []string{"error of " + of.Cluster.Name}, nil, errors.Join(results.err, context.Cause(ctx))
}

// newResults returns the subresource of a Migrate from m1 to m2 and m3, with a left-out resource in m1.
func newResults(t *testing.T, fake fakeResults) *storage.ResultsREST {
	t.Helper()
	s := newStorage(t)
	m, err := v1alpha1Of(create(t, s, newMigrate()))
	if err != nil {
		t.Fatal(err)
	}
	cluster := func(name string) v1alpha1.ClusterStatus {
		return v1alpha1.ClusterStatus{ClusterKind: "AttachedCluster", ClusterName: name}
	}
	m.Status.SourceClusterStatus = &v1alpha1.BackupDetails{ClusterStatus: cluster("m1")}
	m.Status.SourceClusterStatus.Exceptions = []v1alpha1.ItemResult{
		{Resource: "ovens", Outcome: v1alpha1.ItemLeftOut}, {Resource: "ConfigMap", Name: "data", Outcome: v1alpha1.ItemWithoutData},
	}
	for _, name := range []string{"m2", "m3"} {
		m.Status.TargetClusterStatus = append(m.Status.TargetClusterStatus, v1alpha1.RestoreDetails{ClusterStatus: cluster(name)})
	}
	if _, err := s.Client.Record(testContext(), m); err != nil {
		t.Fatal(err)
	}
	return storage.NewResultsREST(s.Migrate, fake)
}

// v1alpha1Of returns the Migrate in the version of the API.
func v1alpha1Of(internal *backup.Migrate) (*v1alpha1.Migrate, error) {
	m := &v1alpha1.Migrate{}
	return m, v1alpha1.Convert_backup_Migrate_To_v1alpha1_Migrate(internal, m, nil)
}

// getResults reads results by options.
func getResults(t *testing.T, r *storage.ResultsREST, options backup.MigrateResultsOptions) (results v1alpha1.MigrateResults, err error) {
	t.Helper()
	found, err := r.Get(testContext(), "select-labels", &options)
	if err != nil {
		return results, err
	}
	stream, _, mimeType, err := found.(rest.ResourceStreamer).InputStream(testContext(), "", "")
	if err != nil {
		return results, err
	}
	defer func() { _ = stream.Close() }()
	text, err := io.ReadAll(stream)
	if err != nil {
		return results, err
	}
	if mimeType != "application/json" {
		t.Errorf("media type %s", mimeType)
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&results); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return results, nil
}

// namesOf returns the clusters with the names of their items, volumes and errors.
func namesOf(results v1alpha1.MigrateResults) (all []string) {
	for _, cluster := range results.Clusters {
		for _, item := range cluster.Items {
			all = append(all, cluster.ClusterName+" "+item.Resource+" "+item.Name)
		}
		for _, volume := range cluster.Volumes {
			all = append(all, cluster.ClusterName+" volume "+volume.Claim)
		}
		for _, item := range cluster.LeftOut {
			all = append(all, cluster.ClusterName+" left out "+item.Resource)
		}
		for _, message := range append(cluster.Errors, cluster.Unavailable) {
			if message != "" {
				all = append(all, cluster.ClusterName+" "+message)
			}
		}
	}
	return all
}

func TestResultsInPages(t *testing.T) {
	r := newResults(t, fakeResults{
		"m1": {items: []string{"a", "b"}, volumes: []string{"v"}}, "m2": {items: []string{"a", "kept-b"}, volumes: []string{"v", "w"}},
		"m3": {items: []string{"kept-a"}, err: errors.New("no route to the storage")},
	})
	whole, err := getResults(t, r, backup.MigrateResultsOptions{})
	if err != nil || whole.Kind != "MigrateResults" || whole.APIVersion != "backup.kurator.dev/v1alpha1" || whole.Continue != "" {
		t.Errorf("%+v, %v", whole, err)
	}
	want := []string{
		"m1 ConfigMap a", "m1 ConfigMap b", "m1 volume v", "m1 left out ovens", "m1 error of m1",
		"m2 ConfigMap a", "m2 ConfigMap kept-b", "m2 volume v", "m2 volume w", "m2 error of m2",
		"m3 ConfigMap kept-a", "m3 error of m3", "m3 no route to the storage",
	}
	if d := cmp.Diff(want, namesOf(whole)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(v1alpha1.ClusterResults{ClusterName: "m3", ClusterKind: "AttachedCluster", Stage: "restore"}, whole.Clusters[2],
		cmp.FilterPath(func(p cmp.Path) bool {
			return slices.Contains([]string{"Items", "Errors", "Unavailable"}, p.Last().String()[1:])
		}, cmp.Ignore())); d != "" {
		t.Error(d)
	}
	for limit := range int64(12) {
		var got []string
		options := backup.MigrateResultsOptions{Limit: limit + 1}
		for pages := 0; ; pages++ {
			page, err := getResults(t, r, options)
			if err != nil || pages > 10 {
				t.Fatal(pages, err)
			}
			got = append(got, namesOf(page)...)
			if options.Continue = page.Continue; page.Continue == "" {
				break
			}
		}
		slices.Sort(got)
		if d := cmp.Diff(slices.Sorted(slices.Values(want)), got); d != "" {
			t.Errorf("with limit %d: %s", limit+1, d)
		}
	}
}

func TestResultsOfAClusterAndAnOutcome(t *testing.T) {
	r := newResults(t, fakeResults{"m2": {items: []string{"a", "kept-b", "c"}, volumes: []string{"v"}}})
	for name, tt := range map[string]struct {
		options backup.MigrateResultsOptions
		want    []string
	}{
		"cluster": {backup.MigrateResultsOptions{Cluster: "m2"}, []string{"m2 ConfigMap a", "m2 ConfigMap kept-b", "m2 ConfigMap c", "m2 volume v", "m2 error of m2"}},
		"outcome": {backup.MigrateResultsOptions{Cluster: "m2", Outcome: "Kept"}, []string{"m2 ConfigMap kept-b", "m2 error of m2"}},
		"volumes": {backup.MigrateResultsOptions{Outcome: "Moved"}, []string{"m1 error of m1", "m2 volume v", "m2 error of m2", "m3 error of m3"}},
	} {
		if got, err := getResults(t, r, tt.options); err != nil || !slices.Equal(namesOf(got), tt.want) {
			t.Errorf("%s: %q, %v", name, namesOf(got), err)
		}
	}
	for name, tt := range map[string]struct {
		options backup.MigrateResultsOptions
		want    string
	}{
		"unknown cluster":   {backup.MigrateResultsOptions{Cluster: "m9"}, "m9 is not a cluster of this migration; the source is m1, the targets are m2, m3"},
		"unknown outcome":   {backup.MigrateResultsOptions{Outcome: "Lost"}, `outcome is "Lost"; it must be one of [BackedUp Created Updated Unchanged Moved Kept Failed LeftOut WithoutData]`},
		"negative limit":    {backup.MigrateResultsOptions{Limit: -1}, "limit is -1; it must not be negative"},
		"invalid continue":  {backup.MigrateResultsOptions{Continue: "e30%"}, "continue is not a metadata.continue of these results"},
		"negative position": {backup.MigrateResultsOptions{Continue: "eyJza2lwIjotMX0"}, "continue is not a metadata.continue of these results"},
	} {
		if _, err := getResults(t, r, tt.options); !apierrors.IsBadRequest(err) || err.Error() != tt.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := getResults(t, r, backup.MigrateResultsOptions{Continue: "e30"}); !apierrors.IsResourceExpired(err) {
		t.Errorf("continue of another Migrate: %v", err)
	}
}

// TestResultsThatEndEarly has results that panic, and a reader that leaves.
func TestResultsThatEndEarly(t *testing.T) {
	many := make([]string, 10_000)
	r := newResults(t, fakeResults{"m1": {panics: true}, "m2": {items: many}})
	if _, err := getResults(t, r, backup.MigrateResultsOptions{Cluster: "m1"}); err == nil || !strings.Contains(err.Error(), "panic") {
		t.Errorf("a panic: %v", err)
	}
	for range 25 { // more than a user may read at the same time
		found, err := r.Get(testContext(), "select-labels", &backup.MigrateResultsOptions{Cluster: "m2"})
		if err != nil {
			t.Fatal(err)
		}
		stream, _, _, err := found.(rest.ResourceStreamer).InputStream(testContext(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		if err := stream.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
