// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Command shop is a small stateful application. It keeps one file in each of its data
// directories, or a tree of odd files, and serves their size and SHA-256 over HTTP.
package main

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"os"
	"path/filepath"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address to serve at")
	dirs := []string{}
	flag.Func("dir", "directory of the data; may be repeated (default /data)", func(dir string) error {
		dirs = append(dirs, dir)
		return nil
	})
	fill := flag.Int64("fill", 0, "number of random bytes to write into each directory if there is no data yet; 0 writes none")
	odd := flag.Bool("odd", false, "also write files with odd names, modes, owners and contents")
	flag.Parse()
	if len(dirs) == 0 {
		dirs = []string{"/data"}
	}
	if err := run(*listen, dirs, *fill, *odd); err != nil {
		log.Fatal(err)
	}
}

func run(listen string, dirs []string, fill int64, odd bool) error {
	for _, dir := range dirs {
		if _, err := os.Stat(dataIn(dir)); !errors.Is(err, fs.ErrNotExist) || fill == 0 {
			continue
		}
		if odd {
			if err := writeOddFiles(filepath.Join(dir, "odd")); err != nil {
				return err
			}
		}
		if err := write(dataIn(dir), fill); err != nil {
			return err
		}
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		for _, dir := range dirs {
			if err := serve(w, dir, odd); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
	})
	return http.ListenAndServe(listen, nil)
}

func dataIn(dir string) string { return filepath.Join(dir, "data") }

func serve(w io.Writer, dir string, odd bool) error {
	size, sum, err := read(dataIn(dir))
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%d bytes, sha256 %x\n", size, sum)
	if !odd {
		return nil
	}
	return listTree(w, filepath.Join(dir, "odd"))
}

// write creates the file under another name first, so that a kill leaves no partial data.
func write(path string, size int64) error {
	file, err := os.Create(path + ".partial")
	if err != nil {
		return err
	}
	_, err = io.CopyN(file, rand.Reader, size)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

func read(path string) (size int64, sum []byte, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, nil, err
	}
	defer file.Close()
	hash := sha256.New()
	size, err = io.Copy(hash, file)
	return size, hash.Sum(nil), err
}
