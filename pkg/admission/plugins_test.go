// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	genericoptions "k8s.io/apiserver/pkg/server/options"
)

func TestOrder(t *testing.T) {
	o := genericoptions.NewRecommendedOptions("/test", nil)
	AddTo(o)
	want := []string{
		"NamespaceLifecycle", "MutatingAdmissionPolicy", "MutatingAdmissionWebhook",
		"ClusterUse", "ValidatingAdmissionPolicy", "ValidatingAdmissionWebhook", "ResourceQuota",
	}
	if d := cmp.Diff(want, o.Admission.RecommendedPluginOrder); d != "" {
		t.Error(d)
	}
	if errs := o.Admission.Validate(); len(errs) > 0 {
		t.Error(errs)
	}
}
