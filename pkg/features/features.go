// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package features

import (
	"fmt"

	"k8s.io/apiserver/pkg/util/compatibility"
	basecompatibility "k8s.io/component-base/compatibility"
	"k8s.io/component-base/featuregate"
)

// Component is the name of this server in --emulated-version and --feature-gates.
const Component = "migrate"

const (
	// current is the version of this server, major and minor, as the next release has it.
	current = "0.1"
	// oldest is the oldest version that it can emulate, and oldestReplica the oldest one of a replica beside it.
	oldest, oldestReplica = "0.1", "0.0"
)

// gates are the features by the version from which on they are there, and on by default or not. A feature that stores what an older
// replica does not know is off by default in the first version that has it, and at a MinCompatibilityVersion that does not.
var gates = map[featuregate.Feature]featuregate.VersionedSpecs{}

// NewRegistry returns the versions and the feature gates of this server and, as component "kube", those of k8s.io/apiserver, which are
// global.
func NewRegistry() (basecompatibility.ComponentGlobalsRegistry, error) {
	registry := basecompatibility.NewComponentGlobalsRegistry()
	const kube = basecompatibility.DefaultKubeComponent
	version, gate := compatibility.DefaultComponentGlobalsRegistry.ComponentGlobalsOrRegister(kube, nil, nil)
	if err := registry.Register(kube, version, gate); err != nil {
		return nil, fmt.Errorf("component %s: %w", kube, err)
	}
	version = basecompatibility.NewEffectiveVersionFromString(current, oldest, oldestReplica)
	gate = featuregate.NewVersionedFeatureGate(version.EmulationVersion())
	if err := gate.AddVersioned(gates); err != nil {
		return nil, fmt.Errorf("feature gates: %w", err)
	}
	if err := registry.Register(Component, version, gate); err != nil {
		return nil, fmt.Errorf("component %s: %w", Component, err)
	}
	return registry, nil
}
