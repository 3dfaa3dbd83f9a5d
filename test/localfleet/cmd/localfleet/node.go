// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"kurator.dev/migrate-apiserver/test/localfleet/node"
)

// newNodeCommand returns the command that a fleet starts as the first process of a node.
func newNodeCommand() *cobra.Command {
	var config string
	command := &cobra.Command{
		Use:    "node",
		Short:  "Run a node as the first process of its PID namespace",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(command *cobra.Command, _ []string) error {
			var c node.Config
			if err := json.Unmarshal([]byte(config), &c); err != nil {
				return fmt.Errorf("--config: %w", err)
			}
			return node.Run(command.Context(), c)
		},
	}
	command.Flags().StringVar(&config, "config", "", "configuration of the node as JSON")
	return command
}
