// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package initializer

import (
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	quota "k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/apiserver/pkg/quota/v1/generic"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
)

// Quota tells ResourceQuota how to count: Migrates by their number, under the name
// that the host's quota controller has for them, count/migrates.backup.kurator.dev.
// The host counts what there is; here it is only counted up at a create, so nothing
// has to be listed.
type Quota struct{}

var _ admission.PluginInitializer = Quota{}

// Initialize gives the plugin the configuration if it wants one.
func (Quota) Initialize(plugin admission.Interface) {
	if wants, ok := plugin.(initializer.WantsQuotaConfiguration); ok {
		wants.SetQuotaConfiguration(generic.NewConfiguration([]quota.Evaluator{
			generic.NewObjectCountEvaluator(backup.Resource("migrates"), nil, ""),
		}, nil))
	}
}
