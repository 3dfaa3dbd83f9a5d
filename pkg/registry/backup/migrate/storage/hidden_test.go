// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package storage_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/utils/ptr"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/migrate/storage"
)

func TestMigratesAreHiddenFromControllers(t *testing.T) {
	s := newStorage(t)
	created := create(t, s, newMigrate())
	hidden := storage.NewHiddenREST(storage.NewPreviewedREST(s.Migrate, nil), []string{"controller"})

	for name, want := range map[string]int{"controller": 0, "other": 1, "": 1} {
		ctx := testContext()
		if name != "" {
			ctx = genericapirequest.WithUser(ctx, &user.DefaultInfo{Name: name})
		}
		obj, err := hidden.List(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		list := obj.(*backup.MigrateList)
		if len(list.Items) != want || list.ResourceVersion != created.ResourceVersion {
			t.Errorf("%q lists %d Migrates at %s, want %d at %s", name, len(list.Items), list.ResourceVersion, want, created.ResourceVersion)
		}

		// As an informer begins: the objects that are there, then a bookmark.
		w, err := hidden.Watch(ctx, &internalversion.ListOptions{
			SendInitialEvents: ptr.To(true), AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
		})
		if err != nil {
			t.Fatal(err)
		}
		events := 0
		for event := range w.ResultChan() {
			if event.Type == watch.Bookmark {
				break
			}
			events++
		}
		w.Stop()
		if events != want {
			t.Errorf("%q gets %d events, want %d", name, events, want)
		}
	}
}
