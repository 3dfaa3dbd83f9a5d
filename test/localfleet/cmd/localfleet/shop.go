// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

const (
	shopManifest        = "test/localfleet/cmd/shop/shop.yaml"
	shopMigrateManifest = "artifacts/examples/migrate-stateful.yaml"

	// shopName is the name of the application, of its namespace and of its Migrate.
	shopName = "shop"
	shopPod  = "shop-0"
	shopPort = 8080
)

// migrateShop migrates an application with its data, and checks that it serves the same
// data in the target.
func (d *demo) migrateShop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, migrationDeadline)
	defer cancel()

	d.heading("A stateful application in %s, with 20 MiB of data in a volume", localfleet.MemberName(source))
	if err := d.member(ctx, source, "apply", "-f", shopManifest); err != nil {
		return err
	}
	before, err := d.showShop(ctx, source)
	if err != nil {
		return err
	}

	d.heading("It is migrated with its data")
	if err := d.host(ctx, "apply", "-f", shopMigrateManifest); err != nil {
		return err
	}
	uid, err := d.uid(ctx, d.hostClient, object{migrates, metav1.NamespaceDefault, shopName})
	if err != nil {
		return err
	}
	if _, err := d.watchMigrate(ctx, shopName, uid); err != nil {
		return d.explain(ctx, shopName, err)
	}

	d.heading("The application in %s", localfleet.MemberName(target))
	after, err := d.showShop(ctx, target)
	if err != nil {
		return err
	}
	if after != before {
		return fmt.Errorf("it serves other data in %s", localfleet.MemberName(target))
	}
	d.ok("it serves the same data")
	return nil
}

// showShop waits until the application is ready in the nth member, and prints and returns
// what it serves.
func (d *demo) showShop(ctx context.Context, n int) (string, error) {
	if err := d.member(ctx, n, "rollout", "status", "statefulset/"+shopName, "-n", shopName); err != nil {
		return "", err
	}
	if err := d.member(ctx, n, "get", "pods,persistentvolumeclaims", "-n", shopName); err != nil {
		return "", err
	}
	served, err := d.fleet.GetFromPod(ctx, n, shopName, shopPod, shopPort)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(d.out, "\n   Pod %s serves: %s", shopPod, served)
	return served, nil
}
