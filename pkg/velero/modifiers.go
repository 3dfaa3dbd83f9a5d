// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// resourceModifiers is the content of a ConfigMap with resource modifiers, and modifierRule one of its
// rules: internal/resourcemodifiers of Velero v1.18.3. A rule applies to objects that match all its
// conditions before any rule is applied.
type resourceModifiers struct {
	Version string         `json:"version"`
	Rules   []modifierRule `json:"resourceModifierRules"`
}

type modifierRule struct {
	Conditions   modifierConditions `json:"conditions"`
	Patches      []modifierPatch    `json:"patches,omitempty"`
	MergePatches []modifierMerge    `json:"mergePatches,omitempty"`
}

type modifierConditions struct {
	GroupResource string          `json:"groupResource"`
	Matches       []modifierMatch `json:"matches,omitempty"`
}

type modifierMatch struct {
	Path  string `json:"path"`
	Value string `json:"value"`
}

// modifierPatch is a JSON patch (RFC 6902); its value is a string.
type modifierPatch struct {
	Operation string `json:"operation"`
	Path      string `json:"path"`
	Value     string `json:"value"`
}

// modifierMerge is a JSON merge patch (RFC 7396).
type modifierMerge struct {
	Data string `json:"patchData"`
}

// maxClaimTemplates is how many claim templates of a StatefulSet are mapped. A rule names one by its
// index.
const maxClaimTemplates = 8

// NewResourceModifiers returns the ConfigMap with the resource modifiers of m's Restore in a target, or
// nil if the Restore needs none. They map the StorageClasses of claims, of the claim templates of
// StatefulSets, and of PersistentVolumes that are restored as objects; and if no data is moved, they
// let claims get new volumes.
func NewResourceModifiers(m *v1alpha1.Migrate, targetCluster string) *corev1.ConfigMap {
	if m.Spec.Policy == nil || m.Spec.Policy.Volumes == nil {
		return nil
	}
	mapping := m.Spec.Policy.Volumes.StorageClassMapping
	modifiers := resourceModifiers{Version: "v1"}
	if MovesNoVolumeData(m) {
		modifiers.Rules = append(modifiers.Rules, modifierRule{
			Conditions:   modifierConditions{GroupResource: "persistentvolumeclaims"},
			MergePatches: []modifierMerge{{`{"spec":{"volumeName":null}}`}},
		})
	}
	for _, from := range slices.Sorted(maps.Keys(mapping)) {
		replace := func(resource, path string) {
			modifiers.Rules = append(modifiers.Rules, modifierRule{
				Conditions: modifierConditions{GroupResource: resource, Matches: []modifierMatch{{Path: path, Value: from}}},
				Patches:    []modifierPatch{{Operation: "replace", Path: path, Value: mapping[from]}},
			})
		}
		replace("persistentvolumeclaims", "/spec/storageClassName")
		replace("persistentvolumes", "/spec/storageClassName")
		for i := range maxClaimTemplates {
			replace("statefulsets.apps", fmt.Sprintf("/spec/volumeClaimTemplates/%d/spec/storageClassName", i))
		}
	}
	if len(modifiers.Rules) == 0 {
		return nil
	}
	content, _ := json.Marshal(modifiers) // never fails; JSON is YAML
	return &corev1.ConfigMap{ObjectMeta: objectMeta(targetCluster, m), Data: map[string]string{"resource-modifiers.yaml": string(content)}}
}

// OwnedBy returns a copy of a ConfigMap that is deleted together with a Backup.
func OwnedBy(configMap *corev1.ConfigMap, backup *velerov1.Backup) *corev1.ConfigMap {
	configMap = configMap.DeepCopy()
	configMap.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: velerov1.SchemeGroupVersion.String(), Kind: "Backup", Name: backup.Name, UID: backup.UID,
	}}
	return configMap
}
