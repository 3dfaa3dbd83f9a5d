// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Command image writes a container image of a few programs into an archive in the format
// of `docker save`, which needs neither a base image nor a registry.
//
//	image --out pause.tar --name localhost/pause:1 --entrypoint /pause _output/bin/pause=/pause
package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strings"

	"github.com/spf13/pflag"
)

func main() {
	out := pflag.String("out", "", "path of the archive to write")
	name := pflag.String("name", "", "name and tag of the image")
	entrypoint := pflag.String("entrypoint", "", "path in the image of the program that a container runs")
	pflag.Parse()
	if err := write(*out, *name, *entrypoint, pflag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// write writes an archive with one layer, which holds files. Each of files is
// FILE=/PATH/IN/THE/IMAGE.
func write(out, name, entrypoint string, files []string) error {
	layer, err := os.CreateTemp("", "layer-*.tar")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(layer.Name()) }()
	defer func() { _ = layer.Close() }()
	hash := sha256.New()
	if err := writeLayer(io.MultiWriter(layer, hash), files); err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       map[string]any{"Entrypoint": []string{entrypoint}},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(hash.Sum(nil))}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	archive, err := os.Create(out)
	if err != nil {
		return err
	}
	w := tar.NewWriter(archive)
	err = errors.Join(
		writeBytes(w, "config.json", config),
		writeFile(w, layer.Name(), "layer.tar"),
		writeBytes(w, "manifest.json", manifest),
		w.Close(), archive.Close(),
	)
	if err != nil {
		return errors.Join(err, os.Remove(out))
	}
	return nil
}

func writeLayer(to io.Writer, files []string) error {
	w := tar.NewWriter(to)
	directories := map[string]bool{}
	if err := writeDirectory(w, "tmp", directories); err != nil {
		return err
	}
	for _, f := range files {
		file, target, found := strings.Cut(f, "=/")
		if !found {
			return fmt.Errorf("%q is not FILE=/PATH", f)
		}
		if err := writeDirectory(w, path.Dir(target), directories); err != nil {
			return err
		}
		if err := writeFile(w, file, target); err != nil {
			return err
		}
	}
	return w.Close()
}

// writeDirectory writes a directory and its parents, unless they are in written. Any user
// of a container may write to them, since images from scratch have no users.
func writeDirectory(w *tar.Writer, name string, written map[string]bool) error {
	if name == "." || written[name] {
		return nil
	}
	if err := writeDirectory(w, path.Dir(name), written); err != nil {
		return err
	}
	written[name] = true
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o1777})
}

func writeFile(w *tar.Writer, file, target string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: target, Mode: 0o755, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}

func writeBytes(w *tar.Writer, target string, content []byte) error {
	if err := w.WriteHeader(&tar.Header{Name: target, Mode: 0o644, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}
