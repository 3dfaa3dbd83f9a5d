// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"testing"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
)

// authority has read its content or not.
type authority struct {
	dynamiccertificates.CAContentProvider
	content string
}

func (authority) Name() string                     { return "front-proxy" }
func (a authority) CurrentCABundleContent() []byte { return []byte(a.content) }

func TestAuthoritiesRead(t *testing.T) {
	read, unread := authority{content: "PEM"}, authority{}
	for name, test := range map[string]struct {
		authorities []dynamiccertificates.CAContentProvider
		want        string
	}{
		"none is waited for": {},
		"all are read":       {authorities: []dynamiccertificates.CAContentProvider{read, read}},
		"one is missing":     {[]dynamiccertificates.CAContentProvider{read, unread}, "front-proxy has not been read from the host yet"},
	} {
		got := ""
		if err := authoritiesRead(test.authorities...).Check(nil); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}
