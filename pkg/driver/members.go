// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"k8s.io/apimachinery/pkg/types"

	"kurator.dev/migrate-apiserver/pkg/member"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// PoolMembers returns the clusters of pool as Members.
func PoolMembers(pool *member.Pool) Members { return poolMembers{pool} }

type poolMembers struct{ pool *member.Pool }

func (p poolMembers) Watch(namespace string, v migration.Velero, uid types.UID, onChange func(types.UID)) Watch {
	return p.pool.Watch(namespace, v, uid, onChange)
}

func (p poolMembers) Member(namespace string, v migration.Velero) Member {
	return p.pool.Member(namespace, v)
}
