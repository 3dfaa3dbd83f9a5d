// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

// fatalVariable makes TestFullDiskIsNamed log its error as etcd does when it can't go on.
const fatalVariable = "MIGRATE_TEST_FATAL"

// TestFullDiskIsNamed checks what the log says when etcd ends the process, in a process of its own.
func TestFullDiskIsNamed(t *testing.T) {
	failures := map[string]error{
		"full":   &os.PathError{Op: "write", Path: "db", Err: unix.ENOSPC},
		"quota":  &os.PathError{Op: "write", Path: "db", Err: unix.EDQUOT},
		"broken": &os.PathError{Op: "write", Path: "db", Err: unix.EIO},
	}
	if failure := os.Getenv(fatalVariable); failure != "" {
		zapLogger(klog.Background(), new(atomic.Bool)).Fatal("failed to commit tx", zap.Error(failures[failure]))
	}
	for name, full := range map[string]bool{"full": true, "quota": true, "broken": false} {
		run := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFullDiskIsNamed$")
		run.Env = append(os.Environ(), fatalVariable+"="+name)
		output, err := run.CombinedOutput()
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("%s: %v, want exit code 1", name, err)
		}
		if log := string(output); !strings.Contains(log, "failed to commit tx") || strings.Contains(log, "The disk of the data directory is full") != full {
			t.Errorf("%s: %s", name, log)
		}
	}
}
