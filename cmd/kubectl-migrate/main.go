// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Command kubectl-migrate is the kubectl plugin for Migrates: kubectl migrate.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"kurator.dev/migrate-apiserver/cmd/kubectl-migrate/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process
	code := app.Run(ctx, os.Args[1:], genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr})
	stop()
	os.Exit(code)
}
