// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"kurator.dev/migrate-apiserver/cmd/migrate-apiserver/app/internal/doctor"
)

// exitUnhealthy is the exit code if a check of the doctor has failed.
const exitUnhealthy = 2

// newDoctorCommand returns the command that checks an installation.
func newDoctorCommand() *cobra.Command {
	var kubeconfig, output string
	o := doctor.Options{Namespace: "migrate-system", ServiceAccount: "migrate-apiserver", Secret: "migrate-apiserver-tls"}
	command := &cobra.Command{
		Use:   "doctor",
		Short: "Check an installation, and say what to fix",
		Long: `Check an installation from outside: the host, its APIService and certificates, the permissions of the server, fleets, and, as the
server sees them, the clusters with their Velero, node-agent, storage and clock. It changes nothing. An administrator of the host
should run it; what another user may not read is Skipped.

The exit code is 0 if no check has failed, 2 if one has, and 1 if the host does not answer.`,
		Args: cobra.NoArgs, SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			if output != "table" && output != "json" {
				return fmt.Errorf("--output: %q is neither table nor json", output)
			}
			host, err := hostConfig(kubeconfig)
			if err != nil {
				return err
			}
			d, err := doctor.New(host, o)
			if err != nil {
				return err
			}
			findings, err := d.Run(command.Context())
			if err != nil {
				return err
			}
			return printFindings(command.OutOrStdout(), output, findings)
		},
	}
	flags := command.Flags()
	flags.StringVar(&kubeconfig, "kubeconfig", "", "Kubeconfig of the host. Default: as kubectl, and in a pod its ServiceAccount.")
	flags.StringVarP(&output, "output", "o", "table", "Format of the output: table or json.")
	flags.StringVarP(&o.Namespace, "namespace", "n", o.Namespace, "Namespace of the server.")
	flags.StringVar(&o.ServiceAccount, "service-account", o.ServiceAccount, "ServiceAccount of the server.")
	flags.StringVar(&o.Secret, "secret", o.Secret, "Secret with the serving certificate.")
	flags.StringSliceVar(&o.Namespaces, "fleet-namespaces", nil, "Namespaces whose fleets are checked. Default: all.")
	return command
}

func printFindings(to io.Writer, format string, findings []doctor.Finding) error {
	failed := 0
	for _, f := range findings {
		if f.Result == doctor.Failed {
			failed++
		}
	}
	if err := writeFindings(to, format, findings); err != nil {
		return err
	}
	if failed > 0 {
		return &ExitError{exitUnhealthy, fmt.Errorf("%d of %d checks have failed", failed, len(findings))}
	}
	return nil
}

func writeFindings(to io.Writer, format string, findings []doctor.Finding) error {
	if format == "json" {
		encoder := json.NewEncoder(to)
		encoder.SetIndent("", "  ")
		return encoder.Encode(findings)
	}
	table := tabwriter.NewWriter(to, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(table, "RESULT\tCHECK\tOBJECT\tMESSAGE")
	for _, f := range findings {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", f.Result, f.Check, f.Object, f.Message)
	}
	return table.Flush()
}
