{{/* Names. */}}
{{- define "gateway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "gateway.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "gateway.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "gateway.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "gateway.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "gateway.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Labels of all pods of the release: the gateway's and the doctor's. */}}
{{- define "gateway.releaseLabels" -}}
app.kubernetes.io/name: {{ include "gateway.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The selector of the serving pods. */}}
{{- define "gateway.selectorLabels" -}}
{{ include "gateway.releaseLabels" . }}
app.kubernetes.io/component: gateway
{{- end -}}

{{- define "gateway.labels" -}}
{{ include "gateway.releaseLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "gateway.image" -}}
{{- $repository := required "image.repository: name the image that was built from deploy/Dockerfile" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Checks that the schema cannot express. */}}
{{- define "gateway.checkValues" -}}
{{- if and (not .Values.configText) (not .Values.config) -}}
{{- fail "config: write the gateway's configuration (or configText)" -}}
{{- end -}}
{{- if and .Values.configText .Values.config -}}
{{- fail "configText: stands beside config; remove one of the two" -}}
{{- end -}}
{{- if not .Values.configText -}}
{{- $sections := list "public_url" "room" -}}
{{- if not (hasKey .Values.config "jaas") -}}
{{- $sections = concat $sections (list "upstream" "token") -}}
{{- end -}}
{{- range $sections -}}
{{- if not (hasKey $.Values.config .) -}}
{{- fail (printf "config.%s: missing" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $prosody := .Values.networkPolicy.prosody -}}
{{- if and $prosody.enabled (not $prosody.podLabels) (not (hasKey .Values.config "jaas")) -}}
{{- fail "networkPolicy.prosody.podLabels: write the labels of Prosody's pods, or set networkPolicy.prosody.enabled to false" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs: name the Gateway" -}}
{{- end -}}
{{- if gt (int .Values.shutdown.drainWindowSeconds) (int .Values.shutdown.graceSeconds) -}}
{{- fail "shutdown.drainWindowSeconds: is more than shutdown.graceSeconds" -}}
{{- end -}}
{{- $store := dig "store" "kind" "memory" .Values.config -}}
{{- if and (not .Values.configText) (ne $store "redis") -}}
{{- if .Values.autoscaling.enabled -}}
{{- fail "autoscaling.enabled: several pods need config.store.kind \"redis\", or signing out ends on one of them only" -}}
{{- else if gt (int .Values.replicaCount) 1 -}}
{{- fail "replicaCount: several pods need config.store.kind \"redis\", or signing out ends on one of them only" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "gateway.volumes" -}}
- name: config
  configMap:
    name: {{ include "gateway.fullname" . }}
- name: secret
  secret:
    secretName: {{ required "secret.existingSecret: name the Secret with the gateway's secrets; docs/kubernetes.md says how to make it" .Values.secret.existingSecret }}
    defaultMode: 0440
{{- with .Values.tls.existingSecret }}
- name: tls
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- range .Values.extraSecrets }}
- name: secret-{{ .name }}
  secret:
    secretName: {{ .name }}
    defaultMode: 0440
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Directories, never single files: Kubernetes does not update a file that is mounted with subPath. */}}
{{- define "gateway.volumeMounts" -}}
- name: config
  mountPath: /etc/gateway/config
  readOnly: true
- name: secret
  mountPath: /etc/gateway/secret
  readOnly: true
{{- if .Values.tls.existingSecret }}
- name: tls
  mountPath: /etc/gateway/tls
  readOnly: true
{{- end }}
{{- range .Values.extraSecrets }}
- name: secret-{{ .name }}
  mountPath: {{ .mountPath }}
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The pod spec of the gateway's and the doctor's pods, without containers. */}}
{{- define "gateway.podSpec" -}}
serviceAccountName: {{ include "gateway.serviceAccountName" . }}
automountServiceAccountToken: false
# Kubernetes' variables for Services could be taken for configuration: the gateway reads GATEWAY_….
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $context := .Values.podSecurityContext }}
{{- if .Capabilities.APIVersions.Has "security.openshift.io/v1/SecurityContextConstraints" }}
{{- /* OpenShift chooses the ids of each namespace, and refuses others. */}}
{{- $context = omit $context "runAsUser" "runAsGroup" "fsGroup" }}
{{- end }}
securityContext:
  {{- toYaml $context | nindent 2 }}
{{- with .Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
