// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero_test

import (
	"bytes"
	"compress/gzip"
	"runtime"
	"strings"
	"testing"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// FuzzObjectName checks that every valid name of a cluster, a namespace and a Migrate results in
// a valid name and label value.
func FuzzObjectName(f *testing.F) {
	const uid = "c948154d-1727-4d01-bf47-7ffb03f800a3"
	f.Add("kurator-member1", "default", "select-labels", uid)
	f.Add(strings.Repeat("a", 253), strings.Repeat("b", 63), strings.Repeat("c", 253), uid)
	for dots := range 12 {
		f.Add(strings.Repeat("a", 160+dots)+strings.Repeat(".b", 20), "n", strings.Repeat("c.", 20)+"d", uid)
	}
	f.Fuzz(func(t *testing.T, cluster, namespace, name, uid string) {
		if len(apivalidation.NameIsDNSSubdomain(cluster, false))+len(apivalidation.ValidateNamespaceName(namespace, false))+
			len(apivalidation.NameIsDNSSubdomain(name, false))+len(validation.IsDNS1123Label(uid)) > 0 {
			t.Skip()
		}
		m := &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(uid)}}
		got := velero.ObjectName(cluster, m)
		if errs := apivalidation.NameIsDNSSubdomain(got, false); len(errs) > 0 {
			t.Errorf("%q: %v", got, errs)
		}
		if errs := validation.IsValidLabelValue(velero.LabelValue(got)); len(errs) > 0 {
			t.Errorf("label %q: %v", velero.LabelValue(got), errs)
		}
	})
}

// FuzzReadResults reads arbitrary results files: gzipped, not gzipped and truncated.
func FuzzReadResults(f *testing.F) {
	for _, results := range []string{
		`{"errors":{"velero":["a"],"cluster":["b"],"namespaces":{"n":["c"]}},"warnings":{}}`,
		`{"errors":null}`, `{"errors":{"namespaces":{"n":null}}}`, `[]`, `null`, ``, strings.Repeat("[", 1<<11), "{\"errors\":{\"velero\":[\"\xff\"]}}",
	} {
		f.Add([]byte(results))
	}
	f.Fuzz(func(t *testing.T, results []byte) {
		var packed bytes.Buffer
		packer := gzip.NewWriter(&packed)
		_, _ = packer.Write(results)
		_ = packer.Close()
		for _, file := range [][]byte{results, packed.Bytes(), packed.Bytes()[:packed.Len()/2]} {
			got, err := velero.ReadResults(bytes.NewReader(file), unlimited)
			if err != nil && len(got.Errors)+len(got.Warnings) > 0 {
				t.Errorf("both errors and %v", err)
			}
		}
	})
}

// TestReadResultsLimitsTheUnpackedSize reads a gzip bomb.
func TestReadResultsLimitsTheUnpackedSize(t *testing.T) {
	var packed bytes.Buffer
	packer := gzip.NewWriter(&packed)
	_, _ = packer.Write([]byte(`{"errors":{"velero":["`))
	for range 64 {
		_, _ = packer.Write(bytes.Repeat([]byte("x"), 1<<20))
	}
	_ = packer.Close()
	if _, err := velero.ReadResults(&packed, unlimited); err == nil {
		t.Error("64 MiB were read")
	}
}

// TestReadResultsLimitsMemory reads files with a million values, which need far more memory than
// their text.
func TestReadResultsLimitsMemory(t *testing.T) {
	many := strings.Repeat(`"",`, 1<<20) + `""`
	for name, test := range map[string]struct {
		results string
		want    int
	}{
		"errors":         {`{"warnings":{"velero":[` + many + `]},"errors":{"velero":[` + many + `]}}`, 1000},
		"a long error":   {`{"errors":{"velero":["` + strings.Repeat("x", 1<<20-10) + `"]}}`, 1},
		"skipped values": {`{"x":[` + many + `],"errors":{"y":{"z":[` + many + `]},"cluster":["a"]}}`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var packed bytes.Buffer
			packer := gzip.NewWriter(&packed)
			_, _ = packer.Write([]byte(test.results))
			_ = packer.Close()
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			got, err := velero.ReadResults(&packed, unlimited)
			runtime.GC()
			runtime.ReadMemStats(&after)
			if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 8<<20 {
				t.Errorf("%d MiB are kept", kept>>20)
			}
			if err != nil || len(got.Errors) != test.want {
				t.Errorf("read %d errors, %v, want %d", len(got.Errors), err, test.want)
			}
			for _, e := range got.Errors {
				if len(e) > 4096 {
					t.Errorf("an error of %d bytes", len(e))
				}
			}
		})
	}
}
