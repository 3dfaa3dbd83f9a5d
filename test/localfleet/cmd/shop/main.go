// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Command shop is a small stateful application. It keeps one file in its data directory
// and serves the file's size and SHA-256 over HTTP.
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
	dir := flag.String("dir", "/data", "directory of the data")
	fill := flag.Int64("fill", 0, "number of random bytes to write if there is no data yet; 0 writes none")
	flag.Parse()
	if err := run(*listen, filepath.Join(*dir, "data"), *fill); err != nil {
		log.Fatal(err)
	}
}

func run(listen, path string, fill int64) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && fill > 0 {
		if err := write(path, fill); err != nil {
			return err
		}
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		size, sum, err := read(path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "%d bytes, sha256 %x\n", size, sum)
	})
	return http.ListenAndServe(listen, nil)
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
