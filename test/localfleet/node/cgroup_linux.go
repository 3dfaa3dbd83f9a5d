// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	cgroupMount  = "/sys/fs/cgroup"
	cgroupProcs  = "cgroup.procs"
	pollInterval = 20 * time.Millisecond
)

// Cgroup is the path of a cgroup, relative to the root of the hierarchy. With cgroup v1
// there is one of that path in every controller.
type Cgroup string

// Create creates the cgroup and its parents.
func (c Cgroup) Create() error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	if len(roots) == 0 {
		return fmt.Errorf("no cgroups are mounted in %s", cgroupMount)
	}
	for _, root := range roots {
		parent := root
		for name := range strings.SplitSeq(string(c), "/") {
			child := filepath.Join(parent, name)
			if err := makeCgroup(parent, child); err != nil {
				return fmt.Errorf("create cgroup %s: %w", child, err)
			}
			parent = child
		}
	}
	return nil
}

// Remove removes the cgroup and those below it. It waits for processes that are ending;
// one that runs keeps the cgroup until ctx ends.
func (c Cgroup) Remove(ctx context.Context) error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		dir := filepath.Join(root, string(c))
		var removeErr error
		err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(context.Context) (bool, error) {
			removeErr = removeTree(dir)
			return removeErr == nil, nil
		})
		if err != nil {
			return fmt.Errorf("remove cgroup %s: %w", dir, errors.Join(removeErr, err))
		}
	}
	return nil
}

// removeTree removes a directory of cgroups. Their files can't be removed and vanish with
// the directories.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeTree(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	if err := os.Remove(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// makeCgroup creates a child of a cgroup that can have processes and children with the
// controllers of its parent.
func makeCgroup(parent, child string) error {
	if err := os.Mkdir(child, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if unified() {
		controllers, err := os.ReadFile(filepath.Join(parent, "cgroup.controllers"))
		if err != nil {
			return err
		}
		for controller := range strings.FieldsSeq(string(controllers)) {
			if err := os.WriteFile(filepath.Join(parent, "cgroup.subtree_control"), []byte("+"+controller), 0o644); err != nil {
				return fmt.Errorf("enable controller %s: %w", controller, err)
			}
		}
		return nil
	}
	// With cgroup v1 no process can join a child before it has CPUs and memory nodes.
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		content, err := os.ReadFile(filepath.Join(parent, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(child, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// hierarchies returns the mount points of cgroups: one with cgroup v2, one for each controller
// with cgroup v1, and none where no cgroups are mounted.
func hierarchies() ([]string, error) {
	if unified() {
		return []string{cgroupMount}, nil
	}
	entries, err := os.ReadDir(cgroupMount)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var roots []string
	for _, entry := range entries {
		root := filepath.Join(cgroupMount, entry.Name())
		if _, err := os.Stat(filepath.Join(root, cgroupProcs)); err == nil && entry.IsDir() {
			roots = append(roots, root)
		}
	}
	return roots, nil
}

func unified() bool {
	var stat unix.Statfs_t
	return unix.Statfs(cgroupMount, &stat) == nil && stat.Type == unix.CGROUP2_SUPER_MAGIC
}

// missingCgroups returns nil if this process can create cgroups.
func missingCgroups() error {
	probe := Cgroup(fmt.Sprintf("localfleet-probe-%d", os.Getpid()))
	err := probe.Create()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := errors.Join(err, probe.Remove(ctx)); err != nil {
		return fmt.Errorf("nodes need cgroups that can be written, which a container has if it is privileged: %w", err)
	}
	return nil
}
