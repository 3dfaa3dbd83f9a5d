// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	bucket = "velero"
	region = "local"
)

// storage returns the command of the S3 server, which keeps a bucket as a directory.
func (f *Fleet) storage() command {
	keys := f.keys("storage")
	return command{
		name:    "storage",
		program: f.program("versitygw"),
		args: []string{
			"--port=" + f.address("storage"), "--cert=" + keys.certificate("server"), "--key=" + keys.key("server"),
			"--region=" + region, "--health=/healthz", "--quiet",
			// Metadata go to a directory of their own, because some file systems
			// have no extended attributes.
			"posix", "--sidecar=" + filepath.Join(f.dataDir("storage"), "metadata"), f.storageDir(),
		},
		environment: []string{"ROOT_ACCESS_KEY=" + f.state.StorageKey, "ROOT_SECRET_KEY=" + f.state.StorageSecret},
		ready: func(ctx context.Context, _ time.Time) error {
			return get(ctx, "https://"+f.address("storage")+"/healthz", keys.authority(), "", "")
		},
	}
}

func (f *Fleet) upStorage(ctx context.Context) error {
	for _, dir := range []string{f.Bucket(), filepath.Join(f.dataDir("storage"), "metadata")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("storage: %w", err)
		}
	}
	return f.process(f.storage()).ensure(ctx)
}

func (f *Fleet) storageDir() string { return filepath.Join(f.dataDir("storage"), "buckets") }
