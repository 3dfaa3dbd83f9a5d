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

// maxReads and maxReadsOfUser are the largest numbers of reads of a subresource at the same time, in all
// and for one user. Each calls clusters of a Migrate, while it is a single request to the host's API
// priority and fairness.
const maxReads, maxReadsOfUser = 100, 20

// readers bounds live reads in all and for each user.
type readers struct {
	// what is read, and instead what else a reader may do.
	what, instead string

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
		return nil, apierrors.NewTooManyRequests(fmt.Sprintf("user %q is reading %d %s, which is the limit; retry, or %s", name, maxReadsOfUser, r.what, r.instead), 1)
	case r.all >= maxReads:
		return nil, apierrors.NewTooManyRequests(fmt.Sprintf("%d %s are being read, which is the limit; retry, or %s", maxReads, r.what, r.instead), 1)
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
