// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"errors"
	"slices"

	cliflag "k8s.io/component-base/cli/flag"
)

// defaultController is the user that Kurator's chart runs its fleet-manager as.
const defaultController = "system:serviceaccount:kurator-system:kurator-fleet-manager"

// Kurator are the options of a host with Kurator.
type Kurator struct {
	// Compatibility serves Kurator's own kinds of the group, for its controllers.
	Compatibility bool
	// Controllers are the users that its controllers run as.
	Controllers []string
}

func (k *Kurator) addFlags(sets *cliflag.NamedFlagSets) {
	fs := sets.FlagSet("Kurator")
	fs.BoolVar(&k.Compatibility, "kurator-compatibility", k.Compatibility,
		"Also store and serve Kurator's Backups and Restores, which its controllers drive, and hide Migrates from these controllers. Without it Kurator's fleet-manager on the same host ends.")
	fs.StringSliceVar(&k.Controllers, "kurator-controllers", k.Controllers,
		"With --kurator-compatibility, the users that Kurator's controllers run as. For them, lists and watches of Migrates are empty.")
}

func (k *Kurator) validate() []error {
	if k.Compatibility && (len(k.Controllers) == 0 || slices.Contains(k.Controllers, "")) {
		return []error{errors.New("--kurator-controllers must name the users that Kurator's controllers run as: they would run every Migrate a second time")}
	}
	return nil
}
