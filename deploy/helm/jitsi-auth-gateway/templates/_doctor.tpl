{{/* Labels and spec of the pod that runs the doctor, for `helm test` and for Argo CD. */}}
{{- define "gateway.doctorLabels" -}}
{{ include "gateway.labels" . }}
app.kubernetes.io/component: doctor
{{- end -}}

{{- define "gateway.doctorSpec" -}}
{{ include "gateway.podSpec" . }}
restartPolicy: Never
activeDeadlineSeconds: {{ .Values.doctor.activeDeadlineSeconds }}
containers:
  - name: doctor
    image: {{ include "gateway.image" . }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args:
      - doctor
      - --config
      - /etc/gateway/config/gateway.toml
      {{- with .Values.doctor.extraArgs }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- with .Values.extraEnv }}
    env:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with .Values.extraEnvFrom }}
    envFrom:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    securityContext:
      {{- toYaml .Values.securityContext | nindent 6 }}
    resources:
      {{- toYaml .Values.doctor.resources | nindent 6 }}
    volumeMounts:
      {{- include "gateway.volumeMounts" . | nindent 6 }}
volumes:
  {{- include "gateway.volumes" . | nindent 2 }}
{{- end -}}
