// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
)

const kubeAPIServer = "kube-apiserver"

// kubernetesPrograms returns the absolute path of a directory of Kubernetes programs
// and the minor version of its kube-apiserver.
func kubernetesPrograms(ctx context.Context, dir string) (path string, minor int, err error) {
	if path, err = filepath.Abs(dir); err != nil {
		return "", 0, err
	}
	output, err := exec.CommandContext(ctx, filepath.Join(path, kubeAPIServer), "--version").Output()
	if err != nil {
		return "", 0, fmt.Errorf("version of %s in %s: %w", kubeAPIServer, path, err)
	}
	reported := strings.TrimSpace(string(output))
	v, err := version.ParseGeneric(strings.TrimPrefix(reported, "Kubernetes "))
	if err != nil {
		return "", 0, fmt.Errorf("version of %s in %s: %w", kubeAPIServer, path, err)
	}
	return path, int(v.Minor()), nil
}
