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

// stateFile is the name of the file that marks a directory as a fleet.
const stateFile = "state.json"

// state is the persistent state of a fleet. It omits what can be computed from it, such
// as the programs' flags.
type state struct {
	// ID is a random identifier that is in the environment of every process.
	ID     string `json:"id"`
	BinDir string `json:"binDir"`
	// Kubernetes is the directory of the Kubernetes programs of the host and, unless MemberKubernetes has others,
	// of the members. Minor is their minor version.
	Kubernetes string `json:"kubernetes"`
	Minor      int    `json:"minor"`
	Members    int    `json:"members"`
	// MemberKubernetes are the directories of the Kubernetes programs of the members; empty is Kubernetes.
	MemberKubernetes []string `json:"memberKubernetes,omitempty"`
	// Veleros are the directories of Velero in the members; empty is BinDir.
	Veleros []string `json:"veleros,omitempty"`
	// VeleroNamespaces are the namespaces of Velero in the members; empty is velero.
	VeleroNamespaces []string `json:"veleroNamespaces,omitempty"`
	// Nodes reports whether each member has a node.
	Nodes bool `json:"nodes,omitempty"`
	// HostImages are the paths of the archives of images on the node of the host, which has none
	// if there are none.
	HostImages []string `json:"hostImages,omitempty"`
	// Server is the path of our server, empty if the fleet runs none.
	Server      string   `json:"server,omitempty"`
	ServerFlags []string `json:"serverFlags,omitempty"`
	// IssuesCertificate reports whether our server issues its serving certificate.
	IssuesCertificate bool `json:"issuesCertificate,omitempty"`
	// Replicas is the number of replicas of our server; 0 means one.
	Replicas       int  `json:"replicas,omitempty"`
	WithoutVelero  bool `json:"withoutVelero,omitempty"`
	WithoutKurator bool `json:"withoutKurator,omitempty"`
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
	// Fingerprint is the fingerprint of the command of this run.
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

// writeFile writes a file atomically. Only the owner may read it, since most files of a
// fleet are keys or kubeconfigs.
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
