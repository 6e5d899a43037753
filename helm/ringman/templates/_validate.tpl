{{/*
What cannot be meant: values that contradict each other. Every one of them is told in one message. What a single value may be
is the schema's business.
*/}}
{{- define "ringman.validate" -}}
{{- $problems := list -}}
{{- range list "ring" "rings" "life" "operation" "telemetry" }}
{{- $problems = concat $problems (include (printf "ringman.validate.%s" .) $ | fromYamlArray) }}
{{- end }}
{{- if $problems }}
{{- fail (printf "\n\nThese values cannot be used together:\n  - %s\n" (join "\n  - " $problems)) }}
{{- end }}
{{- end -}}

{{- define "ringman.validate.ring" -}}
{{- $problems := list -}}
{{- $config := include "ringman.givenConfig" . | fromYaml -}}
{{- $source := include "ringman.source" . -}}
{{- $replicas := int (include "ringman.replicas" .) -}}
{{- $settings := .Files.Get "files/settings.json" | fromJson -}}
{{- range $key, $sources := $settings.sources }}
{{- if and (hasKey $config $key) (not (has $source $sources)) (ne (get $config $key | toString) (get $settings.defaults $key | toString)) }}
{{- $problems = append $problems (printf "config.%s is only for the source %s, and the source is %s" $key (join ", " $sources) $source) }}
{{- end }}
{{- end }}
{{- $file := include "ringman.configFile" . | fromYaml -}}
{{- $variables := list -}}
{{- range .Values.extraEnv }}{{ $variables = append $variables .name }}{{ end }}
{{- range $key, $needed := $settings.needs }}
{{- /* What extraEnvFrom sets cannot be seen here: the pods say it. */}}
{{- $elsewhere := or $.Values.extraEnvFrom (has (printf "RINGMAN_%s" (snakecase $needed | upper)) $variables) }}
{{- if and (hasKey $file $key) (not (dig $needed (get $settings.defaults $needed) $file)) (not $elsewhere) (ne (get $file $key | toString) (get $settings.defaults $key | toString)) }}
{{- $name := get (dict "keyringFile" "keyring.enabled" "hashRings" "rings.enabled") $needed | default (printf "config.%s" $needed) }}
{{- $problems = append $problems (printf "config.%s has no effect without %s" $key $name) }}
{{- end }}
{{- end }}
{{- if eq $source "static" }}
{{- if not $config.staticMembers }}{{ $problems = append $problems "the source static needs config.staticMembers, the list of members" }}{{ end }}
{{- else if eq $source "sidecar" }}
{{- range list "sidecarService" "sidecarServicePort" }}
{{- if not (get $config .) }}{{ $problems = append $problems (printf "the source sidecar needs config.%s" .) }}{{ end }}
{{- end }}
{{- else if eq $source "kubernetes" }}
{{- if and (not $config.kubernetesService) (not $config.kubernetesSelector) }}
{{- $problems = append $problems "the source kubernetes needs config.kubernetesService or config.kubernetesSelector" }}
{{- else if and $config.kubernetesService $config.kubernetesSelector }}
{{- $problems = append $problems "config.kubernetesService and config.kubernetesSelector exclude each other" }}
{{- end }}
{{- end }}
{{- if include "ringman.gossips" . }}
{{- if and $config.seeds (or .Values.seeds.extra (ne .Values.seeds.from "dns")) }}
{{- $problems = append $problems "config.seeds replaces the seeds that the chart makes of seeds.from and seeds.extra: set one or the other" }}
{{- end }}
{{- if and (eq .Values.seeds.from "none") (not .Values.seeds.extra) (not $config.seeds) (gt $replicas 1) }}
{{- $problems = append $problems (printf "with seeds.from none and no seeds.extra the %d pods never find each other" $replicas) }}
{{- end }}
{{- else }}
{{- if or .Values.seeds.extra (ne .Values.seeds.from "dns") }}
{{- $problems = append $problems (printf "seeds are for sources that gossip, and the source is %s" $source) }}
{{- end }}
{{- end }}
{{- with .Values.keyring }}
{{- if and .existingSecret .keys }}
{{- $problems = append $problems "keyring.existingSecret and keyring.keys exclude each other: the keys would be put into a Secret that nobody reads" }}
{{- end }}
{{- if or .existingSecret .keys }}
{{- if not .enabled }}{{ $problems = append $problems "keyring.existingSecret or keyring.keys is set, and keyring.enabled is false" }}{{ end }}
{{- if include "ringman.losesKeyring" $ }}
{{- $name := include "ringman.keyringSecretName" $ }}
{{- $problems = append $problems (printf "keyring.existingSecret is %s, which this release made and would delete now: name another one, or first run kubectl -n %s annotate secret %s helm.sh/resource-policy=keep" $name (include "ringman.namespace" $) $name) }}
{{- end }}
{{- if ne $source "memberlist" }}{{ $problems = append $problems (printf "keyring.existingSecret or keyring.keys is set, and the source %s cannot encrypt" $source) }}{{ end }}
{{- if $config.keyringFile }}{{ $problems = append $problems "config.keyringFile names another keyring than keyring.existingSecret or keyring.keys" }}{{ end }}
{{- end }}
{{- end }}
{{- if and $config.label $config.labelFile }}
{{- $problems = append $problems "config.label and config.labelFile exclude each other: put the label into the file" }}
{{- end }}
{{- if $config.clusterName }}
{{- if or (not (hasKey $config "label")) $config.label }}
{{- $problems = append $problems "config.clusterName is for members with Go ringman's memberlist, which knows no labels: set config.label to an empty text" }}
{{- end }}
{{- if ne (include "ringman.ringKey" .) "address" }}
{{- $problems = append $problems "config.clusterName is for rings with Go ringman, which hashes addresses: set config.ringKey to address" }}
{{- end }}
{{- if gt (int $config.weight) 1 }}
{{- $problems = append $problems "config.clusterName is for rings with Go ringman, which ignores weights: leave config.weight out" }}
{{- end }}
{{- end }}
{{- if and $config.minMembers (gt (int $config.minMembers) $replicas) (include "ringman.gossips" .) (not .Values.seeds.extra) (not $config.seeds) }}
{{- $problems = append $problems (printf "config.minMembers is %d, and there are %d pods: each would wait for its whole minMembersTimeout" (int $config.minMembers) $replicas) }}
{{- end }}
{{- toYaml $problems -}}
{{- end -}}

{{- define "ringman.validate.rings" -}}
{{- $problems := list -}}
{{- $config := include "ringman.givenConfig" . | fromYaml -}}
{{- $defaults := (.Files.Get "files/settings.json" | fromJson).defaults -}}
{{- range $key, $value := dict "hashRings" "rings.enabled" "hashRingNamespaces" "rings.namespaces" "hashRingPublish" "rings.publish" }}
{{- if and (hasKey $config $key) (or $.Values.rings.enabled (ne (get $config $key | toString) (get $defaults $key | toString))) }}
{{- $problems = append $problems (printf "config.%s is for %s to set, which makes the rights as well" $key $value) }}
{{- end }}
{{- end }}
{{- with .Values.rings }}
{{- if .enabled }}
{{- if not (include "ringman.gossips" $) }}
{{- $problems = append $problems (printf "rings.enabled needs pods that know each other, which the sources memberlist and swim do, and the source is %s" (include "ringman.source" $)) }}
{{- end }}
{{- if $.Values.crds.enabled }}
{{- $problems = concat $problems (include "ringman.foreignDefinition" $ | fromYamlArray) }}
{{- end }}
{{- else }}
{{- if .namespaces }}{{ $problems = append $problems "rings.namespaces is set, and rings.enabled is false" }}{{ end }}
{{- if .publish }}{{ $problems = append $problems "rings.publish is set, and rings.enabled is false" }}{{ end }}
{{- end }}
{{- end }}
{{- toYaml $problems -}}
{{- end -}}

{{/* A problem where the definition of HashRings is there and not this release's: Helm would refuse with less said. */}}
{{- define "ringman.foreignDefinition" -}}
{{- $problems := list -}}
{{- with lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "hashrings.ringman.dev" }}
{{- $annotations := .metadata.annotations | default dict }}
{{- $owner := printf "%s in the namespace %s" (get $annotations "meta.helm.sh/release-name") (get $annotations "meta.helm.sh/release-namespace") }}
{{- $self := printf "%s in the namespace %s" $.Release.Name $.Release.Namespace }}
{{- if ne $owner $self }}
{{- $whose := hasKey $annotations "meta.helm.sh/release-name" | ternary (printf "of the release %s" $owner) "of no release" }}
{{- $problems = append $problems (printf "the definition hashrings.ringman.dev is there already, %s, and one release has it for all: set crds.enabled to false, or first give it to this release with kubectl annotate --overwrite crd hashrings.ringman.dev meta.helm.sh/release-name=%s meta.helm.sh/release-namespace=%s and kubectl label --overwrite crd hashrings.ringman.dev app.kubernetes.io/managed-by=Helm" $whose $.Release.Name $.Release.Namespace) }}
{{- end }}
{{- end }}
{{- toYaml $problems -}}
{{- end -}}

{{- define "ringman.validate.life" -}}
{{- $problems := list -}}
{{- $replicas := int (include "ringman.replicas" .) -}}
{{- $needed := int (include "ringman.neededGraceSeconds" .) -}}
{{- with .Values.terminationGracePeriodSeconds }}
{{- if and (lt (int .) $needed) (not $.Values.lifecycle) }}
{{- $problems = append $problems (printf "terminationGracePeriodSeconds is %d, and an orderly end takes up to %d: preStopSleepSeconds, 5 s to leave, config.drain, and 5 s to close" (int .) $needed) }}
{{- end }}
{{- end }}
{{- with .Values.podDisruptionBudget }}
{{- if .enabled }}
{{- $hasMin := not (kindIs "invalid" .minAvailable) }}
{{- $hasMax := not (kindIs "invalid" .maxUnavailable) }}
{{- if and $hasMin $hasMax }}
{{- $problems = append $problems "podDisruptionBudget.minAvailable and maxUnavailable exclude each other: set one of them to null" }}
{{- else if not (or $hasMin $hasMax) }}
{{- $problems = append $problems "podDisruptionBudget needs minAvailable or maxUnavailable" }}
{{- else if and $hasMin (not (kindIs "string" .minAvailable)) (ge (int .minAvailable) $replicas) }}
{{- $problems = append $problems (printf "podDisruptionBudget.minAvailable is %d of %d pods, so that no node could be drained" (int .minAvailable) $replicas) }}
{{- else if and $hasMax (has (toString .maxUnavailable) (list "0" "0%")) }}
{{- $problems = append $problems "podDisruptionBudget.maxUnavailable is 0, so that no node could be drained" }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.autoscaling }}
{{- if .enabled }}
{{- if gt (int .minReplicas) (int .maxReplicas) }}
{{- $problems = append $problems (printf "autoscaling.minReplicas is %d, above maxReplicas, which is %d" (int .minReplicas) (int .maxReplicas)) }}
{{- end }}
{{- if not (or .targetCPUUtilizationPercentage .targetMemoryUtilizationPercentage .metrics) }}
{{- $problems = append $problems "autoscaling is enabled without a metric: set a target or autoscaling.metrics" }}
{{- end }}
{{- range list (list "cpu" .targetCPUUtilizationPercentage) (list "memory" .targetMemoryUtilizationPercentage) }}
{{- if and (last .) (not (dig "requests" (first .) "" ($.Values.resources | default dict))) }}
{{- $problems = append $problems (printf "autoscaling by %s is a percentage of resources.requests.%s, which is not set" (first .) (first .)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml $problems -}}
{{- end -}}

{{- define "ringman.validate.operation" -}}
{{- $problems := list -}}
{{- $name := include "ringman.fullname" . -}}
{{- if not (regexMatch "^[a-z]" $name) }}
{{- $problems = append $problems (printf "the objects would be called %s, and a Service's name begins with a letter: set fullnameOverride" $name) }}
{{- end }}
{{- $http := int (include "ringman.httpPort" .) -}}
{{- $admin := int (include "ringman.adminPort" .) -}}
{{- $gossip := int (include "ringman.gossipPort" .) -}}
{{- if eq $http $admin }}
{{- $problems = append $problems (printf "config.httpPort and config.adminPort are both %d" $http) }}
{{- end }}
{{- if and (include "ringman.gossipsOverTcp" .) (has $gossip (list $http $admin)) }}
{{- $problems = append $problems (printf "config.gossipPort is %d, as is the port for look-ups or the admin port" $gossip) }}
{{- end }}
{{- if and .Values.service.nodePort (eq .Values.service.type "ClusterIP") }}
{{- $problems = append $problems "service.nodePort is set, and service.type is ClusterIP" }}
{{- end }}
{{- range $key := list "type" "selector" "ports" "ipFamilies" "ipFamilyPolicy" }}
{{- if hasKey $.Values.service.spec $key }}{{ $problems = append $problems (printf "service.spec has %s, which the chart sets itself" $key) }}{{ end }}
{{- end }}
{{- if and (has "IPv6" .Values.ipFamilies) (ne (toString .Values.config.httpHost) "::") }}
{{- $problems = append $problems "ipFamilies has IPv6, and the servers listen on IPv4 only: set config.httpHost to \"::\"" }}
{{- end }}
{{- if and .Values.hostNetwork .Values.networkPolicy.enabled }}
{{- $problems = append $problems "a NetworkPolicy does not hold for pods on the node's network: with hostNetwork set networkPolicy.enabled to false" }}
{{- end }}
{{- $selector := include "ringman.selectorLabels" . | fromYaml }}
{{- range $place, $labels := dict "podLabels" .Values.podLabels "commonLabels" .Values.commonLabels }}
{{- range $key := keys $labels | sortAlpha }}
{{- if hasKey $selector $key }}{{ $problems = append $problems (printf "%s has %s, by which the pods are selected" $place $key) }}{{ end }}
{{- end }}
{{- end }}
{{- range .Values.extraEnv }}
{{- if has .name (list "POD_NAME" "POD_NAMESPACE" "POD_IP" "HOST_IP" "NODE_NAME" "RINGMAN_CONFIG") }}
{{- $problems = append $problems (printf "extraEnv has %s, which the chart needs itself" .name) }}
{{- end }}
{{- end }}
{{- range .Values.extraVolumes }}
{{- if has .name (list "config" "keyring" "token") }}{{ $problems = append $problems (printf "extraVolumes has %s, a name that the chart uses itself" .name) }}{{ end }}
{{- end }}
{{- range .Values.sidecars }}
{{- if eq (toString .name) "ringman" }}{{ $problems = append $problems "sidecars has a container called ringman, as the chart's own" }}{{ end }}
{{- end }}
{{- toYaml $problems -}}
{{- end -}}

{{- define "ringman.validate.telemetry" -}}
{{- $problems := list -}}
{{- $scrapers := list -}}
{{- if .Values.metrics.annotations }}{{ $scrapers = append $scrapers "metrics.annotations" }}{{ end }}
{{- if .Values.metrics.podMonitor.enabled }}{{ $scrapers = append $scrapers "metrics.podMonitor" }}{{ end }}
{{- if .Values.metrics.serviceMonitor.enabled }}{{ $scrapers = append $scrapers "metrics.serviceMonitor" }}{{ end }}
{{- if gt (len $scrapers) 1 }}
{{- $problems = append $problems (printf "%s are enabled together: each pod would be scraped more than once" (join " and " $scrapers)) }}
{{- end }}
{{- with .Values.networkPolicy }}
{{- if and .enabled $scrapers (not .admin.from) (not .extraIngress) }}
{{- $problems = append $problems (printf "%s is enabled, and the NetworkPolicy lets nobody reach the admin port: name your Prometheus in networkPolicy.admin.from, such as {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}" (first $scrapers)) }}
{{- end }}
{{- if and .enabled .egress.enabled (or $.Values.sidecars $.Values.initContainers) (not .egress.extra) }}
{{- $problems = append $problems "containers of yours run behind the NetworkPolicy, which lets them call DNS alone: open what they need in networkPolicy.egress.extra, or set networkPolicy.egress.enabled to false" }}
{{- end }}
{{- end }}
{{- if and .Values.tracing.enabled (not .Values.tracing.endpoint) }}
{{- $problems = append $problems "tracing is enabled without tracing.endpoint" }}
{{- end }}
{{- if .Values.prometheusRule.enabled }}
{{- $known := list }}
{{- range (include "ringman.ruleFile" . | fromYaml).groups }}{{ range .rules }}{{ $known = append $known (.alert | default .record) }}{{ end }}{{ end }}
{{- range $name := keys .Values.prometheusRule.overrides | sortAlpha }}
{{- if not (has $name $known) }}
{{- $problems = append $problems (printf "prometheusRule.overrides has %s, and the rules are %s" $name (join ", " ($known | uniq))) }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml $problems -}}
{{- end -}}

{{/*
"true" where the existing Secret is the one that this release made before: what a chart no longer makes helm deletes, unless
it is told to keep it.
*/}}
{{- define "ringman.losesKeyring" -}}
{{- $made := printf "%s-keyring" (include "ringman.fullname" .) -}}
{{- if and .Values.keyring.existingSecret (eq (include "ringman.keyringSecretName" .) $made) }}
{{- $annotations := dig "metadata" "annotations" (dict) (lookup "v1" "Secret" (include "ringman.namespace" .) $made) }}
{{- if and (eq (toString (get $annotations "meta.helm.sh/release-name")) .Release.Name) (ne (toString (get $annotations "helm.sh/resource-policy")) "keep") }}true{{ end }}
{{- end }}
{{- end -}}
