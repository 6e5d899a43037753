{{/* Names and labels. Selectors and names must never change within a release: see docs/kubernetes.md, "Upgrade". */}}

{{- define "ringman.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 52 characters, so that names made of it, pod names and the controller's hashes stay within 63. */}}
{{- define "ringman.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "ringman.name" . -}}
{{- /* A release's name may have dots, a Service's may not. */ -}}
{{- $release := .Release.Name | replace "." "-" -}}
{{- if contains $name $release -}}
{{- $release | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" $release $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "ringman.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{/* What tells the rings of a namespace apart: the release, and the name of a subchart that has another one. */}}
{{- define "ringman.releaseLabel" -}}
{{- .Release.Name }}
{{- if ne (include "ringman.name" .) "ringman" }}/{{ include "ringman.name" . }}{{ end }}
{{- end -}}

{{- define "ringman.gossipServiceName" -}}
{{- printf "%s-gossip" (include "ringman.fullname" .) -}}
{{- end -}}

{{- define "ringman.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "ringman.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* The labels of this instance's members, by which Services, workload and policies select: immutable. */}}
{{- define "ringman.selectorLabels" -}}
app.kubernetes.io/name: {{ include "ringman.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: member
{{- end -}}

{{/* Labels of every object. The component is left to those that are more than the chart as a whole. */}}
{{- define "ringman.labels" -}}
{{- $labels := dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/name" (include "ringman.name" .)
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/version" (.Chart.AppVersion | replace "+" "_" | trunc 63)
  "app.kubernetes.io/managed-by" .Release.Service
-}}
{{- toYaml (merge $labels .Values.commonLabels) -}}
{{- end -}}

{{/*
The metadata of an object. Argument: a dict of `root`, `name`, and optional `labels`, `annotations`, `namespace`; for one
that is in no namespace `isOfCluster`.
*/}}
{{- define "ringman.metadata" -}}
name: {{ .name | quote }}
{{- if not .isOfCluster }}
namespace: {{ .namespace | default (include "ringman.namespace" .root) | quote }}
{{- end }}
labels:
  {{- $labels := include "ringman.labels" .root | fromYaml }}
  {{- toYaml (merge $labels (.labels | default dict)) | nindent 2 }}
{{- $annotations := merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "ringman.image" -}}
{{- $registry := .Values.image.registry -}}
{{- with .Values.global }}{{ with .imageRegistry }}{{ $registry = . }}{{ end }}{{ end -}}
{{- $repository := .Values.image.repository -}}
{{- with $registry }}{{ $repository = printf "%s/%s" (trimSuffix "/" .) $repository }}{{ end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* A list of {name}, without doubles, or nothing. The global ones may be names or {name}. */}}
{{- define "ringman.pullSecrets" -}}
{{- $names := .Values.image.pullSecrets -}}
{{- with .Values.global }}{{ range .imagePullSecrets }}
{{- if kindIs "map" . }}{{ $names = append $names .name }}{{ else }}{{ $names = append $names . }}{{ end }}
{{- end }}{{ end -}}
{{- range $names | uniq }}
- name: {{ . | quote }}
{{- end -}}
{{- end -}}
