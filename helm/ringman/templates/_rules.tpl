{{/* The alerts and recording rules, or no groups where the chart has none. */}}
{{- define "ringman.ruleFile" -}}
{{- .Files.Get "files/rules.yaml" | default "groups: []" -}}
{{- end -}}
