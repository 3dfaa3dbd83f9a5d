// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Command migrate-apiserver serves Migrates (migrates.backup.kurator.dev) in the host cluster of a
// Kurator fleet and carries them out by Velero in the member clusters.
package main

import (
	"fmt"
	"os"

	_ "golang.org/x/crypto/x509roots/fallback" // the image has no certificate authorities of its own
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register" // --logging-format=json

	"kurator.dev/migrate-apiserver/cmd/migrate-apiserver/app"
)

func main() {
	command, err := app.NewCommand()
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
	command.SetContext(genericapiserver.SetupSignalContext())
	if err := cli.RunNoErrOutput(command); err != nil {
		os.Exit(app.Report(os.Stderr, err))
	}
}
