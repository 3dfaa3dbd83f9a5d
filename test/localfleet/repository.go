// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"errors"
	"os"
	"path/filepath"
)

// RepositoryBinDir is where `make tools` and `make build` put programs, found
// from any directory within the repository, such as the one a test runs in.
func RepositoryBinDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "_output", "bin"), nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not within the repository: no directory above has a go.mod")
		}
		dir = parent
	}
}
