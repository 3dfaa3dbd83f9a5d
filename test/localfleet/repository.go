// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// RepositoryBinDir returns the directory in which `make tools` and `make build` put
// programs. The working directory must be within the repository, as that of a test is.
func RepositoryBinDir() (string, error) {
	root, err := repository()
	return filepath.Join(root, "_output", "bin"), err
}

// RenderManifests renders the manifests of an installation to the directory out, as
// `make manifests` does. args are passed to hack/manifests.
func RenderManifests(ctx context.Context, out string, args ...string) error {
	root, err := repository()
	if err != nil {
		return err
	}
	render := exec.CommandContext(ctx, "go", append([]string{"run", "./hack/manifests", "--image=migrate-apiserver:test", "--out=" + out}, args...)...)
	render.Dir = root
	if output, err := render.CombinedOutput(); err != nil {
		return fmt.Errorf("render the manifests: %w: %s", err, output)
	}
	return nil
}

// accountObjects returns the objects of artifacts/deploy that a server outside of the
// cluster needs too: the namespace, the ServiceAccount and its RBAC.
func accountObjects() ([]*unstructured.Unstructured, error) {
	root, err := repository()
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for _, name := range []string{"00-namespace.yaml", "10-rbac.yaml"} {
		content, err := os.ReadFile(filepath.Join(root, "artifacts", "deploy", name))
		if err != nil {
			return nil, err
		}
		parsed, err := parse(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		objects = append(objects, parsed...)
	}
	return objects, nil
}

// repository returns the root of the repository around the working directory.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not within the repository: no directory above has a go.mod")
		}
		dir = parent
	}
}
