// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package kurator

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
)

func backupColumns() []metav1.TableColumnDefinition {
	return append([]metav1.TableColumnDefinition{
		{Name: "Schedule", Type: "string", Description: "Cron expression; empty for one backup."},
	}, restoreColumns()...)
}

func restoreColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		{Name: "Phase", Type: "string", Description: "Phase that Kurator's controller reports."},
		{Name: "Age", Type: "string", Description: "Time since the object was created."},
	}
}

func backupCells(obj runtime.Object, age string) ([]any, error) {
	b, ok := obj.(*backup.Backup)
	if !ok {
		return nil, fmt.Errorf("%T is not a Backup", obj)
	}
	return []any{b.Spec.Schedule, b.Status.Phase, age}, nil
}

func restoreCells(obj runtime.Object, age string) ([]any, error) {
	r, ok := obj.(*backup.Restore)
	if !ok {
		return nil, fmt.Errorf("%T is not a Restore", obj)
	}
	return []any{r.Status.Phase, age}, nil
}
