// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// stateFile makes a directory a fleet; Down removes no directory without one.
const stateFile = "state.json"

// state is all that a later command has to know. What can be computed from it,
// as the programs' flags, is not in it.
type state struct {
	// ID is random and in the environment of every process of the fleet.
	ID     string `json:"id"`
	BinDir string `json:"binDir"`
	// Kubernetes is the directory of the Kubernetes programs of all clusters, and Minor
	// their minor version.
	Kubernetes string `json:"kubernetes"`
	Minor      int    `json:"minor"`
	Members    int    `json:"members"`
	// Server is the program of our server, empty if the fleet runs none.
	Server      string   `json:"server,omitempty"`
	ServerFlags []string `json:"serverFlags,omitempty"`
	// Replicas is how many of it there are, if more than one.
	Replicas      int  `json:"replicas,omitempty"`
	WithoutVelero bool `json:"withoutVelero,omitempty"`
	// StorageKey and StorageSecret are the S3 server's root credentials.
	StorageKey    string            `json:"storageKey"`
	StorageSecret string            `json:"storageSecret"`
	Ports         map[string]int    `json:"ports"`
	Processes     map[string]record `json:"processes"`
}

// record is the last run of a named process.
type record struct {
	identity

	Started time.Time `json:"started"`
	// Fingerprint is that of the command it was started with.
	Fingerprint string `json:"fingerprint"`
}

func readState(dir string) (*state, error) {
	content, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no fleet in %s: %w", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read the fleet's state: %w", err)
	}
	s := &state{}
	if err := json.Unmarshal(content, s); err != nil {
		return nil, fmt.Errorf("read the fleet's state in %s: %w", dir, err)
	}
	return s, nil
}

func (s *state) write(dir string) error {
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write the fleet's state: %w", err)
	}
	return writeFile(filepath.Join(dir, stateFile), append(content, '\n'))
}

// writeFile writes a file as a whole or not at all, readable by its owner only:
// nearly everything in a fleet's directory is a key or leads to one.
func writeFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = temporary.Write(content)
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(temporary.Name()))
	}
	return os.Rename(temporary.Name(), path)
}
