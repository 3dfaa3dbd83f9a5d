// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package deploy holds the manifests that install migrate-apiserver in a host
// cluster, for programs to use: the local fleet grants its server exactly what
// they grant, so a permission that is missing here is missed in every test, and
// `make manifests` renders them for an install. They are applied in the order of
// their names. Where several replicas share an etcd cluster, what is in the folder
// replicas takes the place of the StatefulSet.
package deploy
