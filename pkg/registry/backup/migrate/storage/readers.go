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

// maxReads and maxReadsOfUser are how many live statuses are computed at a time, for all
// and for one user. Each asks every cluster of a Migrate, which the host's flow control
// does not know: to it a read is one request like another.
const maxReads, maxReadsOfUser = 100, 20

// readers bounds the live reads, so that no user takes them all.
type readers struct {
	mutex  sync.Mutex
	all    int
	byUser map[string]int
}

// admit lets a read through, whose end is to be told by done, or returns a 429.
func (r *readers) admit(ctx context.Context) (done func(), err error) {
	name := ""
	if u, ok := genericapirequest.UserFrom(ctx); ok {
		name = u.GetName()
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	switch {
	case r.byUser[name] >= maxReadsOfUser:
		return nil, apierrors.NewTooManyRequests(fmt.Sprintf("user %q reads %d live statuses at this moment, which is the most; try again, or read the recorded status of the Migrates", name, maxReadsOfUser), 1)
	case r.all >= maxReads:
		return nil, apierrors.NewTooManyRequests(fmt.Sprintf("%d live statuses are read at this moment, which is the most; try again, or read the recorded status of the Migrates", maxReads), 1)
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
