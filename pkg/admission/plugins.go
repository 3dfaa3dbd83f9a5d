// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"slices"

	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/resourcequota"
	"k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"

	migrateinitializer "kurator.dev/migrate-apiserver/pkg/admission/initializer"
	"kurator.dev/migrate-apiserver/pkg/admission/plugin/clusteruse"
)

// AddTo adds ClusterUse and ResourceQuota to the recommended admission chain, in the order that
// the documentation of the package explains.
func AddTo(o *genericoptions.RecommendedOptions) {
	clusteruse.Register(o.Admission.Plugins)
	resourcequota.Register(o.Admission.Plugins)
	order := o.Admission.RecommendedPluginOrder
	at := slices.Index(order, validating.PluginName)
	order = slices.Insert(slices.Clone(order), max(at, 0), clusteruse.PluginName)
	o.Admission.RecommendedPluginOrder = append(order, resourcequota.PluginName)
	o.ExtraAdmissionInitializers = func(*server.RecommendedConfig) ([]admission.PluginInitializer, error) {
		return []admission.PluginInitializer{migrateinitializer.Quota{}}, nil
	}
}
