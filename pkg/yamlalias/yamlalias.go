// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package yamlalias

import (
	"errors"
	"slices"

	"go.yaml.in/yaml/v3"
)

var (
	// ErrSyntax reports that a document is not YAML. It leaves the parser's error out, which may
	// repeat the content.
	ErrSyntax = errors.New("it is not YAML")
	// ErrAlias reports that a document has aliases.
	ErrAlias = errors.New("it has YAML aliases, which are not accepted: replace them by the values that they refer to")
)

// Check returns ErrSyntax unless text begins with a YAML document, and ErrAlias if that
// document has an alias. Anchors that no alias refers to are accepted.
func Check(text []byte) error {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return ErrSyntax
	}
	if hasAlias(&document) {
		return ErrAlias
	}
	return nil
}

func hasAlias(node *yaml.Node) bool {
	return node.Kind == yaml.AliasNode || slices.ContainsFunc(node.Content, hasAlias)
}
