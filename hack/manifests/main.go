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
	"kurator.dev/migrate-apiserver/test/localfleet/pki"
)

func main() {
	image := flag.String("image", "", "image of migrate-apiserver")
	namespaces := flag.String("namespaces", "", "namespaces of the fleets, separated by blanks or commas: the server may read Secrets in these alone")
	allNamespaces := flag.Bool("all-namespaces", false, "let the server read fleets, and any Secret by name, in every namespace")
	out := flag.String("out", "", "directory to write the manifests to")
	etcd := flag.String("etcd-servers", "", "URLs of an etcd cluster, for several replicas")
	flag.Parse()
	if err := run(*out, deploy.Values{
		Image:         *image,
		EtcdServers:   *etcd,
		Namespaces:    strings.Fields(strings.ReplaceAll(*namespaces, ",", " ")),
		AllNamespaces: *allNamespaces,
	}); err != nil {
		fmt.Fprintln(os.Stderr, "manifests:", err)
		os.Exit(1)
	}
}

// run writes the manifests with these values and a serving certificate.
func run(out string, values deploy.Values) error {
	if values.Image == "" || out == "" {
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
	values.Authority, values.Certificate, values.Key = authority.Certificate, serving.Certificate, serving.Key
	rendered, err := deploy.Render(values)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o700); err != nil {
		return err
	}
	// What another run left may be of the other kind.
	old, err := filepath.Glob(filepath.Join(out, "*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range old {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	for name, content := range rendered {
		if err := os.WriteFile(filepath.Join(out, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}
