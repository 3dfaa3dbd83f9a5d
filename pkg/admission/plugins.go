// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"slices"

	validatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	genericoptions "k8s.io/apiserver/pkg/server/options"

	"kurator.dev/migrate-apiserver/pkg/admission/plugin/clusteruse"
)

// AddTo adds our plugins to the chain of every API server: behind what may still
// change the object, and before what calls out to others about it.
func AddTo(o *genericoptions.AdmissionOptions) {
	clusteruse.Register(o.Plugins)
	order := o.RecommendedPluginOrder
	at := slices.Index(order, validatingpolicy.PluginName)
	o.RecommendedPluginOrder = slices.Insert(slices.Clone(order), max(at, 0), clusteruse.PluginName)
}
