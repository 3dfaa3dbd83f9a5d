// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	genericoptions "k8s.io/apiserver/pkg/server/options"
)

func TestOrder(t *testing.T) {
	o := genericoptions.NewAdmissionOptions()
	AddTo(o)
	want := []string{
		"NamespaceLifecycle", "MutatingAdmissionPolicy", "MutatingAdmissionWebhook",
		"ClusterUse", "ValidatingAdmissionPolicy", "ValidatingAdmissionWebhook",
	}
	if d := cmp.Diff(want, o.RecommendedPluginOrder); d != "" {
		t.Error(d)
	}
	if errs := o.Validate(); len(errs) > 0 {
		t.Error(errs)
	}
}
