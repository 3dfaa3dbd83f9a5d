// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Command manifests writes the kustomization of one installation: an overlay of artifacts/deploy with
// the image, the namespaces of the fleets, the components and the flags that were asked for. It is
// what a person would write by hand to install without this repository. The command runs in the root
// of the repository, from `make manifests` and from tests, and imports no package of ours.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

func main() {
	var v values
	image := flag.String("image", "", "image of migrate-apiserver, NAME:TAG or NAME@DIGEST")
	namespaces := flag.String("namespaces", "", "namespaces of the fleets, separated by blanks or commas: the server may read Secrets only in these")
	components := flag.String("components", "", "more components of artifacts/deploy/components, separated by blanks or commas")
	flags := flag.String("flags", "", "more flags of the server, separated by blanks")
	out := flag.String("out", "", "directory to write the kustomization to")
	flag.BoolVar(&v.AllNamespaces, "all-namespaces", false, "let the server read fleets, and any Secret by name, in every namespace")
	flag.BoolVar(&v.Kurator, "kurator", true, "Kurator is on the host, and defines the kinds of fleets and clusters")
	flag.StringVar(&v.KuratorNamespace, "kurator-namespace", "", "namespace of Kurator's fleet-manager, if that is not kurator-system")
	flag.StringVar(&v.EtcdServers, "etcd-servers", "", "URLs of an etcd cluster, for several replicas")
	flag.Parse()
	v.Image, v.Flags = *image, strings.Fields(*flags)
	v.Namespaces, v.Components = list(*namespaces), list(*components)
	if err := write(*out, v); err != nil {
		fmt.Fprintln(os.Stderr, "manifests:", err)
		os.Exit(1)
	}
}

func list(words string) []string { return strings.Fields(strings.ReplaceAll(words, ",", " ")) }
