// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

func TestDefaults(t *testing.T) {
	asWritten := v1alpha1.MigrateSpec{
		SourceCluster: v1alpha1.Destination{Fleet: "quickstart", Clusters: []corev1.ObjectReference{{Name: "a"}}},
		TargetCluster: v1alpha1.Destination{Fleet: "quickstart"},
	}
	withDefault := *asWritten.DeepCopy()
	withDefault.ProgressDeadlineSeconds = ptr.To(int32(600))
	withValue := *asWritten.DeepCopy()
	withValue.ProgressDeadlineSeconds = ptr.To(int32(30))

	withCredentials := *withValue.DeepCopy()
	withCredentials.Requester = &v1alpha1.Requester{Username: "jane", Extra: map[string][]string{
		"authentication.kubernetes.io/credential-id": {"JTI=7"}, "authentication.kubernetes.io/pod-name": {"robot-0"}, "scopes": {"all"},
	}}
	withoutCredentials := *withValue.DeepCopy()
	withoutCredentials.Requester = &v1alpha1.Requester{Username: "jane", Extra: map[string][]string{"scopes": {"all"}}}

	for name, c := range map[string]struct{ given, want v1alpha1.MigrateSpec }{
		"only the deadline is set":       {asWritten, withDefault},
		"a value is kept":                {withValue, withValue},
		"stored credentials are removed": {withCredentials, withoutCredentials},
	} {
		t.Run(name, func(t *testing.T) {
			scheme := runtime.NewScheme()
			if err := v1alpha1.AddToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			m := &v1alpha1.Migrate{Spec: *c.given.DeepCopy()}
			scheme.Default(m)
			if diff := cmp.Diff(&v1alpha1.Migrate{Spec: c.want}, m); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestFieldLabels(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	migrate := v1alpha1.SchemeGroupVersion.WithKind("Migrate")
	for _, label := range []string{"metadata.name", "metadata.namespace", "status.phase", "spec.sourceCluster.fleet", "spec.targetCluster.fleet"} {
		got, value, err := scheme.ConvertFieldLabel(migrate, label, "x")
		if err != nil || got != label || value != "x" {
			t.Errorf("%s: got %q, %q, %v", label, got, value, err)
		}
	}
	_, _, err := scheme.ConvertFieldLabel(migrate, "status.reason", "Stalled")
	want := `"status.reason" is not a field that Migrates can be selected by: use metadata.name, metadata.namespace, status.phase, spec.sourceCluster.fleet or spec.targetCluster.fleet`
	if err == nil || err.Error() != want {
		t.Errorf("status.reason: got %v, want %s", err, want)
	}
}
