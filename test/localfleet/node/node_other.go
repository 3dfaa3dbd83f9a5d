// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package node

import (
	"context"
	"errors"
	"os/exec"
)

var errLinux = errors.New("nodes need Linux")

// Missing returns an error: nodes need Linux.
func Missing() error { return errLinux }

// Run returns an error: nodes need Linux.
func Run(context.Context, Config) error { return errLinux }

// Isolate does nothing.
func Isolate(*exec.Cmd) {}

// Cgroup is the cgroup of a node.
type Cgroup string

// Create returns an error: nodes need Linux.
func (Cgroup) Create() error { return errLinux }

// Remove returns nil: there are no cgroups.
func (Cgroup) Remove(context.Context) error { return nil }
