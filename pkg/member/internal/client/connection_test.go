// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"strings"
	"testing"

	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
)

func TestServerIsIdentifiedByWhatProvesIt(t *testing.T) {
	one, other := membertest.NewAPIServer(t), membertest.NewAPIServer(t)
	o := Options{AllowInsecureTLS: true}
	o.Addresses.AllowLocal = true
	server := func(kubeconfig string) string {
		c, err := connect([]byte(kubeconfig), "velero", o.WithDefaults())
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		return c.Server()
	}
	otherUser := strings.Replace(one.Kubeconfig(), "secret-token", "other-token", 1)
	if server(one.Kubeconfig()) != server(otherUser) {
		t.Error("the users of a server have no queue in common")
	}
	if server(one.Kubeconfig()) == server(other.Kubeconfig()) {
		t.Error("two servers have a queue in common")
	}
	ca := func(kubeconfig string) string {
		_, ca, _ := strings.Cut(kubeconfig, "certificate-authority-data: ")
		ca, _, _ = strings.Cut(ca, "}")
		return ca
	}
	insecure := func(kubeconfig string) string {
		return strings.Replace(kubeconfig, "certificate-authority-data: "+ca(kubeconfig), "insecure-skip-tls-verify: true", 1)
	}
	if server(insecure(one.Kubeconfig())) == server(insecure(otherUser)) {
		t.Error("a server that nothing proves is taken for another one")
	}
}
