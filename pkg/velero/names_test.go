// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

func migrate(namespace, name string, uid types.UID) *v1alpha1.Migrate {
	return &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: uid}}
}

func TestObjectName(t *testing.T) {
	m := migrate("default", "select-labels", "c948154d-1727-4d01-bf47-7ffb03f800a3")
	if got, want := ObjectName("kurator-member1", m), "kurator-member1-migrate-default-select-labels-c948154d"; got != want {
		t.Errorf("ObjectName = %q, want %q", got, want)
	}
	again := migrate("default", "select-labels", "d0000000-1727-4d01-bf47-7ffb03f800a3")
	if ObjectName("kurator-member1", m) == ObjectName("kurator-member1", again) {
		t.Error("a recreated Migrate has the same names")
	}
}

func TestObjectNameIsCutToTheMaximalLength(t *testing.T) {
	for length := 150; length <= 253; length++ {
		cluster := strings.Repeat("a", length-1) + "z"
		m := migrate("ns", strings.Repeat("b.c-", 63)+"d", "c948154d-1727-4d01-bf47-7ffb03f800a3")
		name := ObjectName(cluster, m)
		if errs := validation.IsDNS1123Subdomain(name); len(errs) > 0 || len(name) > 199 {
			t.Fatalf("cluster name of %d: %q: %v", length, name, errs)
		}
		if !strings.HasSuffix(name, "-c948154d") {
			t.Fatalf("cluster name of %d: %q has no suffix", length, name)
		}
	}
}

func TestBelongsTo(t *testing.T) {
	labels := map[string]string{MigrateUIDLabel: "u1"}
	if !BelongsTo(labels, "u1") || BelongsTo(labels, "u2") || BelongsTo(nil, "") || BelongsTo(nil, "u1") {
		t.Error("an object belongs to a Migrate if, and only if, its label has the UID")
	}
}

// TestNamesOfAttempts checks that the names of attempts differ, also if they are cut.
func TestNamesOfAttempts(t *testing.T) {
	for _, cluster := range []string{"m1", strings.Repeat("m", 300)} {
		m := &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "app", UID: "c948154d-1727"}}
		seen := map[string]int32{}
		for attempt := int32(1); attempt <= 100; attempt++ {
			name := ObjectNameOf(cluster, m, attempt)
			if other, is := seen[name]; is || len(name) > maxNameLength {
				t.Errorf("the name of attempt %d is %s, as of %d", attempt, name, other)
			}
			seen[name] = attempt
		}
		m.Status.Attempts = []v1alpha1.MigrateAttempt{{Number: 7}}
		if got := ObjectName(cluster, m); seen[got] != 7 || !strings.HasSuffix(got, "-c948154d-7") {
			t.Errorf("the current name is %s", got)
		}
	}
}

// TestRestoredBy checks the selector of one Restore, and of several, with a long name.
func TestRestoredBy(t *testing.T) {
	long := strings.Repeat("r", 100)
	for want, restores := range map[string][]string{
		"velero.io/restore-name in (a)":                            {"a"},
		"velero.io/restore-name in (a,b," + LabelValue(long) + ")": {"b", long, "a"},
	} {
		got := RestoredBy(restores...)
		if _, err := labels.Parse(got); err != nil || got != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
}

func TestLabelValue(t *testing.T) {
	long := strings.Repeat("x", 64)
	for name, want := range map[string]string{
		"short":                 "short",
		strings.Repeat("x", 63): strings.Repeat("x", 63),
		// The result of Velero's label.GetValidName.
		long: strings.Repeat("x", 57) + "7ce100",
	} {
		if got := LabelValue(name); got != want {
			t.Errorf("LabelValue(%q) = %q, want %q", name, got, want)
		}
	}
}
