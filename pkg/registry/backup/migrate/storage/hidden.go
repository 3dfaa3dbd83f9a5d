// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/watch"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// HiddenREST serves migrates, and hides them from other controllers of the same kind.
type HiddenREST struct {
	*PreviewedREST

	users sets.Set[string]
}

var _ rest.StandardStorage = &HiddenREST{}

// NewHiddenREST returns the storage of Migrates, whose lists and watches are empty for these users: they have real
// resourceVersions and bookmarks, so that an informer syncs and has nothing to do.
func NewHiddenREST(migrates *PreviewedREST, users []string) *HiddenREST {
	return &HiddenREST{migrates, sets.New(users...)}
}

// List lists Migrates.
func (r *HiddenREST) List(ctx context.Context, options *internalversion.ListOptions) (runtime.Object, error) {
	return r.PreviewedREST.List(ctx, r.visible(ctx, options))
}

// Watch watches Migrates.
func (r *HiddenREST) Watch(ctx context.Context, options *internalversion.ListOptions) (watch.Interface, error) {
	return r.PreviewedREST.Watch(ctx, r.visible(ctx, options))
}

func (r *HiddenREST) visible(ctx context.Context, options *internalversion.ListOptions) *internalversion.ListOptions {
	if user, ok := genericapirequest.UserFrom(ctx); !ok || !r.users.Has(user.GetName()) {
		return options
	}
	if options = options.DeepCopy(); options == nil {
		options = &internalversion.ListOptions{}
	}
	options.LabelSelector = labels.Nothing()
	return options
}
