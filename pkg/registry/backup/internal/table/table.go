// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package table makes the tables of kubectl get. It imports nothing of ours.
package table

import (
	"context"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metatable "k8s.io/apimachinery/pkg/api/meta/table"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Cells returns the cells of an object besides its name. The age is the time since its creation, for a person.
type Cells func(obj runtime.Object, age string) ([]any, error)

// New returns a convertor to tables with the name of the object and these columns.
func New(columns []metav1.TableColumnDefinition, cells Cells) rest.TableConvertor {
	name := metav1.TableColumnDefinition{Name: "Name", Type: "string", Format: "name", Description: "Name of the object."}
	return &convertor{append([]metav1.TableColumnDefinition{name}, columns...), cells}
}

type convertor struct {
	columns []metav1.TableColumnDefinition
	cells   Cells
}

// ConvertToTable converts an object or a list of objects.
func (c *convertor) ConvertToTable(_ context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	rows, err := metatable.MetaToTableRow(obj, func(obj runtime.Object, _ metav1.Object, name, age string) ([]any, error) {
		cells, err := c.cells(obj, age)
		return append([]any{name}, cells...), err
	})
	if err != nil {
		return nil, err
	}
	table := &metav1.Table{Rows: rows}
	if list, err := apimeta.ListAccessor(obj); err == nil {
		table.ResourceVersion = list.GetResourceVersion()
		table.Continue = list.GetContinue()
		table.RemainingItemCount = list.GetRemainingItemCount()
	} else if object, err := apimeta.CommonAccessor(obj); err == nil {
		table.ResourceVersion = object.GetResourceVersion()
	}
	if opt, ok := options.(*metav1.TableOptions); !ok || !opt.NoHeaders {
		table.ColumnDefinitions = c.columns
	}
	return table, nil
}
