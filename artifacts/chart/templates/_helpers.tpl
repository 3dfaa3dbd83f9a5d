{{/* The image. A digest takes precedence over a tag. */}}
{{- define "migrate-apiserver.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The flags for the installation, after those that every one has. */}}
{{- define "migrate-apiserver.args" -}}
{{- if .Values.kurator.enabled }}
- --kurator-compatibility
{{- with .Values.kurator.namespace }}
- --kurator-controllers=system:serviceaccount:{{ . }}:kurator-fleet-manager
{{- end }}
{{- else }}
- --cluster-readiness=probe
{{- end }}
{{- with .Values.namespaces }}
- --namespaces={{ join "," . }}
{{- end }}
{{- range .Values.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}

{{/* What the pod has by the values. */}}
{{- define "migrate-apiserver.scheduling" -}}
{{- if .Values.priorityClass }}
priorityClassName: migrate-apiserver
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
{{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end -}}
