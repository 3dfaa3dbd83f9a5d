// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"kurator.dev/migrate-apiserver/cmd/migrate-apiserver/app/internal/etcd"
)

// standardStream names the standard input or output in place of a file.
const standardStream = "-"

// newEtcdCommand returns the commands for the data of the embedded etcd.
func newEtcdCommand(dataDir string) *cobra.Command {
	command := &cobra.Command{Use: "etcd", Short: "Back up, restore and defragment the embedded etcd", Args: cobra.NoArgs}
	command.PersistentFlags().StringVar(&dataDir, "data-dir", dataDir, "Data directory of the embedded etcd.")

	command.AddCommand(&cobra.Command{
		Use:   "snapshot FILE",
		Short: "Write a snapshot of the running server's data to a file, or with - to the standard output",
		Long: `Write a snapshot of the data of the server that runs with --data-dir to a file, which must not exist, or with - to the
standard output. The server goes on. The snapshot is consistent, and one of etcd: "etcdutl snapshot restore" makes members of an
external etcd of it, to which the server can then be moved by --etcd-servers.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error { return writeSnapshot(command, dataDir, args[0]) },
	})

	command.AddCommand(&cobra.Command{
		Use:   "defrag",
		Short: "Give free space in the running server's data back, and accept writes again after it was full",
		Long: `Give the free space in the database of the server that runs with --data-dir back to the file system, and have it accept writes again
if it was full (--data-quota-bytes). First delete what is not needed, or restart the server with a larger quota. Requests wait meanwhile.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return defragment(command, dataDir) },
	})

	replace := false
	restore := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a data directory from a snapshot in a file, or with - from the standard input",
		Long: `Make --data-dir from a snapshot in a file, or with - from the standard input. The server must not run. resourceVersions are far
above those of the snapshot, so that every client reads everything anew.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return restoreSnapshot(command, dataDir, args[0], replace)
		},
	}
	restore.Flags().BoolVar(&replace, "replace", false, "Move the data that is there aside, to a directory beside it.")
	command.AddCommand(restore)
	return command
}

func writeSnapshot(command *cobra.Command, dataDir, file string) error {
	toOutput := file == standardStream
	if toOutput {
		dir, err := os.MkdirTemp("", "migrate-snapshot-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		file = filepath.Join(dir, "snapshot.db")
	}
	status, err := etcd.Snapshot(command.Context(), dataDir, file)
	if err != nil {
		return err
	}
	if toOutput {
		if err := copyFile(command.OutOrStdout(), file); err != nil {
			return fmt.Errorf("write the snapshot: %w", err)
		}
	}
	command.PrintErrln("Wrote a snapshot: " + describe(status))
	return nil
}

func copyFile(to io.Writer, file string) error {
	from, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	_, err = io.Copy(to, from)
	return err
}

func restoreSnapshot(command *cobra.Command, dataDir, file string, replace bool) error {
	if file == standardStream {
		// Beside the data directory, where it fits.
		temporary, err := os.CreateTemp(filepath.Dir(filepath.Clean(dataDir)), "snapshot-*.db")
		if err != nil {
			return err
		}
		defer func() { _ = os.Remove(temporary.Name()) }()
		_, err = io.Copy(temporary, command.InOrStdin())
		if closeErr := temporary.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return fmt.Errorf("read the snapshot: %w", err)
		}
		file = temporary.Name()
	}
	status, aside, err := etcd.Restore(command.Context(), dataDir, file, replace)
	if aside != "" {
		command.PrintErrln("Moved the data that was there to " + aside)
	}
	if err != nil {
		return err
	}
	command.PrintErrln("Restored to " + dataDir + ": " + describe(status))
	return nil
}

func defragment(command *cobra.Command, dataDir string) error {
	space, err := etcd.Defragment(command.Context(), dataDir)
	if err != nil {
		return err
	}
	size := func(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
	command.PrintErrf("Defragmented: %s before, %s now, of which %s are in use\n", size(space.Before), size(space.After), size(space.Used))
	if space.Disarmed {
		command.PrintErrln("The server was full, and accepts writes again")
	}
	return nil
}

func describe(status etcd.Status) string {
	return fmt.Sprintf("%d keys, revision %d, %s", status.Keys, status.Revision, humanize.IBytes(uint64(max(status.Bytes, 0))))
}
