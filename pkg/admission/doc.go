// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package admission adds to the admission chain of the generic API server what is
// specific to Migrates: the plugin ClusterUse, and ResourceQuota, which the
// recommended chain leaves out.
//
// The threat model is in SECURITY.md: what is protected, who is trusted with what,
// what each check prevents, and the remaining risks. A change of a check here changes
// it there, too.
//
// # Order
//
// ClusterUse runs after the mutating plugins, so that it checks the object that is
// stored, and before the validating policies and webhooks, so that nothing calls out
// about a Migrate that its requester may not create. ResourceQuota runs last, because
// it counts what all other plugins have admitted. A test compares the whole order.
//
// # Where a rule belongs
//
//   - A rule that needs only the Migrate is validation (package validation).
//   - A field that the server sets, such as spec.requester, is set by the strategy
//     (package migrate of the registry), after mutating admission, so that no policy
//     or webhook can forge it.
//   - A rule that needs another object or an authorizer is a plugin, one package each
//     under plugin.
//   - What can change after the create, such as the permission to use a cluster, is
//     checked again when the migration starts. Admission is the early answer for the
//     user; it is not what the migration relies on.
//
// It imports the API server library and its own plugins.
package admission
