// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package clienttest connects the tests of the packages above client to a modelled member. It
// imports client, limits, membertest and migration, so the tests of these can't use it.
package clienttest

import (
	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// New returns a Client of the Velero of a modelled member, whose local address it allows.
func New(server *membertest.APIServer, o client.Options) *client.Client {
	o.Addresses.AllowLocal = true
	velero := migration.Velero{Cluster: migration.Cluster{Kind: "AttachedCluster", Name: "member1"}, Namespace: "velero"}
	return client.New("default", velero, membertest.NewHost(server.Kubeconfig()), o.WithDefaults(), limits.NewReading().Quota())
}
