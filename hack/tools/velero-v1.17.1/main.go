// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Command velero is Velero's command line and server of an old version with one change: it disables the
// default metrics listener of controller-runtime. Velero binds that listener to :8080
// whatever --metrics-address is, so that two servers can't run on one machine. Velero's
// metrics are still served at --metrics-address.
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
