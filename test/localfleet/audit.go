// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import "path/filepath"

// auditPolicyContent has the host note every request for Secrets of our server, what
// is written of Migrates by way of the host, and nothing else.
const auditPolicyContent = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: ["system:serviceaccount:` + serverNamespace + ":" + serverAccount + `"]
  resources:
  - group: ""
    resources: [secrets]
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
  resources:
  - group: backup.kurator.dev
    resources: [migrates]
- level: None
`

// HostAuditLog is the file in which the host notes, as an audit.k8s.io/v1 Event a
// line, every request for Secrets of our server, and what is written of Migrates.
func (f *Fleet) HostAuditLog() string { return filepath.Join(f.dir, "logs", "host-audit.log") }

func (f *Fleet) auditPolicy() string {
	return filepath.Join(f.dir, "pki", hostName, "audit-policy.yaml")
}

func (f *Fleet) writeAuditPolicy() error {
	return writeFile(f.auditPolicy(), []byte(auditPolicyContent))
}
