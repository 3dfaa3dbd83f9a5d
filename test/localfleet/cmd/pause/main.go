// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Command pause holds the namespaces of a pod until it gets a signal, as Kubernetes'
// pause image does.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	<-signals
}
