// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package readers

import (
	"context"
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
)

func TestReaders(t *testing.T) {
	as := func(name string) context.Context {
		return genericapirequest.WithUser(t.Context(), &user.DefaultInfo{Name: name})
	}
	r := Readers{What: "logs", Instead: "wait", Most: 100, MostOfUser: 20}
	var leave []func()
	for u := range 5 {
		for range 20 {
			done, err := r.Admit(as(fmt.Sprint("u", u)))
			if err != nil {
				t.Fatal(err)
			}
			leave = append(leave, done)
		}
		_, err := r.Admit(as(fmt.Sprint("u", u)))
		if seconds, ok := apierrors.SuggestsClientDelay(err); !apierrors.IsTooManyRequests(err) || !ok || seconds != 1 {
			t.Errorf("the 21st read of user %d: %v", u, err)
		}
	}
	if _, err := r.Admit(as("another")); !apierrors.IsTooManyRequests(err) {
		t.Errorf("the 101st read: %v", err)
	}
	for _, done := range leave {
		done()
	}
	if r.all != 0 || len(r.byUser) != 0 {
		t.Errorf("%d reads are left, of %v", r.all, r.byUser)
	}
}
