// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Command manifests renders artifacts/deploy for an installation: with an image,
// and with a serving certificate of an authority that it makes and forgets. To
// renew the certificate, render and apply again.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"kurator.dev/migrate-apiserver/artifacts/deploy"
	"kurator.dev/migrate-apiserver/hack/pki"
)

func main() {
	image := flag.String("image", "", "image of migrate-apiserver")
	namespaces := flag.String("namespaces", "", "namespaces to confine the server to, separated by blanks or commas")
	out := flag.String("out", "", "directory to write the manifests to")
	flag.Parse()
	if err := run(*image, *out, *namespaces); err != nil {
		fmt.Fprintln(os.Stderr, "manifests:", err)
		os.Exit(1)
	}
}

func run(image, out, namespaces string) error {
	if image == "" || out == "" {
		return errors.New("--image and --out are needed")
	}
	authority, err := pki.NewAuthority("migrate-apiserver")
	if err != nil {
		return err
	}
	serving, err := authority.Server("migrate-apiserver", deploy.ServiceHost)
	if err != nil {
		return err
	}
	rendered, err := deploy.Render(deploy.Values{
		Image:       image,
		Authority:   authority.Certificate,
		Certificate: serving.Certificate,
		Key:         serving.Key,
		Namespaces:  strings.Fields(strings.ReplaceAll(namespaces, ",", " ")),
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o700); err != nil {
		return err
	}
	for name, content := range rendered {
		if err := os.WriteFile(filepath.Join(out, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}
