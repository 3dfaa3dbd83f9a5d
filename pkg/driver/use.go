// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"

	"k8s.io/apiserver/pkg/authentication/user"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/permission"
)

// CheckUse returns why a user may not use the clusters that m names; empty if they may. An error is why that is not
// known.
func (d *Driver) CheckUse(ctx context.Context, u user.Info, m *v1alpha1.Migrate) (denial string, err error) {
	denied, err := d.Permission.Denied(ctx, u, permission.ObjectsOf(m.Namespace, &m.Spec))
	if err != nil || len(denied) == 0 {
		return "", err
	}
	return denied[0].Denial(u.GetName()), nil
}
