// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"k8s.io/apimachinery/pkg/util/wait"
)

// lock keeps other commands away from the fleet in dir. It locks the directory
// itself, so that nothing is left when that is removed.
func lock(ctx context.Context, dir string) (unlock func(), err error) {
	file, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = wait.PollUntilContextCancel(ctx, pollInterval, true, func(context.Context) (bool, error) {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("another command works on %s: %w", dir, err), file.Close())
	}
	if !same(file, dir) {
		return nil, errors.Join(fmt.Errorf("%s was removed meanwhile: %w", dir, os.ErrNotExist), file.Close())
	}
	return func() { file.Close() }, nil
}

func same(file *os.File, path string) bool {
	held, err := file.Stat()
	if err != nil {
		return false
	}
	present, err := os.Stat(path)
	return err == nil && os.SameFile(held, present)
}
