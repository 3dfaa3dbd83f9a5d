// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Command openapi-gen is kube-openapi's, but for what it generates of other
// projects' packages: those types, and only those, that ours refer to. Velero's
// packages don't ask for schemas, so the original would leave out the status
// structs that a Migrate holds; those of Kubernetes ask for all of them, which
// would be a hundred times the one that we use.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/gengo/v2"
	"k8s.io/gengo/v2/generator"
	"k8s.io/gengo/v2/types"
	"k8s.io/klog/v2"
	"k8s.io/kube-openapi/cmd/openapi-gen/args"
	"k8s.io/kube-openapi/pkg/generators"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "openapi-gen:", err)
		os.Exit(1)
	}
}

func run() error {
	klog.InitFlags(nil)
	a := args.New()
	a.AddFlags(pflag.CommandLine)
	own := pflag.String("own-module", "", "Import path of the module whose types are the roots.")
	pflag.CommandLine.AddGoFlagSet(flag.CommandLine)
	pflag.Parse()
	if err := a.Validate(); err != nil {
		return err
	}
	boilerplate, err := gengo.GoBoilerplate(a.GoHeaderFile, gengo.StdBuildTag, gengo.StdGeneratedBy)
	if err != nil {
		return err
	}
	// Model names first: the schemas refer to them.
	for _, targets := range []func(*generator.Context) []generator.Target{
		func(c *generator.Context) []generator.Target {
			return generators.GetModelNameTargets(c, a, boilerplate)
		},
		func(c *generator.Context) []generator.Target {
			return limit(generators.GetOpenAPITargets(c, a, boilerplate), reachable(c, *own))
		},
	} {
		if err := gengo.Execute(generators.NameSystems(), generators.DefaultNameSystem(), targets, gengo.StdBuildTag, pflag.Args()); err != nil {
			return err
		}
	}
	return nil
}

// limit leaves out what asks for a schema but is not needed, and takes in what is
// needed and doesn't ask. The machinery that every API server serves asks for what
// it needs.
func limit(targets []generator.Target, needed map[*types.Type]bool) []generator.Target {
	for _, target := range targets {
		simple, ok := target.(*generator.SimpleTarget)
		if !ok {
			continue
		}
		asks := simple.FilterFunc
		simple.FilterFunc = func(c *generator.Context, t *types.Type) bool {
			if strings.HasPrefix(t.Name.Package, "k8s.io/apimachinery/") {
				return asks(c, t)
			}
			return needed[t]
		}
	}
	return targets
}

// reachable are the types of a module and all of the given packages that they
// refer to.
func reachable(c *generator.Context, module string) map[*types.Type]bool {
	given := sets.New(c.Inputs...)
	seen := map[*types.Type]bool{}
	var visit func(t *types.Type)
	visit = func(t *types.Type) {
		if t == nil || seen[t] || (t.Name.Package != "" && !given.Has(t.Name.Package)) {
			return
		}
		seen[t] = true
		visit(t.Elem)
		visit(t.Key)
		visit(t.Underlying)
		for _, member := range t.Members {
			visit(member.Type)
		}
	}
	for _, input := range c.Inputs {
		if strings.HasPrefix(input, module+"/") {
			for _, t := range c.Universe.Package(input).Types {
				visit(t)
			}
		}
	}
	return seen
}
