// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Command velero is Velero's own command line and server, changed in one
// thing: controller-runtime's default metrics listener is off. Velero binds it
// to :8080 whatever --metrics-address says, so two servers could not run on one
// machine; its real metrics are served at --metrics-address all the same.
package main

import (
	"os"
	"path/filepath"

	"github.com/vmware-tanzu/velero/pkg/cmd"
	"github.com/vmware-tanzu/velero/pkg/cmd/velero"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

func main() {
	metricsserver.DefaultBindAddress = "0"
	cmd.CheckError(velero.NewCommand(filepath.Base(os.Args[0])).Execute())
}
