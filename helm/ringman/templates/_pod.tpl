{{/* The variables of a member, in an order in which later ones may use earlier ones. Names are unique in the end. */}}
{{- define "ringman.env" -}}
{{- $extra := tpl (toYaml .Values.extraEnv) . | fromYamlArray -}}
{{- $replaced := list -}}
{{- range $extra }}{{ $replaced = append $replaced .name }}{{ end -}}
{{- $all := list -}}
{{- range include "ringman.ownEnv" . | fromYamlArray }}
{{- if not (has .name $replaced) }}{{ $all = append $all . }}{{ end }}
{{- end -}}
{{- toYaml (concat $all $extra) -}}
{{- end -}}

{{- define "ringman.ownEnv" -}}
{{- $config := include "ringman.givenConfig" . | fromYaml -}}
- name: POD_NAME
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
- name: POD_NAMESPACE
  valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
- name: POD_IP
  valueFrom: { fieldRef: { fieldPath: status.podIP } }
- name: HOST_IP
  valueFrom: { fieldRef: { fieldPath: status.hostIP } }
- name: NODE_NAME
  valueFrom: { fieldRef: { fieldPath: spec.nodeName } }
- name: RINGMAN_CONFIG
  value: /etc/ringman/config/ringman.yaml
{{- if not (hasKey $config "name") }}
- name: RINGMAN_NAME
  value: $(POD_NAME)
{{- end }}
{{- if include "ringman.gossips" . }}
{{- if not (hasKey $config "bind") }}
- name: RINGMAN_BIND
  value: $(POD_IP)
{{- end }}
{{- if not (hasKey $config "advertise") }}
- name: RINGMAN_ADVERTISE
  value: $(POD_IP)
{{- end }}
{{- if and .Values.zoneFromPodLabel (not (hasKey $config "zone")) }}
- name: RINGMAN_ZONE
  valueFrom: { fieldRef: { fieldPath: {{ printf "metadata.labels['%s']" .Values.zoneFromPodLabel | quote }} } }
{{- end }}
{{- if not (hasKey $config "seeds") }}
{{- with include "ringman.seeds" . }}
- name: RINGMAN_SEEDS
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (include "ringman.needsPods" .) (not (hasKey $config "kubernetesPodSelector")) }}
- name: RINGMAN_KUBERNETES_POD_SELECTOR
  value: {{ include "ringman.selector" . | quote }}
{{- end }}
{{- if and (eq (include "ringman.source" .) "memberlist") (not (hasKey $config "label")) (not (hasKey $config "labelFile")) }}
- name: RINGMAN_LABEL
  value: {{ include "ringman.label" . | quote }}
{{- end }}
{{- with .Values.tracing }}
{{- if .enabled }}
- name: OTEL_TRACES_EXPORTER
  value: otlp
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ tpl .endpoint $ | quote }}
- name: OTEL_EXPORTER_OTLP_PROTOCOL
  value: {{ .protocol | quote }}
- name: OTEL_TRACES_SAMPLER
  value: {{ .sampler | quote }}
{{- if contains "ratio" .sampler }}
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ .samplerRatio | toString | quote }}
{{- end }}
- name: OTEL_SERVICE_NAME
  value: {{ .serviceName | default (include "ringman.fullname" $) | quote }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: {{ include "ringman.resourceAttributes" $ | quote }}
{{- with .headersSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom: { secretKeyRef: { name: {{ . | quote }}, key: headers } }
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What the member requests and may use: the limit that is there by default is too small for a thousand rings. */}}
{{- define "ringman.resources" -}}
{{- $resources := deepCopy (.Values.resources | default dict) -}}
{{- if and .Values.rings.enabled (eq (dig "limits" "memory" "" $resources | toString) "320Mi") }}
{{- $_ := set $resources.limits "memory" "512Mi" }}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* The selector labels as the API server takes them in a query. */}}
{{- define "ringman.selector" -}}
{{- $parts := list -}}
{{- range $key, $value := include "ringman.selectorLabels" . | fromYaml }}{{ $parts = append $parts (printf "%s=%s" $key $value) }}{{ end -}}
{{- join "," $parts -}}
{{- end -}}

{{- define "ringman.resourceAttributes" -}}
{{- $parts := list "k8s.namespace.name=$(POD_NAMESPACE)" "k8s.pod.name=$(POD_NAME)" "k8s.node.name=$(NODE_NAME)" -}}
{{- range $key, $value := .Values.tracing.resourceAttributes }}{{ $parts = append $parts (printf "%s=%s" $key (urlquery $value | replace "+" "%20")) }}{{ end -}}
{{- join "," $parts -}}
{{- end -}}

{{- define "ringman.podTemplate" -}}
metadata:
  labels:
    {{- $labels := include "ringman.selectorLabels" . | fromYaml }}
    {{- $labels = merge $labels (include "ringman.labels" . | fromYaml) .Values.podLabels }}
    {{- /* Labels that change with each chart version would restart all pods for nothing. */}}
    {{- toYaml (omit $labels "helm.sh/chart") | nindent 4 }}
  annotations:
    kubectl.kubernetes.io/default-container: ringman
    checksum/config: {{ include "ringman.configFile" . | sha256sum }}
    {{- if .Values.metrics.annotations }}
    prometheus.io/scrape: 'true'
    prometheus.io/port: {{ include "ringman.adminPort" . | quote }}
    prometheus.io/path: /metrics
    {{- end }}
    {{- $annotations := merge (dict) .Values.podAnnotations .Values.commonAnnotations }}
    {{- with $annotations }}
    {{- tpl (toYaml .) $ | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "ringman.serviceAccountName" . | quote }}
  automountServiceAccountToken: {{ include "ringman.needsApi" . | eq "true" }}
  {{- /* The variables of a Service called ringman would begin as ringman's own. */}}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "ringman.graceSeconds" . }}
  {{- with include "ringman.pullSecrets" . }}
  imagePullSecrets:
    {{- . | nindent 4 }}
  {{- end }}
  {{- with .Values.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.hostNetwork }}
  hostNetwork: true
  {{- end }}
  {{- with .Values.dnsPolicy | default (.Values.hostNetwork | ternary "ClusterFirstWithHostNet" "") }}
  dnsPolicy: {{ . }}
  {{- end }}
  {{- with .Values.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  {{- with .Values.schedulerName }}
  schedulerName: {{ . | quote }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- tpl (toYaml .) $ | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    {{- $own := dict "labelSelector" (dict "matchLabels" (include "ringman.selectorLabels" $ | fromYaml)) }}
    - {{- toYaml (hasKey . "labelSelector" | ternary . (merge (deepCopy .) $own)) | nindent 6 }}
    {{- end }}
  {{- end }}
  {{- with .Values.initContainers }}
  initContainers:
    {{- tpl (toYaml .) $ | nindent 4 }}
  {{- end }}
  containers:
    - name: ringman
      image: {{ include "ringman.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - serve
        {{- range .Values.extraArgs }}
        - {{ tpl . $ | quote }}
        {{- end }}
      env:
        {{- include "ringman.env" . | nindent 8 }}
      {{- with .Values.extraEnvFrom }}
      envFrom:
        {{- tpl (toYaml .) $ | nindent 8 }}
      {{- end }}
      ports:
        - name: http
          containerPort: {{ include "ringman.httpPort" . }}
          protocol: TCP
        - name: admin
          containerPort: {{ include "ringman.adminPort" . }}
          protocol: TCP
      {{- with .Values.startupProbe }}
      startupProbe:
        httpGet: { path: /livez, port: admin }
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.readinessProbe }}
      readinessProbe:
        httpGet: { path: /readyz, port: admin }
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.livenessProbe }}
      livenessProbe:
        httpGet: { path: /livez, port: admin }
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if .Values.lifecycle }}
      lifecycle:
        {{- tpl (toYaml .Values.lifecycle) . | nindent 8 }}
      {{- else if .Values.preStopSleepSeconds }}
      lifecycle:
        preStop:
          sleep: { seconds: {{ .Values.preStopSleepSeconds }} }
      {{- end }}
      {{- with include "ringman.resources" . | fromYaml }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.securityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - name: config
          mountPath: /etc/ringman/config
          readOnly: true
        {{- if include "ringman.hasKeyring" . }}
        {{- /* Without subPath: such a mount is never updated. */}}
        - name: keyring
          mountPath: /etc/ringman/keyring
          readOnly: true
        {{- end }}
        {{- if .Values.actions.existingSecret }}
        - name: token
          mountPath: /etc/ringman/token
          readOnly: true
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- tpl (toYaml .) $ | nindent 8 }}
        {{- end }}
    {{- with .Values.sidecars }}
    {{- tpl (toYaml .) $ | nindent 4 }}
    {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "ringman.fullname" . | quote }}
    {{- if include "ringman.hasKeyring" . }}
    - name: keyring
      secret:
        secretName: {{ include "ringman.keyringSecretName" . | quote }}
        # 0440: the group of the pod may read it.
        defaultMode: 288
        items:
          - key: {{ .Values.keyring.secretKey | quote }}
            path: {{ .Values.keyring.secretKey | quote }}
    {{- end }}
    {{- with .Values.actions }}
    {{- if .existingSecret }}
    - name: token
      secret:
        secretName: {{ tpl .existingSecret $ | quote }}
        # 0440: the group of the pod may read it.
        defaultMode: 288
        items:
          - key: {{ .secretKey | quote }}
            path: {{ .secretKey | quote }}
    {{- end }}
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- tpl (toYaml .) $ | nindent 4 }}
    {{- end }}
{{- end -}}
