{{- define "furrow.name" -}}
{{- printf "%s-%s" .Release.Name "furrow" | trunc 45 | trimSuffix "-" -}}
{{- end -}}

{{- define "furrow.selector" -}}
app.kubernetes.io/name: furrow
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "furrow.labels" -}}
{{ include "furrow.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "furrow.image" -}}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end -}}

{{- define "furrow.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "furrow.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* A variable from the existing secret: (dict "root" $ "name" "FURROW_…" "entry" "userSalt" "optional" true) */}}
{{- define "furrow.secret" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ required "existingSecret: name a Secret that holds the addresses of the stores (values.yaml)" .root.Values.existingSecret }}
      key: {{ index .root.Values.secretKeys .entry }}
      {{- if .optional }}
      optional: true
      {{- end }}
{{- end -}}

{{- define "furrow.settings" -}}
- name: FURROW_DATA_DIR
  value: /data/furrow
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}

{{- define "furrow.prefect" -}}
- name: PREFECT_API_URL
  value: http://{{ include "furrow.name" . }}-prefect:4200/api
{{ include "furrow.secret" (dict "root" . "name" "PREFECT_API_AUTH_STRING" "entry" "prefectAuth") }}
- name: PREFECT_HOME
  value: /tmp/prefect
- name: PREFECT_LOGGING_EXTRA_LOGGERS
  value: furrow
- name: PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW
  value: ignore
{{- end -}}

{{- define "furrow.stores" -}}
{{ include "furrow.secret" (dict "root" . "name" "FURROW_EVENT_STORE_URL" "entry" "eventStoreUrl") }}
{{ include "furrow.secret" (dict "root" . "name" "FURROW_INCIDENT_STORE_URL" "entry" "incidentStoreUrl") }}
{{- end -}}

{{/* Pods that share a volume which one node alone may mount run on the collector's node. */}}
{{- define "furrow.besideCollector" -}}
{{- if eq .Values.spool.accessMode "ReadWriteOnce" }}
affinity:
  podAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels: {{- include "furrow.selector" (dict "root" . "component" "collector") | nindent 12 }}
{{- end }}
{{- end -}}
