// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Command chart writes the templates of the Helm chart from the manifests of artifacts/deploy, so that
// there is one source of both, and compares what Helm and kustomize render. It runs in the root of the
// repository, and imports no package of ours.
//
//	chart write artifacts/chart/templates
//	chart compare KUSTOMIZE-OUTPUT HELM-OUTPUT
package main

import (
	"errors"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "write":
		return write("artifacts/deploy", args[1])
	case len(args) == 3 && args[0] == "compare":
		return compare(args[1], args[2])
	default:
		return errors.New("usage: chart write DIRECTORY, or chart compare KUSTOMIZE-OUTPUT HELM-OUTPUT")
	}
}
