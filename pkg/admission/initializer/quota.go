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

// Quota configures ResourceQuota to count Migrates, as count/migrates.backup.kurator.dev like the
// host's quota controller. The controller counts the existing ones; the plugin only adds one at a
// create, so nothing needs to be listed.
type Quota struct{}

var _ admission.PluginInitializer = Quota{}

// Initialize sets the quota configuration of a plugin that wants it.
func (Quota) Initialize(plugin admission.Interface) {
	if wants, ok := plugin.(initializer.WantsQuotaConfiguration); ok {
		wants.SetQuotaConfiguration(generic.NewConfiguration([]quota.Evaluator{
			generic.NewObjectCountEvaluator(backup.Resource("migrates"), nil, ""),
		}, nil))
	}
}
