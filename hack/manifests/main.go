// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Command manifests renders the manifests of artifacts/deploy for one installation: it sets
// the image, the namespaces and the etcd, and generates a serving certificate and its CA,
// whose key it discards. To renew the certificate, render and apply the manifests again. The
// names of the files have the order in which to apply them. It runs in the root of the
// repository, from `make manifests` and from tests, and imports no package of ours.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/util/cert"
)

// lifetime is the lifetime of the serving certificate.
const lifetime = 10 * 365 * 24 * time.Hour

func main() {
	from := flag.String("from", "artifacts/deploy", "directory of the manifests")
	image := flag.String("image", "", "image of migrate-apiserver")
	namespaces := flag.String("namespaces", "", "namespaces of the fleets, separated by blanks or commas: the server may read Secrets only in these")
	allNamespaces := flag.Bool("all-namespaces", false, "let the server read fleets, and any Secret by name, in every namespace")
	out := flag.String("out", "", "directory to write the manifests to")
	kurator := flag.Bool("kurator", true, "Kurator is on the host, and defines the kinds of fleets and clusters")
	kuratorNamespace := flag.String("kurator-namespace", "kurator-system", "namespace of Kurator's fleet-manager")
	etcd := flag.String("etcd-servers", "", "URLs of an etcd cluster, for several replicas")
	flags := flag.String("flags", "", "more flags of the server, separated by blanks")
	flag.Parse()
	if err := run(*from, *out, values{
		Image:         *image,
		EtcdServers:   *etcd,
		Namespaces:    strings.Fields(strings.ReplaceAll(*namespaces, ",", " ")),
		Flags:         strings.Fields(*flags),
		AllNamespaces: *allNamespaces, WithoutKurator: !*kurator, KuratorNamespace: *kuratorNamespace,
	}); err != nil {
		fmt.Fprintln(os.Stderr, "manifests:", err)
		os.Exit(1)
	}
}

// run renders the manifests of directory from, with a new serving certificate, into out.
func run(from, out string, v values) error {
	if v.Image == "" || out == "" {
		return errors.New("--image and --out are needed")
	}
	if err := issue(&v); err != nil {
		return fmt.Errorf("issue the serving certificate: %w", err)
	}
	rendered, err := render(os.DirFS(from), v)
	if err != nil {
		return err
	}
	return write(out, rendered)
}

// issue sets a new serving certificate, its key and its CA.
func issue(v *values) error {
	chain, key, err := cert.GenerateSelfSignedCertKeyWithOptions(cert.SelfSignedCertKeyOptions{Host: serviceHost, MaxAge: lifetime})
	if err != nil {
		return err
	}
	certificates, err := cert.ParseCertsPEM(chain)
	if err != nil {
		return err
	}
	v.Certificate, v.Key = chain, key
	v.Authority, err = cert.EncodeCertificates(certificates[len(certificates)-1])
	return err
}

// write writes files to a directory, and removes the manifests of an earlier run.
func write(out string, files map[string][]byte) error {
	if err := os.MkdirAll(out, 0o700); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(out, "*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range old {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(out, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}
