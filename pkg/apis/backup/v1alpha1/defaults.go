// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "kurator.dev/migrate-apiserver/pkg/apis/backup"

// SetDefaults_Requester drops credentials when a Migrate is read that was stored before
// they were dropped at create.
//
//nolint:revive // the name is that of defaulter-gen
func SetDefaults_Requester(r *Requester) { backup.DropCredentials(r.Extra) }
