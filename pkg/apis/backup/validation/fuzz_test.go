// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package validation_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/install"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/validation"
	"kurator.dev/migrate-apiserver/pkg/yamlalias"
)

// FuzzDecode decodes bodies of every content type, validates the object as a create and as an
// update, and encodes it again.
func FuzzDecode(f *testing.F) {
	scheme := runtime.NewScheme()
	if err := install.AddToScheme(scheme); err != nil {
		f.Fatal(err)
	}
	codecs := serializer.NewCodecFactory(scheme)
	types := codecs.SupportedMediaTypes()
	const header = `{"apiVersion":"backup.kurator.dev/v1alpha1","kind":"Migrate","metadata":{"name":"a"},"spec":`
	for i := range types {
		for _, spec := range []string{
			`{"sourceCluster":{"fleet":"q","clusters":[{"kind":"AttachedCluster","name":"m1"}]},"targetCluster":{"fleet":"q","clusters":[{"name":"m2"}]},"policy":{"resourceFilter":{"includedNamespaces":["a","b-*","c[xyz]"],"excludedResources":["events"],"orLabelSelectors":[{"matchExpressions":[{"key":"k","operator":"In","values":["v"]}]}]},"orderedResources":{"pods":"a/b,c/d"},"namespaceMapping":{"a":"b"},"migrateStatus":{"includedResources":["*"]},"preserveNodePorts":true},"progressDeadlineSeconds":1}}`,
			`null}`, `{"sourceCluster":null,"targetCluster":{"clusters":[null]},"policy":{"resourceFilter":{"orLabelSelectors":[null],"labelSelector":null}}}}`,
			`{"policy":{"orderedResources":{"":",,"},"namespaceMapping":{"":""}},"progressDeadlineSeconds":-1}}`, `[]}`, `"` + "\xff" + `"}`,
		} {
			f.Add(uint8(i), []byte(header+spec))
		}
	}
	f.Add(uint8(1), []byte("apiVersion: backup.kurator.dev/v1alpha1\nkind: Migrate\nmetadata: &m {name: a}\nspec: {sourceCluster: {fleet: m}}\n"))
	f.Add(uint8(2), []byte("k8s\x00\x0a\x00"))

	old := &backup.Migrate{}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		if errors.Is(yamlalias.Check(body), yamlalias.ErrAlias) {
			t.Skip() // the server refuses it
		}
		info := types[int(kind)%len(types)]
		for _, s := range []runtime.Serializer{info.Serializer, info.StrictSerializer} {
			decoded, err := runtime.Decode(codecs.DecoderToVersion(s, backup.SchemeGroupVersion), body)
			m, ours := decoded.(*backup.Migrate)
			if err != nil || !ours {
				continue
			}
			if errs := validation.ValidateMigrate(m); len(errs) > 101 {
				t.Errorf("%d errors", len(errs))
			}
			validation.ValidateMigrateUpdate(m, old)
			var again bytes.Buffer
			if err := codecs.LegacyCodec(v1alpha1.SchemeGroupVersion).Encode(m, &again); err != nil {
				t.Fatalf("encode: %v", err)
			}
			back, err := runtime.Decode(codecs.UniversalDecoder(backup.SchemeGroupVersion), again.Bytes())
			if err != nil {
				t.Fatalf("decode the encoded object: %v\n%s", err, again.Bytes())
			}
			var third bytes.Buffer
			if err := codecs.LegacyCodec(v1alpha1.SchemeGroupVersion).Encode(back, &third); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(again.String(), third.String()); diff != "" {
				t.Errorf("changes when it is stored (-first +second)\n%s", diff)
			}
		}
	})
}
