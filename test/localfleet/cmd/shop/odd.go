// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// writeOddFiles writes what a copy of files may get wrong: names, modes, owners, links, empty files
// and directories, and a sparse file of 256 MiB. Kopia, which Velero uses, changes names that are not
// UTF-8.
func writeOddFiles(dir string) error {
	for _, name := range []string{"", "empty", "with space", "deep/" + strings.Repeat("d/", 5)} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o750); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		name     string
		mode     fs.FileMode
		uid, gid int
		size     int64
	}{
		{"none", 0o600, 0, 0, 0},
		{"with space/new\nline", 0o644, 1000, 2000, 1},
		{"-rf", 0o400, 65534, 65534, 2},
		{"ünï中\u200d", 0o755 | fs.ModeSetuid, 0, 0, 3},
		{strings.Repeat("long", 60), 0o644 | fs.ModeSetgid, 5, 5, 5},
		{"..data", 0, 0, 0, 6},
		{"sparse", 0o644, 0, 0, 1 << 28},
	} {
		path := filepath.Join(dir, f.name)
		if err := os.WriteFile(path, []byte(strings.Repeat("x", int(min(f.size, 7)))), 0o600); err != nil {
			return err
		}
		if err := os.Truncate(path, f.size); err != nil {
			return err
		}
		if err := os.Chown(path, f.uid, f.gid); err != nil {
			return err
		}
		if err := os.Chmod(path, f.mode); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{"link": "none", "dangling": "/does/not/exist"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// listTree writes the names, modes, owners and contents of all files in a directory.
func listTree(w io.Writer, dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		owner := info.Sys().(*syscall.Stat_t)
		fmt.Fprintf(w, "%q %v %d:%d", path, info.Mode(), owner.Uid, owner.Gid)
		switch {
		case info.Mode().IsRegular():
			var size int64
			var sum []byte
			size, sum, err = read(path)
			fmt.Fprintf(w, " %d bytes, sha256 %x", size, sum)
		case info.Mode()&fs.ModeSymlink != 0:
			var target string
			target, err = os.Readlink(path)
			fmt.Fprintf(w, " -> %q", target)
		}
		fmt.Fprintln(w)
		return err
	})
}
