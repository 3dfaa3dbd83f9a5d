// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// KubectlPath returns the path of the pinned kubectl.
func (f *Fleet) KubectlPath() string { return f.program("kubectl") }

// Kubectl runs the real kubectl with a kubeconfig and returns its standard output.
// The error contains its standard error.
func (f *Fleet) Kubectl(ctx context.Context, kubeconfig string, args ...string) (string, error) {
	var output, errorOutput bytes.Buffer
	run := exec.CommandContext(ctx, f.KubectlPath(), args...)
	run.Env = f.KubectlEnvironment(kubeconfig)
	run.Stdout, run.Stderr = &output, &errorOutput
	if err := run.Run(); err != nil {
		return output.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errorOutput.String()))
	}
	return output.String(), nil
}

// KubectlEnvironment returns the environment to run kubectl in, which finds its plugins there. It takes
// nothing from the caller's environment, and keeps kubectl's cache in the fleet's directory.
func (f *Fleet) KubectlEnvironment(kubeconfig string) []string {
	return []string{"PATH=" + f.BinDir() + ":/usr/bin:/bin", "HOME=" + f.dataDir("kubectl"), "KUBECONFIG=" + kubeconfig}
}
