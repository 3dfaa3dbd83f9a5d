// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import "path/filepath"

// auditPolicyContent makes the host log every request of our server for Secrets and
// every write of a Migrate through the host, and nothing else.
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

// HostAuditLog returns the path of the host's audit log. It has one audit.k8s.io/v1
// Event on each line: every request of our server for Secrets, and every write of a
// Migrate.
func (f *Fleet) HostAuditLog() string { return filepath.Join(f.dir, "logs", "host-audit.log") }

func (f *Fleet) auditPolicy() string {
	return filepath.Join(f.dir, "pki", hostName, "audit-policy.yaml")
}

func (f *Fleet) writeAuditPolicy() error {
	return writeFile(f.auditPolicy(), []byte(auditPolicyContent))
}
