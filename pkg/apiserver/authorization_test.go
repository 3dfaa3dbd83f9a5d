// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"testing"

	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
)

// ca is a CA bundle; it is empty until it is read.
type ca struct {
	dynamiccertificates.CAContentProvider
	content string
}

func (c *ca) CurrentCABundleContent() []byte { return []byte(c.content) }

func TestReadyzWaitsForTheAggregatorCA(t *testing.T) {
	read := &ca{}
	check := aggregatorCACheck(&authenticatorfactory.RequestHeaderConfig{CAContentProvider: read})
	if check.Check(nil) == nil {
		t.Error("ready before the CA is read")
	}
	read.content = "PEM"
	if err := check.Check(nil); err != nil {
		t.Errorf("not ready with the CA: %v", err)
	}
	if err := aggregatorCACheck(nil).Check(nil); err != nil {
		t.Errorf("not ready without an aggregator: %v", err)
	}
}
