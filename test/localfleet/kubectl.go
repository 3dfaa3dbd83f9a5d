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

// KubectlPath is the pinned kubectl.
func (f *Fleet) KubectlPath() string { return f.program("kubectl") }

// Kubectl runs the real kubectl with a kubeconfig and returns what it printed.
// Its error holds what kubectl complained of.
func (f *Fleet) Kubectl(ctx context.Context, kubeconfig string, args ...string) (string, error) {
	var output, complaint bytes.Buffer
	run := exec.CommandContext(ctx, f.KubectlPath(), args...)
	run.Env = f.KubectlEnvironment(kubeconfig)
	run.Stdout, run.Stderr = &output, &complaint
	if err := run.Run(); err != nil {
		return output.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return output.String(), nil
}

// KubectlEnvironment is the environment to run kubectl in: nothing of the
// caller's but the path, and the cache within the fleet's directory.
func (f *Fleet) KubectlEnvironment(kubeconfig string) []string {
	return []string{"PATH=/usr/bin:/bin", "HOME=" + f.dataDir("kubectl"), "KUBECONFIG=" + kubeconfig}
}
