// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// RepositoryBinDir returns the directory in which `make tools` and `make build` put
// programs. The working directory must be within the repository, as that of a test is.
func RepositoryBinDir() (string, error) {
	root, err := repository()
	return filepath.Join(root, "_output", "bin"), err
}

// WriteManifests writes the kustomization of an installation to the directory out, as
// `make manifests` does. args are passed to hack/manifests.
func WriteManifests(ctx context.Context, out string, args ...string) error {
	root, err := repository()
	if err != nil {
		return err
	}
	write := exec.CommandContext(ctx, "go", append([]string{"run", "./hack/manifests", "--image=migrate-apiserver:test", "--out=" + out}, args...)...)
	write.Dir = root
	if output, err := write.CombinedOutput(); err != nil {
		return fmt.Errorf("write the manifests: %w: %s", err, output)
	}
	return nil
}

// accountFiles are the files of artifacts/deploy with what a server outside of the cluster needs
// too: the namespace, the ServiceAccount and its RBAC.
var accountFiles = []string{"base/namespace.yaml", "base/rbac.yaml", "components/all-namespaces/rbac.yaml"}

// AccountManifests returns the manifests of accountFiles.
func AccountManifests() ([]byte, error) {
	root, err := repository()
	if err != nil {
		return nil, err
	}
	var all [][]byte
	for _, name := range accountFiles {
		content, err := os.ReadFile(filepath.Join(root, "artifacts", "deploy", name))
		if err != nil {
			return nil, err
		}
		all = append(all, content)
	}
	return bytes.Join(all, []byte("---\n")), nil
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
