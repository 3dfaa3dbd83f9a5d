// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package yamlsize

import (
	"errors"
	"math"

	"go.yaml.in/yaml/v3"
)

// Endless is the size of a document with an alias to a node that holds the alias.
const Endless = math.MaxInt

// ErrSyntax says that a document is not YAML. What the parser says is left out: it
// may repeat what it read.
var ErrSyntax = errors.New("it is not YAML")

// Unfolded is about how many bytes the first document of a text has with every alias
// replaced by what it stands for; Endless if that has no end.
func Unfolded(text []byte) (int, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return 0, ErrSyntax
	}
	return (&measure{sizes: map[*yaml.Node]int{}}).of(&document), nil
}

// measure has the sizes of the nodes that were measured; those of nodes that are
// being measured are Endless.
type measure struct {
	sizes map[*yaml.Node]int
}

func (m *measure) of(node *yaml.Node) int {
	if node.Kind == yaml.AliasNode {
		return m.of(node.Alias)
	}
	if size, known := m.sizes[node]; known {
		return size
	}
	m.sizes[node] = Endless
	size := len(node.Value) + 1
	for _, child := range node.Content {
		size = sum(size, m.of(child))
	}
	m.sizes[node] = size
	return size
}

// sum adds up sizes as far as an int goes.
func sum(a, b int) int {
	if a > Endless-b {
		return Endless
	}
	return a + b
}
