// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
)

var (
	jane    = &user.DefaultInfo{Name: "jane", UID: "42", Groups: []string{"shop"}, Extra: map[string][]string{"scopes": {"all"}}}
	isJane  = &backup.Requester{Username: "jane", UID: "42", Groups: []string{"shop"}, Extra: map[string][]string{"scopes": {"all"}}}
	claimed = &backup.Requester{Username: "mallory", UID: "1", Groups: []string{"system:masters"}, Extra: map[string][]string{"scopes": {"none"}}}
)

func newMigrate(requester *backup.Requester) *backup.Migrate {
	return &backup.Migrate{ObjectMeta: metav1.ObjectMeta{Name: "app", Namespace: "default", ResourceVersion: "1"}, Spec: backup.MigrateSpec{
		SourceCluster: backup.Destination{Fleet: "f"}, TargetCluster: backup.Destination{Fleet: "f"}, Requester: requester,
	}}
}

// TestCreateRecordsTheRequester sends no requester, another user and an empty one.
func TestCreateRecordsTheRequester(t *testing.T) {
	for name, sent := range map[string]*backup.Requester{"none": nil, "forged": claimed, "empty": {}} {
		m := newMigrate(sent)
		strategy := NewStrategy(runtime.NewScheme())
		strategy.PrepareForCreate(genericapirequest.WithUser(context.Background(), jane), m)
		if diff := cmp.Diff(isJane, m.Spec.Requester); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	m := newMigrate(claimed)
	NewStrategy(runtime.NewScheme()).PrepareForCreate(context.Background(), m)
	if m.Spec.Requester != nil {
		t.Errorf("a request without a user recorded %v", m.Spec.Requester)
	}
}

// TestCreateCopiesTheRequester changes the request's user after the create.
func TestCreateCopiesTheRequester(t *testing.T) {
	u := &user.DefaultInfo{Name: "jane", Groups: []string{"shop"}, Extra: map[string][]string{"scopes": {"all"}}}
	m := newMigrate(nil)
	NewStrategy(runtime.NewScheme()).PrepareForCreate(genericapirequest.WithUser(context.Background(), u), m)
	u.Groups[0] = "system:masters"
	delete(u.Extra, "scopes")
	if m.Spec.Requester.Groups[0] != "shop" || len(m.Spec.Requester.Extra) != 1 {
		t.Errorf("recorded %+v", m.Spec.Requester)
	}
}

// TestRequesterHasNoCredentials leaves out what a ServiceAccount's token is bound to.
func TestRequesterHasNoCredentials(t *testing.T) {
	u := &user.DefaultInfo{Name: "system:serviceaccount:shop:robot", Extra: map[string][]string{
		"authentication.kubernetes.io/credential-id": {"JTI=7"}, "authentication.kubernetes.io/pod-name": {"robot-0"}, "scopes": {"all"},
	}}
	m := newMigrate(nil)
	NewStrategy(runtime.NewScheme()).PrepareForCreate(genericapirequest.WithUser(context.Background(), u), m)
	if diff := cmp.Diff(map[string][]string{"scopes": {"all"}}, m.Spec.Requester.Extra); diff != "" {
		t.Errorf("extra (-want +got):\n%s", diff)
	}
}

// TestUpdateKeepsTheRequester updates as another user, with several requesters.
func TestUpdateKeepsTheRequester(t *testing.T) {
	ctx := genericapirequest.WithUser(context.Background(), &user.DefaultInfo{Name: "joe"})
	strategy := NewStrategy(runtime.NewScheme())
	for name, sent := range map[string]*backup.Requester{"none, as kubectl replace does": nil, "forged": claimed, "the same": isJane} {
		old, m := newMigrate(isJane), newMigrate(sent)
		strategy.PrepareForUpdate(ctx, m, old)
		if diff := cmp.Diff(isJane, m.Spec.Requester); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if errs := strategy.ValidateUpdate(ctx, m, old); len(errs) != 0 {
			t.Errorf("%s: %v", name, errs)
		}
	}
}

// TestApplyDoesNotTrackTheRequester checks the fields that server-side apply resets.
func TestApplyDoesNotTrackTheRequester(t *testing.T) {
	reset := NewStrategy(runtime.NewScheme()).GetResetFields()
	fields := reset[fieldpath.APIVersion("backup.kurator.dev/v1alpha1")]
	if fields == nil || len(reset) != 1 {
		t.Fatalf("reset fields: %v", reset)
	}
	for path, want := range map[string]bool{"requester": true, "sourceCluster": false, "targetCluster": false, "policy": false} {
		if got := fields.Has(fieldpath.MakePathOrDie("spec", path)); got != want {
			t.Errorf("spec.%s is reset: %v, want %v", path, got, want)
		}
	}
	if !fields.Has(fieldpath.MakePathOrDie("status")) {
		t.Error("the status is not reset")
	}
}

// TestCreateSetsInitialConditions checks that a new Migrate is in progress by the rules of kstatus
// (sigs.k8s.io/cli-utils): it checks Reconciling, then Stalled, then Ready, and takes an object
// without them for done.
func TestCreateSetsInitialConditions(t *testing.T) {
	created := metav1.Unix(1700000000, 0)
	m := newMigrate(nil)
	m.CreationTimestamp = created
	m.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: "True"}}
	NewStrategy(runtime.NewScheme()).PrepareForCreate(context.Background(), m)
	const accepted = "The Migrate is accepted; no cluster is checked yet."
	want := []metav1.Condition{
		{Type: "Ready", Status: "False", Reason: "Accepted", Message: accepted, ObservedGeneration: 1, LastTransitionTime: created},
		{Type: "Finished", Status: "False", Reason: "Pending", Message: accepted, ObservedGeneration: 1, LastTransitionTime: created},
		{Type: "Reconciling", Status: "True", Reason: "Pending", Message: accepted, ObservedGeneration: 1, LastTransitionTime: created},
		{Type: "Stalled", Status: "False", Reason: "Progressing", Message: "No cluster is past its progress deadline.", ObservedGeneration: 1, LastTransitionTime: created},
	}
	if diff := cmp.Diff(want, m.Status.Conditions); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
}

// TestKuratorsFinalizerIsDropped creates and updates: no controller here would remove the
// finalizer, and the client gets a warning.
func TestKuratorsFinalizerIsDropped(t *testing.T) {
	sent := []string{"example.com/hold", "migrate.kurator.dev"}
	strategy := NewStrategy(runtime.NewScheme())
	created, updated, old := newMigrate(nil), newMigrate(nil), newMigrate(nil)
	created.Finalizers, updated.Finalizers, old.Finalizers = slices.Clone(sent), slices.Clone(sent), slices.Clone(sent)
	warnings := &recorder{}
	ctx := warning.WithWarningRecorder(context.Background(), warnings)
	strategy.PrepareForCreate(ctx, created)
	strategy.PrepareForUpdate(ctx, updated, old)
	for name, m := range map[string]*backup.Migrate{"create": created, "update": updated} {
		if !slices.Equal(m.Finalizers, []string{"example.com/hold"}) {
			t.Errorf("%s: %v", name, m.Finalizers)
		}
	}
	const want = `metadata.finalizers: "migrate.kurator.dev" was removed: only Kurator's controller would remove it, and this server needs no finalizer`
	if !slices.Equal(warnings.texts, []string{want, want}) {
		t.Errorf("warnings: %q", warnings.texts)
	}
	if old.Finalizers[1] != "migrate.kurator.dev" {
		t.Error("the stored object is modified")
	}
}

type recorder struct{ texts []string }

func (r *recorder) AddWarning(_, text string) { r.texts = append(r.texts, text) }

// TestGenerationCountsSuspensions suspends and resumes a Migrate, before and after its end.
func TestGenerationCountsSuspensions(t *testing.T) {
	yes, no := true, false
	for name, tt := range map[string]struct {
		was, is *bool
		phase   backup.MigratePhase
		want    int64
	}{
		"suspend": {nil, &yes, "Pending", 4}, "resume": {&yes, nil, "Pending", 4}, "false by default": {nil, &no, "Pending", 3},
		"unchanged": {&yes, &yes, "Pending", 3}, "after the end": {&yes, &no, "Completed", 3},
	} {
		old := newMigrate(isJane)
		old.Generation, old.Spec.Suspend, old.Status.Phase = 3, tt.was, tt.phase
		m := old.DeepCopy()
		m.Spec.Suspend = tt.is
		NewStrategy(runtime.NewScheme()).PrepareForUpdate(context.Background(), m, old)
		if m.Generation != tt.want {
			t.Errorf("%s: generation %d, want %d", name, m.Generation, tt.want)
		}
	}
}
