// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"sync"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// veleroTime is the time for which Veleros are busy with one migration: from the creation of the Backup to its end, and from that of
// the first Restore to the end of the last one. It goes by the clock of the watch, because the times in the objects are whole seconds.
type veleroTime struct {
	mutex           sync.Mutex
	backup, restore interval
}

type interval struct{ began, ended time.Time }

func (i *interval) add(event watch.Event, ended bool) {
	now := time.Now()
	if event.Type == watch.Added && i.began.IsZero() {
		i.began = now
	}
	if ended {
		i.ended = now
	}
}

// watchVeleros watches the Velero of the first member, and those of its targets, until ctx ends.
func watchVeleros(ctx context.Context, fleet *localfleet.Fleet, targets int) (*veleroTime, error) {
	t := &veleroTime{}
	for n := 1; n <= 1+targets; n++ {
		resource, of := "restores", &t.restore
		if n == 1 {
			resource, of = "backups", &t.backup
		}
		config, err := fleet.MemberConfig(n)
		if err != nil {
			return nil, err
		}
		client, err := dynamic.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		events, err := watchFromNow(ctx, client.Resource(velerov1.SchemeGroupVersion.WithResource(resource)).Namespace("velero"))
		if err != nil {
			return nil, err
		}
		go func() {
			for event := range events.ResultChan() {
				if object, ok := event.Object.(*unstructured.Unstructured); ok {
					phase, _, _ := unstructured.NestedString(object.Object, "status", "phase")
					t.mutex.Lock()
					of.add(event, phase == "Completed")
					t.mutex.Unlock()
				}
			}
		}()
	}
	return t, nil
}

func (t *veleroTime) busy() time.Duration {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.backup.ended.Sub(t.backup.began) + t.restore.ended.Sub(t.restore.began)
}

// watchFromNow watches objects from now on.
func watchFromNow(ctx context.Context, objects dynamic.ResourceInterface) (watch.Interface, error) {
	list, err := objects.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	return objects.Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
}
