// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/storage/etcd3/testserver"
	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/cmd/migrate-apiserver/app/options"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/apiserver"
	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned"
	clientv1alpha1 "kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned/typed/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/migrate/storage"
)

func TestRestartKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	first := start(t, dir, waitForEnd)
	created := create(t, first)
	first.stop(t)

	second := start(t, dir, waitForEnd)
	kept, err := second.migrates("default").Get(t.Context(), "select-labels", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(created, kept); diff != "" {
		t.Errorf("(-created +kept)\n%s", diff)
	}
	second.stop(t)
}

func TestTheDriverStopsBeforeTheServer(t *testing.T) {
	var read, recorded error
	s := start(t, t.TempDir(), func(ctx context.Context, s *server) error {
		<-ctx.Done()
		// The driver finishes its work through the API and the client in the process.
		m, err := s.migrates("default").Get(context.WithoutCancel(ctx), "select-labels", metav1.GetOptions{})
		if read = err; err != nil {
			return nil
		}
		m.Status.Phase = v1alpha1.MigratePhasePending
		_, recorded = s.inProcess.Record(context.WithoutCancel(ctx), m)
		return nil
	})
	create(t, s)
	s.stop(t)
	if read != nil || recorded != nil {
		t.Errorf("the driver could not finish: read %v, recorded %v", read, recorded)
	}
}

func TestShutdownEndsWatches(t *testing.T) {
	s := start(t, t.TempDir(), waitForEnd)
	create(t, s)
	watch, err := s.migrates("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watch.Stop)
	if event := <-watch.ResultChan(); event.Type != "ADDED" {
		t.Fatalf("got %v, want ADDED", event)
	}
	start := time.Now()
	s.stop(t)
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("an open watch delayed the stop by %s", took)
	}
	if event, open := <-watch.ResultChan(); open {
		t.Errorf("the watch is still open: %v", event)
	}
}

func TestEndedDriverFailsHealthz(t *testing.T) {
	release := make(chan struct{})
	s := start(t, t.TempDir(), func(ctx context.Context, _ *server) error {
		select {
		case <-release:
			return errors.New("no more")
		case <-ctx.Done():
			return nil
		}
	})
	if _, err := s.get("/livez"); err != nil {
		t.Errorf("livez while the driver runs: %v", err)
	}
	close(release)
	unhealthy := func(context.Context) (bool, error) {
		body, err := s.get("/livez?verbose")
		return err != nil && strings.Contains(body, "[-]migrate-driver failed"), nil
	}
	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, unhealthy); err != nil {
		t.Errorf("livez after the driver has ended: %v", err)
	}
	s.stop(t)
}

// TestStuckDriverFailsLivez: a stuck driver restarts the replica, which is ready until then
// because it serves.
func TestStuckDriverFailsLivez(t *testing.T) {
	s := start(t, t.TempDir(), waitForEnd, func(s *server, _ *options.Options) {
		s.checks = []healthz.HealthChecker{healthz.NamedCheck("standstill", func(*http.Request) error {
			return errors.New("the sync of Migrate default/app has not returned")
		})}
	})
	if body, err := s.get("/livez?verbose"); err == nil || !strings.Contains(body, "[-]standstill failed") {
		t.Errorf("livez: %s, %v", body, err)
	}
	if _, err := s.get("/readyz"); err != nil {
		t.Errorf("readyz: %v", err)
	}
	s.stop(t)
}

// TestFullStorage: what an etcd that is full still does is read and delete, so the server stays ready.
func TestFullStorage(t *testing.T) {
	s := start(t, t.TempDir(), waitForEnd)
	created := create(t, s)
	if _, err := s.etcd.Server.Alarm(t.Context(), &etcdserverpb.AlarmRequest{
		Action: etcdserverpb.AlarmRequest_ACTIVATE, Alarm: etcdserverpb.AlarmType_NOSPACE, MemberID: uint64(s.etcd.Server.MemberID()),
	}); err != nil {
		t.Fatal(err)
	}
	another := created.DeepCopy()
	another.ObjectMeta = metav1.ObjectMeta{Name: "another"}
	_, createErr := s.migrates("default").Create(t.Context(), another, metav1.CreateOptions{})
	changed := created.DeepCopy()
	changed.Labels = map[string]string{"a": "b"}
	_, updateErr := s.migrates("default").Update(t.Context(), changed, metav1.UpdateOptions{})
	for what, err := range map[string]error{"create": createErr, "update": updateErr} {
		if status := apierrors.APIStatus(nil); !errors.As(err, &status) || status.Status().Code != http.StatusInsufficientStorage || !strings.Contains(err.Error(), "migrate-apiserver etcd defrag") {
			t.Errorf("%s: %v, want 507", what, err)
		}
	}
	if _, err := s.migrates("default").Get(t.Context(), created.Name, metav1.GetOptions{}); err != nil {
		t.Errorf("get: %v", err)
	}
	if err := s.migrates("default").Delete(t.Context(), created.Name, metav1.DeleteOptions{}); err != nil {
		t.Errorf("delete: %v", err)
	}
	if body, err := s.get("/readyz?verbose"); err != nil {
		t.Errorf("readyz of a full storage: %s", body)
	}
	s.stop(t)
}

// TestStoredVersion checks that what is stored carries its version, so that a server of another version knows what it reads.
func TestStoredVersion(t *testing.T) {
	s := start(t, t.TempDir(), waitForEnd)
	create(t, s)
	stored, err := s.etcd.Server.Range(t.Context(), &etcdserverpb.RangeRequest{Key: []byte("/migrate.kurator.dev/backup.kurator.dev/migrates/default/select-labels")})
	if err != nil || len(stored.Kvs) != 1 {
		t.Fatalf("%v, %v", stored, err)
	}
	if value, want := string(stored.Kvs[0].Value), `{"kind":"Migrate","apiVersion":"backup.kurator.dev/v1alpha1",`; !strings.HasPrefix(value, want) {
		t.Errorf("stored %s", value)
	}
	s.stop(t)
}

// TestHistoryIsCompacted checks that etcd keeps the history of what was changed for an interval only.
func TestHistoryIsCompacted(t *testing.T) {
	s := start(t, t.TempDir(), waitForEnd, func(_ *server, o *options.Options) {
		o.Recommended.Etcd.StorageConfig.CompactionInterval = 50 * time.Millisecond
	})
	m := create(t, s)
	compacted := func(ctx context.Context) (bool, error) {
		m.Labels = map[string]string{"a": m.ResourceVersion}
		var err error
		if m, err = s.migrates("default").Update(ctx, m, metav1.UpdateOptions{}); err != nil {
			return false, err
		}
		_, err = s.etcd.Server.Range(ctx, &etcdserverpb.RangeRequest{Key: []byte("/"), Revision: 2})
		return errors.Is(err, mvcc.ErrCompacted), nil
	}
	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, compacted); err != nil {
		t.Error(err)
	}
	s.stop(t)
}

func TestProtobufIsNotOffered(t *testing.T) {
	s := start(t, t.TempDir(), waitForEnd)
	create(t, s)
	protobufFirst := rest.CopyConfig(s.rest)
	protobufFirst.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	client, err := versioned.NewForConfig(protobufFirst)
	if err != nil {
		t.Fatal(err)
	}
	listed, err := client.BackupV1alpha1().Migrates("default").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(listed.Items) != 1 {
		t.Errorf("got %v, %v, want one Migrate", listed, err)
	}
	s.stop(t)
}

func TestStatusIsReadOnly(t *testing.T) {
	s := start(t, t.TempDir(), waitForEnd)
	m := create(t, s)
	if m.Status.Phase != v1alpha1.MigratePhasePending {
		t.Errorf("created with phase %q", m.Status.Phase)
	}
	body, err := s.get("/apis/backup.kurator.dev/v1alpha1/namespaces/default/migrates/select-labels/status")
	if err != nil || !strings.Contains(body, `"phase":"RestoreInProgress"`) {
		t.Errorf("GET: got %s, %v", body, err)
	}
	put := s.client.BackupV1alpha1().RESTClient().Put().Namespace("default").Resource("migrates").Name("select-labels").SubResource("status")
	if err := put.Body(m).Do(t.Context()).Error(); !apierrors.IsMethodNotSupported(err) {
		t.Errorf("PUT: got %v, want 405", err)
	}
	s.stop(t)
}

// TestLog reads a log with parameters. A log that is followed has no timeout.
func TestLog(t *testing.T) {
	isLongRunning := apiserver.NewConfig(runtime.NewScheme(), "").Generic.LongRunningFunc
	for subresource, want := range map[string]bool{"log": true, "results": true, "status": false, "": false} {
		if got := isLongRunning(nil, &request.RequestInfo{IsResourceRequest: true, Verb: "get", Subresource: subresource}); got != want {
			t.Errorf("a get of subresource %q is long-running: %t", subresource, got)
		}
	}
	s := start(t, t.TempDir(), waitForEnd)
	create(t, s)
	const path = "/apis/backup.kurator.dev/v1alpha1/namespaces/default/migrates/select-labels/log"
	for range 25 { // more than a user may read at the same time
		unfit := s.client.Discovery().RESTClient().Get().RequestURI(path).SetHeader("Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
		if err := unfit.Do(t.Context()).Error(); err == nil || apierrors.IsTooManyRequests(err) {
			t.Errorf("GET of the log as metadata: %v", err)
		}
	}
	for query, want := range map[string]string{
		"": "select-labels   false\n", "?cluster=m2&stage=restore&follow=true": "select-labels m2 restore true\n",
	} {
		if got, err := s.get(path + query); err != nil || got != want {
			t.Errorf("GET of log%s: %q, %v", query, got, err)
		}
	}
	s.stop(t)
}

// TestPreview creates a preview, which is not stored, and a Migrate by a dry run, which has the findings as warnings.
func TestPreview(t *testing.T) {
	s := start(t, t.TempDir(), waitForEnd)
	previews := s.client.BackupV1alpha1().MigratePreviews("default")
	spec := newMigrate().Spec
	got, err := previews.Create(t.Context(), &v1alpha1.MigratePreview{Spec: spec, Status: v1alpha1.MigratePreviewStatus{Message: "forged"}}, metav1.CreateOptions{})
	if err != nil || got.Status.Verdict != v1alpha1.PreviewReadyWithWarnings || got.Status.Message != "default" || got.Namespace != "default" || got.UID != "" {
		t.Errorf("%+v, %v", got, err)
	}
	spec.SourceCluster.Fleet = ""
	_, err = previews.Create(t.Context(), &v1alpha1.MigratePreview{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Spec: spec}, metav1.CreateOptions{})
	if want := `MigratePreview.backup.kurator.dev "x" is invalid: spec.sourceCluster.fleet: Required value: name the Fleet that the clusters are members of`; !apierrors.IsInvalid(err) || err.Error() != want {
		t.Errorf("without a fleet: %v", err)
	}
	if err := s.client.Discovery().RESTClient().Get().AbsPath("/apis/backup.kurator.dev/v1alpha1/namespaces/default/migratepreviews").Do(t.Context()).Error(); !apierrors.IsMethodNotSupported(err) {
		t.Errorf("a list: %v", err)
	}

	var warnings warningRecorder
	config := rest.CopyConfig(s.rest)
	config.WarningHandler = &warnings
	client := versioned.NewForConfigOrDie(config).BackupV1alpha1().Migrates("default")
	if _, err := client.Create(t.Context(), newMigrate(), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Fatal(err)
	}
	want := []string{"the migration would wait: ClusterNotReady: wait", "ItemsLeftOut: 1", "ItemsLeftOut: 2", "ItemsLeftOut: 3", "ItemsLeftOut: 4", "and 2 more findings; create a MigratePreview with this spec to see them"}
	if !slices.Equal(warnings.texts, want) {
		t.Errorf("warnings %q", warnings.texts)
	}
	warnings.texts = nil
	if _, err := client.Create(t.Context(), newMigrate(), metav1.CreateOptions{}); err != nil || len(warnings.texts) > 0 {
		t.Errorf("a create: %q, %v", warnings.texts, err)
	}
	s.stop(t)
}

// TestCancel cancels a Migrate by dry run, with preconditions that don't hold, for real, again, and after its end.
func TestCancel(t *testing.T) {
	s := start(t, t.TempDir(), waitForEnd)
	m := create(t, s)
	post := func(options *v1alpha1.MigrateCancelOptions, dryRun ...string) error {
		return s.post(t, m.Name, "cancel", options, dryRun...)
	}
	stored := func() *v1alpha1.Migrate { return s.stored(t, m.Name) }
	if err := post(&v1alpha1.MigrateCancelOptions{}, metav1.DryRunAll); err != nil || stored().Status.Cancellation != nil {
		t.Errorf("a dry run: %v, %+v", err, stored().Status.Cancellation)
	}
	other, version := types.UID("other"), "1"
	for _, preconditions := range []metav1.Preconditions{{UID: &other}, {ResourceVersion: &version}} {
		if err := post(&v1alpha1.MigrateCancelOptions{Preconditions: &preconditions}); !apierrors.IsConflict(err) || stored().Status.Cancellation != nil {
			t.Errorf("%v: %v", preconditions, err)
		}
	}
	s.denial = "may not use m1"
	if err := post(&v1alpha1.MigrateCancelOptions{}); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "may not use m1") {
		t.Errorf("without the permission to use a cluster: %v", err)
	}
	s.denial = ""
	if err := post(&v1alpha1.MigrateCancelOptions{Preconditions: &metav1.Preconditions{UID: &m.UID}}); err != nil {
		t.Fatal(err)
	}
	canceled := stored()
	if canceled.Status.Cancellation == nil || canceled.Generation != m.Generation {
		t.Errorf("canceled: %+v", canceled)
	}
	if err := post(&v1alpha1.MigrateCancelOptions{}); err != nil || stored().ResourceVersion != canceled.ResourceVersion {
		t.Errorf("again: %v", err)
	}
	canceled.Status.Phase = v1alpha1.MigratePhaseCanceled
	if _, err := s.inProcess.Record(t.Context(), canceled); err != nil {
		t.Fatal(err)
	}
	if err := post(&v1alpha1.MigrateCancelOptions{}); err != nil {
		t.Errorf("after the end: %v", err)
	}
	if err := s.migrates("default").Delete(t.Context(), m.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	completed := create(t, s)
	completed.Status.Phase = v1alpha1.MigratePhaseCompleted
	if _, err := s.inProcess.Record(t.Context(), completed); err != nil {
		t.Fatal(err)
	}
	if err := post(&v1alpha1.MigrateCancelOptions{}); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), "it has ended Completed, so there is nothing to cancel") {
		t.Errorf("after another end: %v", err)
	}
	s.stop(t)
}

// post creates a subresource of a Migrate.
func (s *server) post(t *testing.T, name, subresource string, options runtime.Object, dryRun ...string) error {
	t.Helper()
	request := s.client.BackupV1alpha1().RESTClient().Post().Namespace("default").Resource("migrates").Name(name).SubResource(subresource)
	return request.VersionedParams(&metav1.CreateOptions{DryRun: dryRun}, metav1.ParameterCodec).Body(options).Do(t.Context()).Error()
}

// stored returns a Migrate.
func (s *server) stored(t *testing.T, name string) *v1alpha1.Migrate {
	t.Helper()
	got, err := s.migrates("default").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestRetry retries a Migrate before its end, by dry run, with preconditions that don't hold, and for real. The end of the first
// attempt then changes no more.
func TestRetry(t *testing.T) {
	s := start(t, t.TempDir(), waitForEnd)
	m := create(t, s)
	post := func(options *v1alpha1.MigrateRetryOptions, dryRun ...string) error {
		return s.post(t, m.Name, "retry", options, dryRun...)
	}
	newBackup := &v1alpha1.MigrateRetryOptions{Backup: v1alpha1.RetryBackupNew}
	if err := post(newBackup); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), "it has not ended, its phase is Pending") {
		t.Errorf("before the end: %v", err)
	}
	ended := s.stored(t, m.Name)
	ended.Status.Phase = v1alpha1.MigratePhaseFailed
	if _, err := s.inProcess.Record(t.Context(), ended); err != nil {
		t.Fatal(err)
	}
	if err := post(&v1alpha1.MigrateRetryOptions{Backup: "Old"}); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), `supported values: "Existing", "New"`) {
		t.Errorf("an unknown Backup: %v", err)
	}
	if err := post(&v1alpha1.MigrateRetryOptions{}); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `set backup to "New"`) {
		t.Errorf("without a Backup: %v", err)
	}
	if err := post(newBackup, metav1.DryRunAll); err != nil || s.stored(t, m.Name).Status.Attempt() != 1 {
		t.Errorf("a dry run: %v, %+v", err, s.stored(t, m.Name).Status.Attempts)
	}
	other, version := types.UID("other"), "1"
	for _, preconditions := range []metav1.Preconditions{{UID: &other}, {ResourceVersion: &version}} {
		if err := post(&v1alpha1.MigrateRetryOptions{Backup: v1alpha1.RetryBackupNew, Preconditions: &preconditions}); !apierrors.IsConflict(err) || s.stored(t, m.Name).Status.Attempt() != 1 {
			t.Errorf("%v: %v", preconditions, err)
		}
	}
	s.denial = "may not use m1"
	if err := post(newBackup); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "may not use m1") {
		t.Errorf("without the permission to use a cluster: %v", err)
	}
	s.denial = ""
	stale := s.stored(t, m.Name)
	if err := post(newBackup); err != nil {
		t.Fatal(err)
	}
	retried := s.stored(t, m.Name)
	if got := retried.Status; got.Attempt() != 2 || got.Phase != v1alpha1.MigratePhasePending || got.Attempts[0].Phase != v1alpha1.MigratePhaseFailed {
		t.Errorf("the retried status is %+v", got)
	}
	if err := post(newBackup); !apierrors.IsConflict(err) {
		t.Errorf("again: %v", err)
	}
	if _, err := s.inProcess.Record(t.Context(), stale); !apierrors.IsConflict(err) {
		t.Errorf("a record of the first attempt: %v", err)
	}
	skipping := retried.DeepCopy()
	skipping.Status.Attempts[1].Number = 3
	if _, err := s.inProcess.Record(t.Context(), skipping); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "attempt 3 can't follow attempt 2") {
		t.Errorf("a record of another attempt: %v", err)
	}
	s.stop(t)
}

// warningRecorder records warnings.
type warningRecorder struct{ texts []string }

func (w *warningRecorder) HandleWarningHeader(_ int, _, text string) { w.texts = append(w.texts, text) }

// server is the whole server with a driver of the test, without the parts that call the host:
// authentication, authorization, admission and flow control.
type server struct {
	etcd      *embed.Etcd
	rest      *rest.Config
	client    versioned.Interface
	inProcess *storage.Client
	drive     func(context.Context, *server) error
	checks    []healthz.HealthChecker
	denial    string
	stopping  context.CancelFunc
	ended     chan error
}

func waitForEnd(ctx context.Context, _ *server) error {
	<-ctx.Done()
	return nil
}

// Run calls the function of the test.
func (s *server) Run(ctx context.Context) error { return s.drive(ctx, s) }

// LivenessChecks returns the checks of the test.
func (s *server) LivenessChecks() []healthz.HealthChecker { return s.checks }

// LiveStatus calls the function of the test.
func (s *server) LiveStatus(context.Context, *v1alpha1.Migrate) (*v1alpha1.MigrateStatus, error) {
	return &v1alpha1.MigrateStatus{Phase: v1alpha1.MigratePhaseRestoreInProgress}, nil
}

// Log returns a log with the parameters.
func (s *server) Log(_ context.Context, m *v1alpha1.Migrate, options *v1alpha1.MigrateLogOptions) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(fmt.Sprintf("%s %s %s %t\n", m.Name, options.Cluster, options.Stage, options.Follow))), nil
}

// Preview returns a plan with the requester.
func (s *server) Preview(_ context.Context, m *v1alpha1.Migrate) (*v1alpha1.MigratePreviewStatus, error) {
	return &v1alpha1.MigratePreviewStatus{Verdict: v1alpha1.PreviewReadyWithWarnings, Message: m.Namespace}, nil
}

// Warnings returns more findings than are shown.
func (s *server) Warnings(context.Context, *v1alpha1.Migrate) []v1alpha1.PreviewFinding {
	findings := []v1alpha1.PreviewFinding{{Severity: "Blocking", Reason: "ClusterNotReady", Message: "wait"}}
	for i := range 6 {
		findings = append(findings, v1alpha1.PreviewFinding{Severity: "Warning", Reason: "ItemsLeftOut", Message: fmt.Sprint(i + 1)})
	}
	return findings
}

// CheckUse permits everything.
func (s *server) CheckUse(context.Context, user.Info, *v1alpha1.Migrate) (string, error) {
	return s.denial, nil
}

// Results visits an item for each letter of the name of the cluster.
func (s *server) Results(_ context.Context, _ *v1alpha1.Migrate, of migration.Operation, to migration.ResultsVisitor) (errs, warnings []string, err error) {
	for _, letter := range of.Cluster.Name {
		if err := to.Item(v1alpha1.ItemResult{Resource: "ConfigMap", Name: string(letter), Outcome: v1alpha1.ItemCreated}); err != nil {
			return nil, nil, err
		}
	}
	return []string{"an error"}, nil, nil
}

func start(t *testing.T, dir string, drive func(context.Context, *server) error, configure ...func(*server, *options.Options)) *server {
	t.Helper()
	stored := startEtcd(t, dir)
	s := &server{drive: drive, etcd: stored, ended: make(chan error, 1)}
	config := s.config(t, stored.Config().ListenClientUrls[0].String(), configure...)
	config.NewDriver = func(migrates *storage.Client) (apiserver.Driver, error) {
		s.inProcess = migrates
		return s, nil
	}
	made, err := config.Complete().New()
	if err != nil {
		stored.Close()
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	s.stopping = cancel
	go func() {
		err := made.Run(ctx)
		stored.Close()
		s.ended <- err
	}()
	s.waitReady(t)
	return s
}

// startEtcd starts an etcd that keeps its data in a directory.
func startEtcd(t *testing.T, dir string) *embed.Etcd {
	t.Helper()
	config := testserver.NewTestConfig(t)
	config.Dir = dir
	server, err := embed.StartEtcd(config)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-server.Server.ReadyNotify():
	case err := <-server.Err():
		t.Fatal(err)
	}
	return server
}

func (s *server) config(t *testing.T, endpoint string, configure ...func(*server, *options.Options)) *apiserver.Config {
	t.Helper()
	o, err := options.New()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.Recommended.SecureServing.Listener = listener
	o.Recommended.SecureServing.ServerCert.CertDirectory = t.TempDir()
	o.Recommended.Authentication, o.Recommended.Authorization = nil, nil
	o.Recommended.CoreAPI, o.Recommended.Admission = nil, nil
	o.Recommended.Features.EnablePriorityAndFairness = false
	for _, f := range configure {
		f(s, o)
	}
	s.rest = &rest.Config{
		Host:            "https://" + listener.Addr().String(),
		TLSClientConfig: rest.TLSClientConfig{Insecure: true},
	}
	s.client, err = versioned.NewForConfig(s.rest)
	if err != nil {
		t.Fatal(err)
	}
	config, err := o.Config("v0.0.0", endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func (s *server) waitReady(t *testing.T) {
	t.Helper()
	ready := func(context.Context) (bool, error) {
		select {
		case err := <-s.ended:
			return false, err
		default:
		}
		_, err := s.get("/readyz")
		return err == nil, nil
	}
	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, ready); err != nil {
		t.Fatalf("the server did not become ready: %v", err)
	}
}

func (s *server) stop(t *testing.T) {
	t.Helper()
	s.stopping()
	if err := <-s.ended; err != nil {
		t.Errorf("stop the server: %v", err)
	}
}

func (s *server) get(path string) (string, error) {
	body, err := s.client.Discovery().RESTClient().Get().RequestURI(path).DoRaw(context.Background())
	return string(body), err
}

func (s *server) migrates(namespace string) clientv1alpha1.MigrateInterface {
	return s.client.BackupV1alpha1().Migrates(namespace)
}

func create(t *testing.T, s *server) *v1alpha1.Migrate {
	t.Helper()
	created, err := s.migrates("default").Create(t.Context(), newMigrate(), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func newMigrate() *v1alpha1.Migrate {
	return &v1alpha1.Migrate{
		ObjectMeta: metav1.ObjectMeta{Name: "select-labels"},
		Spec: v1alpha1.MigrateSpec{
			SourceCluster: v1alpha1.Destination{Fleet: "quickstart", Clusters: []corev1.ObjectReference{{Kind: "AttachedCluster", Name: "kurator-member1"}}},
			TargetCluster: v1alpha1.Destination{Fleet: "quickstart"},
		},
		Status: v1alpha1.MigrateStatus{Phase: v1alpha1.MigratePhaseCompleted},
	}
}
