// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
)

func TestShorten(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                            "plain",
		"red \x1b[31mtext\x1b[0m":          "red ?[31mtext?[0m",
		"two\r\nlines\tand a tab":          "two  lines and a tab",
		"NUL\x00, C1 \u009b":               "NUL?, C1 ?",
		"file\u202egpj.exe":                "filegpj.exe",
		"\u2066isolated\u2069\u200e\ufeff": "isolated",
		"zero\u200bwidth":                  "zerowidth",
		"tag\U000e0041":                    "tag",
		"line\u2028separator":              "line separator",
		"not UTF-8 \xff":                   "not UTF-8 ?",
		"می\u200cخواهم, 日本, é, 👩\u200d🚀": "می\u200cخواهم, 日本, é, 👩\u200d🚀",
	} {
		got := Shorten(in, 100)
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if again := Shorten(got, 100); again != got {
			t.Errorf("%q: again %q", got, again)
		}
	}
	for _, in := range []string{"<>&", `"\`, "aé日👩", "x"} {
		long := strings.Repeat(in, 200)
		for _, n := range []int{10, 11, 12, 13, 14, 15, 16, 100} {
			got := Shorten(long, n)
			encoded, err := json.Marshal(got)
			if err != nil || len(encoded)-2 > n || len(encoded)-2 < n-6 || !strings.HasSuffix(got, "...") {
				t.Errorf("%q within %d bytes is %s: %d, %v", in, n, encoded, len(encoded)-2, err)
			}
		}
	}
}

const hostile = "\x1b[2J\x00\r\n\u202e\u2066\u200b\u2028\U000e0041\xff bad"

// TestStatusHasNoHostileText fills every text that is read from members and the host with hostile
// text, in every phase of a Velero object.
func TestStatusHasNoHostileText(t *testing.T) {
	for _, phase := range []string{
		"", "New", "Queued", "InProgress", "WaitingForPluginOperations", "Finalizing", "Completed", "PartiallyFailed", "Failed", "FailedValidation", "Deleting", hostile,
	} {
		for name, change := range map[string]func(*fixture){
			"the Backup": func(s *fixture) {
				s.record()
				s.next()
				s.record()
				s.with(m1, func(m *Member) {
					fill(reflect.ValueOf(&m.Backup.Status).Elem())
					m.Backup.Status.Phase = velerov1.BackupPhase(phase)
					m.Results = &Results{Errors: []string{hostile, hostile}}
				})
			},
			"the Restore": func(s *fixture) {
				s.restoring()
				s.with(m2, func(m *Member) {
					fill(reflect.ValueOf(&m.Restore.Status).Elem())
					m.Restore.Status.Phase = velerov1.RestorePhase(phase)
					m.Results = &Results{Err: errors.New(hostile)}
				})
			},
			"an unexpected object": func(s *fixture) {
				s.with(m1, func(m *Member) { m.Unexpected = []string{"Backup " + hostile} })
			},
			"the locations": func(s *fixture) {
				s.with(m1, func(m *Member) {
					for i := range m.Locations {
						fill(reflect.ValueOf(&m.Locations[i].Spec).Elem())
						fill(reflect.ValueOf(&m.Locations[i].Status).Elem())
					}
				})
			},
			"errors": func(s *fixture) {
				s.with(m1, func(m *Member) { m.Err = errors.New(hostile) })
				s.with(m2, func(m *Member) { m.WriteErr = errors.New(hostile) })
			},
			"the queue": func(s *fixture) {
				running := []RunningBackup{{Name: hostile, Phase: velerov1.BackupPhase(phase)}}
				turn := new(Queue).Join(Ticket{UID: s.m.UID, Created: start}, running, 1, start)
				s.with(m1, func(m *Member) { m.Turn = &turn })
			},
			"the annotation": func(s *fixture) {
				s.host.Clusters[m1] = ClusterState{Ready: true, VeleroNamespace: "velero", ConcurrentBackups: hostile}
			},
			"the host": func(s *fixture) {
				s.access[m1] = Access{Denial: hostile}
			},
		} {
			s := newFixture(t, m2)
			change(s)
			before := s.m.Status
			status := s.record()
			wantClean(t, name+" in phase "+phase, reflect.ValueOf(status))
			for _, event := range Events(&before, &status) {
				wantClean(t, "an Event about "+name, reflect.ValueOf(event))
			}
		}
	}
}

// fill sets every string of a value to hostile text.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(hostile)
	case reflect.Struct:
		if _, isTime := v.Interface().(interface{ IsZero() bool }); isTime {
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.String {
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			for i := range v.Len() {
				fill(v.Index(i))
			}
		}
	case reflect.Pointer:
		if !v.IsNil() {
			fill(v.Elem())
		}
	}
}

// wantClean checks every string of a value.
func wantClean(t *testing.T, what string, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		if strings.ContainsFunc(v.String(), func(r rune) bool {
			return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp)
		}) || strings.ToValidUTF8(v.String(), "") != v.String() {
			t.Errorf("%q: %q", what, v.String())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				wantClean(t, what, v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			wantClean(t, what, v.Index(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			wantClean(t, what, key)
			wantClean(t, what, v.MapIndex(key))
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			wantClean(t, what, v.Elem())
		}
	}
}
