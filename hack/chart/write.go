// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// template is a file of artifacts/deploy that becomes a template of the chart.
type template struct {
	file string
	// condition is the condition of Helm under which it is rendered; empty is always.
	condition string
	// changes are the changes of its text, in this order.
	changes []change
}

// change replaces a text wherever the file has it.
type change struct{ from, to string }

var templates = []template{
	{file: "base/rbac.yaml"},
	{file: "base/service.yaml"},
	{file: "base/priorityclass.yaml", condition: ".Values.priorityClass"},
	{file: "base/networkpolicy.yaml", condition: ".Values.networkPolicy"},
	{file: "base/apiservice.yaml", changes: []change{{
		"spec:\n",
		`  {{- if .Values.certManager }}
  annotations:
    cert-manager.io/inject-ca-from: migrate-system/migrate-apiserver
  {{- end }}
spec:
`,
	}}},
	{file: "overlays/standalone/statefulset.yaml", condition: "not .Values.etcd.servers", changes: append([]change{{
		"      resources:\n        requests:\n          storage: 2Gi\n",
		`      {{- with .Values.storage.className }}
      storageClassName: {{ . }}
      {{- end }}
      resources:
        requests:
          storage: {{ .Values.storage.size }}
`,
	}}, pod...)},
	{file: "overlays/ha/deployment.yaml", condition: ".Values.etcd.servers", changes: append([]change{
		{"  replicas: 2\n", "  replicas: {{ .Values.replicas }}\n"},
		{"value: https://etcd.migrate-system.svc:2379\n", "value: {{ join \",\" .Values.etcd.servers }}\n"},
	}, pod...)},
	{file: "overlays/ha/poddisruptionbudget.yaml", condition: ".Values.etcd.servers"},
	{file: "components/all-namespaces/rbac.yaml", condition: ".Values.allNamespaces"},
	{file: "components/kurator/rbac.yaml", condition: ".Values.kurator.enabled"},
	// Fleets and clusters outlive the release.
	{file: "components/no-kurator/crds.yaml", condition: "not .Values.kurator.enabled", changes: []change{{
		"kind: CustomResourceDefinition\nmetadata:\n",
		"kind: CustomResourceDefinition\nmetadata:\n  annotations:\n    " + keep + ": keep\n",
	}}},
	{file: "components/cert-manager/certificate.yaml", condition: ".Values.certManager"},
	{file: "components/monitoring/rbac.yaml", condition: ".Values.monitoring.enabled", changes: []change{{
		"  name: prometheus-k8s\n  namespace: monitoring\n",
		"  name: {{ .Values.monitoring.serviceAccount.name }}\n  namespace: {{ .Values.monitoring.serviceAccount.namespace }}\n",
	}}},
	{file: "components/monitoring/servicemonitor.yaml", condition: ".Values.monitoring.enabled"},
	{file: "components/monitoring/prometheusrule.yaml", condition: ".Values.monitoring.enabled"},
	{file: "tenant/rolebinding.yaml", changes: []change{
		{"apiVersion: rbac", "{{- range .Values.namespaces }}\n---\napiVersion: rbac"},
		{"  namespace: default\n", "  namespace: {{ . }}\n"},
		{"  namespace: migrate-system\n", "  namespace: migrate-system\n{{- end }}\n"},
	}},
}

// pod are the changes of the pod of the server.
var pod = []change{
	{
		"      priorityClassName: migrate-apiserver\n",
		"      {{- include \"migrate-apiserver.scheduling\" . | nindent 6 }}\n",
	},
	{
		"        runAsUser: 65532\n        runAsGroup: 65532\n        fsGroup: 65532\n",
		`        {{- if not .Values.openshift }}
        runAsUser: 65532
        runAsGroup: 65532
        fsGroup: 65532
        {{- end }}
`,
	},
	{"image: migrate-apiserver:latest\n", "image: {{ include \"migrate-apiserver.image\" . }}\n"},
	{
		"        - --serving-certificate-secret=migrate-system/migrate-apiserver-tls\n",
		`        {{- if .Values.certManager }}
        - --tls-cert-file=/etc/migrate-apiserver/tls/tls.crt
        - --tls-private-key-file=/etc/migrate-apiserver/tls/tls.key
        {{- else }}
        - --serving-certificate-secret=migrate-system/migrate-apiserver-tls
        {{- end }}
`,
	},
	{"        ports:\n", "        {{- include \"migrate-apiserver.args\" . | nindent 8 }}\n        ports:\n"},
	{
		"          requests: {cpu: 100m, memory: 256Mi}\n          limits: {memory: 1Gi}\n",
		"          {{- toYaml .Values.resources | nindent 10 }}\n",
	},
	{
		"        - name: tmp\n          mountPath: /tmp\n",
		`        - name: tmp
          mountPath: /tmp
        {{- if .Values.certManager }}
        - name: tls
          mountPath: /etc/migrate-apiserver/tls
          readOnly: true
        {{- end }}
`,
	},
	{
		"      - name: tmp\n        emptyDir: {}\n",
		`      - name: tmp
        emptyDir: {}
      {{- if .Values.certManager }}
      - name: tls
        secret:
          secretName: migrate-apiserver-tls
      {{- end }}
`,
	},
}

// keep is Helm's annotation of objects that an uninstallation leaves.
const keep = "helm.sh/resource-policy"

// generated is the first line of every template that write writes, by which it knows those of an
// earlier run.
const generated = "{{- /* Generated from artifacts/deploy by hack/update-chart.sh. */ -}}\n"

// write writes the templates to directory out, and removes those that are no longer generated.
func write(deploy, out string) error {
	old, err := filepath.Glob(filepath.Join(out, "*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range old {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if strings.HasPrefix(string(content), generated) {
			if err := os.Remove(file); err != nil {
				return err
			}
		}
	}
	for _, t := range templates {
		content, err := os.ReadFile(filepath.Join(deploy, t.file))
		if err != nil {
			return err
		}
		text, err := t.render(string(content))
		if err != nil {
			return fmt.Errorf("%s: %w", t.file, err)
		}
		if err := os.WriteFile(filepath.Join(out, t.name()), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// name returns the name of the template: base/service.yaml becomes base-service.yaml.
func (t template) name() string {
	directory, file := filepath.Split(t.file)
	return filepath.Base(directory) + "-" + file
}

func (t template) render(text string) (string, error) {
	for _, c := range t.changes {
		if !strings.Contains(text, c.from) {
			return "", fmt.Errorf("it lacks:\n%s", c.from)
		}
		text = strings.ReplaceAll(text, c.from, c.to)
	}
	text = strings.ReplaceAll(text, "migrate-system", "{{ $.Release.Namespace }}")
	if t.condition != "" {
		text = "{{- if " + t.condition + " }}\n" + text + "{{- end }}\n"
	}
	return generated + text, nil
}
