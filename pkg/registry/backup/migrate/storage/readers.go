// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"context"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
)

// maxReads and maxReadsOfUser are the largest numbers of live statuses that are computed at the same
// time, in all and for one user. Each calls every cluster of a Migrate, while it is a single request
// to the host's API priority and fairness.
const maxReads, maxReadsOfUser = 100, 20

// readers bounds live reads in all and for each user.
type readers struct {
	mutex  sync.Mutex
	all    int
	byUser map[string]int
}

// admit admits a read, after which the caller calls done, or returns a 429.
func (r *readers) admit(ctx context.Context) (done func(), err error) {
	name := ""
	if u, ok := genericapirequest.UserFrom(ctx); ok {
		name = u.GetName()
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	switch {
	case r.byUser[name] >= maxReadsOfUser:
		return nil, apierrors.NewTooManyRequests(fmt.Sprintf("user %q is reading %d live statuses, which is the limit; retry, or read the recorded status of the Migrates", name, maxReadsOfUser), 1)
	case r.all >= maxReads:
		return nil, apierrors.NewTooManyRequests(fmt.Sprintf("%d live statuses are being read, which is the limit; retry, or read the recorded status of the Migrates", maxReads), 1)
	}
	if r.byUser == nil {
		r.byUser = map[string]int{}
	}
	r.all++
	r.byUser[name]++
	return func() { r.leave(name) }, nil
}

func (r *readers) leave(name string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.all--
	if r.byUser[name]--; r.byUser[name] == 0 {
		delete(r.byUser, name)
	}
}
