{{/* What the chart knows of ringman's settings. Each answer takes `config` before what the chart would choose. */}}

{{/* `config` without the keys that say nothing, as YAML. */}}
{{- define "ringman.givenConfig" -}}
{{- $given := dict -}}
{{- range $key, $value := .Values.config }}
{{- if not (kindIs "invalid" $value) }}{{ $_ := set $given $key $value }}{{ end }}
{{- end -}}
{{- tpl (toYaml $given) . -}}
{{- end -}}

{{- define "ringman.source" -}}
{{- .Values.config.source | default "memberlist" -}}
{{- end -}}

{{/* "true" where members gossip, else nothing. */}}
{{- define "ringman.gossips" -}}
{{- if has (include "ringman.source" .) (list "memberlist" "swim") }}true{{ end -}}
{{- end -}}

{{/* "true" where gossip goes over TCP too. */}}
{{- define "ringman.gossipsOverTcp" -}}
{{- if eq (include "ringman.source" .) "memberlist" }}true{{ end -}}
{{- end -}}

{{- define "ringman.ringKey" -}}
{{- .Values.config.ringKey | default (eq (include "ringman.source" .) "sidecar" | ternary "address" "name") -}}
{{- end -}}

{{- define "ringman.httpPort" -}}{{ int (.Values.config.httpPort | default 8080) }}{{- end -}}
{{- define "ringman.adminPort" -}}{{ int (.Values.config.adminPort | default 8081) }}{{- end -}}
{{- define "ringman.gossipPort" -}}{{ int (.Values.config.gossipPort | default 7946) }}{{- end -}}
{{- define "ringman.servicePort" -}}{{ int (.Values.config.servicePort | default 8000) }}{{- end -}}

{{/* How many pods there are at least, when all is well. */}}
{{- define "ringman.replicas" -}}
{{- int (ternary .Values.autoscaling.minReplicas .Values.replicas .Values.autoscaling.enabled) -}}
{{- end -}}

{{/*
"true" where Helm sees the cluster, so that `lookup` finds what is there. Everybody may discover this kind, and it cannot be
listed: `helm template` knows no kinds by itself, and Argo CD names those alone that can be listed and watched.
*/}}
{{- define "ringman.seesCluster" -}}
{{- if .Capabilities.APIVersions.Has "authorization.k8s.io/v1/SelfSubjectAccessReview" }}true{{ end -}}
{{- end -}}

{{/*
How many `replicas` the workload is told, and an annotation with the value of `replicas` that was ignored for it. The number
in the cluster stays while there is an autoscaler, and after it was switched off until `replicas` is changed. With an
autoscaler and without a cluster to ask nothing is said.
*/}}
{{- define "ringman.scale" -}}
{{- $live := lookup "apps/v1" .Values.kind (include "ringman.namespace" .) (include "ringman.fullname" .) -}}
{{- $value := int .Values.replicas -}}
{{- $current := dig "spec" "replicas" $value $live | int -}}
{{- $ignored := dict "annotations" (dict "ringman/ignored-replicas" (toString $value)) -}}
{{- if .Values.autoscaling.enabled -}}
{{- if $live }}
{{- $_ := set $ignored "replicas" $current }}
{{- else if include "ringman.seesCluster" . }}
{{- $_ := set $ignored "replicas" (int .Values.autoscaling.minReplicas) }}
{{- end -}}
{{- toYaml $ignored -}}
{{- else if and (ne $current $value) (eq (dig "metadata" "annotations" "ringman/ignored-replicas" "" $live) (toString $value)) -}}
{{- toYaml (set $ignored "replicas" $current) -}}
{{- else -}}
{{- toYaml (dict "replicas" $value) -}}
{{- end -}}
{{- end -}}

{{/* "true" where this chart gives the pods a keyring. */}}
{{- define "ringman.hasKeyring" -}}
{{- if and .Values.keyring.enabled (eq (include "ringman.source" .) "memberlist") (not .Values.config.keyringFile) }}true{{ end -}}
{{- end -}}

{{- define "ringman.keyringSecretName" -}}
{{- tpl (.Values.keyring.existingSecret | default (printf "%s-keyring" (include "ringman.fullname" .))) . -}}
{{- end -}}

{{/* The label, NAMESPACE/RELEASE; $(POD_NAMESPACE) is filled in by the kubelet. */}}
{{- define "ringman.label" -}}
$(POD_NAMESPACE)/{{ include "ringman.releaseLabel" . }}
{{- end -}}

{{/* The seeds, as a comma list. */}}
{{- define "ringman.seeds" -}}
{{- $seeds := list -}}
{{- if eq .Values.seeds.from "dns" }}
{{- $seeds = append $seeds (printf "dns:%s.$(POD_NAMESPACE).svc" (include "ringman.gossipServiceName" .)) }}
{{- else if eq .Values.seeds.from "pods" }}
{{- $seeds = append $seeds "pods:" }}
{{- end }}
{{- range .Values.seeds.extra }}{{ $seeds = append $seeds (tpl . $) }}{{ end -}}
{{- join "," $seeds -}}
{{- end -}}

{{/* The configuration file. */}}
{{- define "ringman.configFile" -}}
{{- $config := dict
  "source" (include "ringman.source" .)
  "ringKey" (include "ringman.ringKey" .)
  "logFormat" "json"
  "drain" "5s"
-}}
{{- with .Values.rings }}
{{- if .enabled }}
{{- $_ := set $config "hashRings" true }}
{{- $_ := set $config "hashRingInstallation" (printf "%s/%s" (include "ringman.namespace" $) (include "ringman.fullname" $)) }}
{{- with .namespaces }}{{ $_ := set $config "hashRingNamespaces" . }}{{ end }}
{{- if .publish }}{{ $_ := set $config "hashRingPublish" true }}{{ end }}
{{- end }}
{{- end }}
{{- if include "ringman.gossips" . }}
{{- $_ := set $config "minMembers" (max 1 (add1 (div (int (include "ringman.replicas" .)) 2)) | int) }}
{{- end }}
{{- if include "ringman.hasKeyring" . }}
{{- $_ := set $config "keyringFile" (printf "/etc/ringman/keyring/%s" .Values.keyring.secretKey) }}
{{- end }}
{{- if .Values.actions.existingSecret }}
{{- $_ := set $config "tokenFile" (printf "/etc/ringman/token/%s" .Values.actions.secretKey) }}
{{- end }}
{{- if or .Values.actions.existingSecret (eq (include "ringman.source" .) "sidecar") }}
{{- $host := include "ringman.fullname" . }}
{{- $hosts := list $host }}
{{- range list (include "ringman.namespace" .) "svc" "cluster" "local" }}
{{- $host = printf "%s.%s" $host . }}
{{- if ne . "cluster" }}{{ $hosts = append $hosts $host }}{{ end }}
{{- end }}
{{- $_ := set $config "allowedHosts" $hosts }}
{{- end }}
{{- range $key, $value := include "ringman.givenConfig" . | fromYaml }}
{{- /* Empty text means not set, and a file says that by leaving the key out. */}}
{{- if eq (toString $value) "" }}{{ $_ := unset $config $key }}{{ else }}{{ $_ := set $config $key $value }}{{ end }}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* "true" where ringman asks the API server for EndpointSlices. */}}
{{- define "ringman.needsSlices" -}}
{{- if eq (include "ringman.source" .) "kubernetes" }}true{{ end -}}
{{- end -}}

{{/* "true" where ringman asks the API server for pods. */}}
{{- define "ringman.needsPods" -}}
{{- if include "ringman.gossips" . }}
{{- $seeds := kindIs "invalid" .Values.config.seeds | ternary (eq .Values.seeds.from "pods" | ternary "pods:" "") (toString .Values.config.seeds) -}}
{{- if or .Values.config.kubernetesCheck (contains "pods:" $seeds) (contains "pods:" (toString .Values.seeds.extra)) }}true{{ end -}}
{{- end }}
{{- end -}}

{{/* "true" where the pods need a token and a Role: a kubeconfig brings its own rights. */}}
{{- define "ringman.needsApi" -}}
{{- if and (not .Values.config.kubernetesKubeconfig) (or (include "ringman.needsSlices" .) (include "ringman.needsPods" .) .Values.rings.enabled) }}true{{ end -}}
{{- end -}}

{{/* The namespace of what is asked for; HashRings have their own. */}}
{{- define "ringman.watchedNamespace" -}}
{{- tpl (toString (.Values.config.kubernetesNamespace | default (include "ringman.namespace" .))) . -}}
{{- end -}}

{{/* A duration such as 500ms, 1.5s, 2m or 1h in whole seconds, rounded up. */}}
{{- define "ringman.seconds" -}}
{{- $text := toString . -}}
{{- if hasSuffix "ms" $text }}{{ ceil (divf (float64 (trimSuffix "ms" $text)) 1000) | int }}
{{- else if hasSuffix "s" $text }}{{ ceil (float64 (trimSuffix "s" $text)) | int }}
{{- else if hasSuffix "m" $text }}{{ ceil (mulf (float64 (trimSuffix "m" $text)) 60) | int }}
{{- else if hasSuffix "h" $text }}{{ ceil (mulf (float64 (trimSuffix "h" $text)) 3600) | int }}
{{- else }}0{{ end -}}
{{- end -}}

{{/* Seconds that an orderly end takes: the sleep, the farewell (5), the drain, and 5 to close and to spare. */}}
{{- define "ringman.neededGraceSeconds" -}}
{{- $drain := include "ringman.seconds" (dig "drain" "5s" .Values.config) | int -}}
{{- add .Values.preStopSleepSeconds 5 $drain 5 -}}
{{- end -}}

{{- define "ringman.graceSeconds" -}}
{{- .Values.terminationGracePeriodSeconds | default (include "ringman.neededGraceSeconds" .) -}}
{{- end -}}
