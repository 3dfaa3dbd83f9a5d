// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"strings"
	"testing"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

func TestNewResourceModifiers(t *testing.T) {
	m := &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "app", UID: "c948154d-1727"}}
	if got := NewResourceModifiers(m, "m2"); got != nil || newRestore(m, "m2", "b", nil).Spec.ResourceModifier != nil {
		t.Errorf("a Migrate without a mapping has %+v", got)
	}
	m.Spec.Policy = &v1alpha1.MigratePolicy{Volumes: &v1alpha1.VolumePolicy{StorageClassMapping: map[string]string{"fast": "slow"}}}
	got := NewResourceModifiers(m, "m2")
	restore := newRestore(m, "m2", "b", nil)
	if ref := restore.Spec.ResourceModifier; ref == nil || ref.Kind != "ConfigMap" || ref.Name != got.Name {
		t.Errorf("the Restore has the modifiers %+v", ref)
	}
	if !BelongsTo(got.Labels, m.UID) || got.Annotations[MigrateAnnotation] != "default/app" || len(got.Data) != 1 {
		t.Errorf("the ConfigMap is %+v", got)
	}
	const first = `{"version":"v1","resourceModifierRules":[` +
		`{"conditions":{"groupResource":"persistentvolumeclaims","matches":[{"path":"/spec/storageClassName","value":"fast"}]},"patches":[{"operation":"replace","path":"/spec/storageClassName","value":"slow"}]},` +
		`{"conditions":{"groupResource":"persistentvolumes",`
	const last = `{"conditions":{"groupResource":"statefulsets.apps","matches":[{"path":"/spec/volumeClaimTemplates/7/spec/storageClassName","value":"fast"}]},` +
		`"patches":[{"operation":"replace","path":"/spec/volumeClaimTemplates/7/spec/storageClassName","value":"slow"}]}]}`
	if content := got.Data["resource-modifiers.yaml"]; !strings.HasPrefix(content, first) || !strings.HasSuffix(content, last) {
		t.Errorf("the rules are %s", content)
	}
	owned := OwnedBy(got, &velerov1.Backup{ObjectMeta: metav1.ObjectMeta{Name: "b", UID: "u"}})
	if o := owned.OwnerReferences; len(o) != 1 || o[0] != (metav1.OwnerReference{APIVersion: "velero.io/v1", Kind: "Backup", Name: "b", UID: "u"}) || len(got.OwnerReferences) > 0 {
		t.Errorf("the owners are %+v", o)
	}
}
