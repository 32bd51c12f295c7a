{{- define "parley.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "parley.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "parley.selector" . }}
{{- end }}

{{- define "parley.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "parley.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* A setting as text, or its default: (list . "PORT" 8080). Helm reads large numbers as floats. */}}
{{- define "parley.setting" -}}
{{- $config := (index . 0).Values.config }}{{ $name := index . 1 -}}
{{- $value := hasKey $config $name | ternary (get $config $name) (index . 2) -}}
{{- if kindIs "float64" $value }}{{ $value | int64 }}{{ else }}{{ $value }}{{ end }}
{{- end }}

{{/* Longer than what a process takes from SIGTERM to its end. */}}
{{- define "parley.grace" -}}
{{- $delay := include "parley.setting" (list . "SHUTDOWN_DELAY_MS" 5000) | int64 -}}
{{- $grace := include "parley.setting" (list . "SHUTDOWN_GRACE_MS" 15000) | int64 -}}
{{- add (div (add $delay $grace) 1000) 25 }}
{{- end }}

{{- define "parley.env" -}}
{{- range $name := keys .Values.config | sortAlpha }}
{{- if hasKey $.Values.secretConfig $name }}{{ fail (printf "%s is in config and in secretConfig" $name) }}{{ end }}
- name: {{ $name }}
  value: {{ include "parley.setting" (list $ $name "") | quote }}
{{- end }}
{{- range $name := keys .Values.secretConfig | sortAlpha }}
{{- with get $.Values.secretConfig $name }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ .name }}
      key: {{ .key }}
{{- end }}
{{- end }}
{{- end }}

{{- define "parley.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "parley.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "parley.mounts" -}}
- name: tmp
  mountPath: /tmp
{{- range $i, $file := .Values.secretFiles }}
- name: secret-{{ $i }}
  mountPath: {{ $file.path }}
  readOnly: true
{{- end }}
{{- end }}

{{- define "parley.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- range $i, $file := .Values.secretFiles }}
- name: secret-{{ $i }}
  secret:
    secretName: {{ $file.name }}
    defaultMode: 0440
{{- end }}
{{- end }}

{{/* On different nodes and zones as far as there are some. (list . "api") */}}
{{- define "parley.spread" -}}
{{- $root := index . 0 }}{{ $part := index . 1 }}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "parley.selector" $root | nindent 6 }}
      app.kubernetes.io/component: {{ $part }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}

{{/* A job that runs before the release changes anything. (list . "migrate" "dist/ops/migrate.js" weight) */}}
{{- define "parley.job" -}}
{{- $root := index . 0 }}{{ $name := index . 1 }}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "parley.name" $root }}-{{ $name }}
  labels:
    {{- include "parley.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ $name }}
  annotations:
    helm.sh/hook: pre-install,pre-upgrade
    helm.sh/hook-weight: {{ index . 3 | quote }}
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  backoffLimit: 5
  activeDeadlineSeconds: {{ $root.Values.migrate.deadline }}
  template:
    metadata:
      labels:
        {{- include "parley.labels" $root | nindent 8 }}
        app.kubernetes.io/component: {{ $name }}
    spec:
      restartPolicy: Never
      # No account of its own: that does not exist before the first install.
      automountServiceAccountToken: false
      {{- with $root.Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- include "parley.podSecurity" $root | nindent 8 }}
      containers:
        - name: {{ $name }}
          image: {{ include "parley.image" $root }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          command: [node, --enable-source-maps, {{ index . 2 }}]
          env:
            {{- include "parley.env" $root | nindent 12 }}
          resources:
            {{- toYaml $root.Values.migrate.resources | nindent 12 }}
          securityContext:
            {{- include "parley.containerSecurity" $root | nindent 12 }}
          volumeMounts:
            {{- include "parley.mounts" $root | nindent 12 }}
      volumes:
        {{- include "parley.volumes" $root | nindent 8 }}
{{- end }}

{{/* (list . "api" values script ports) : ports is a list of {name, number}; the first one answers health checks. */}}
{{- define "parley.deployment" -}}
{{- $root := index . 0 }}{{ $part := index . 1 }}{{ $values := index . 2 }}{{ $ports := index . 4 }}
{{- $probe := dict "port" (first $ports).name }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "parley.name" $root }}-{{ $part }}
  labels:
    {{- include "parley.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ $part }}
spec:
  {{- if not $values.autoscaling.enabled }}
  replicas: {{ $values.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  selector:
    matchLabels:
      {{- include "parley.selector" $root | nindent 6 }}
      app.kubernetes.io/component: {{ $part }}
  strategy:
    type: RollingUpdate
    # A new process is ready before an old one leaves.
    rollingUpdate: { maxSurge: 1, maxUnavailable: 0 }
  template:
    metadata:
      labels:
        {{- include "parley.labels" $root | nindent 8 }}
        app.kubernetes.io/component: {{ $part }}
      {{- with $values.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ include "parley.name" $root }}
      automountServiceAccountToken: false
      # A Service named after Parley would set variables that look like settings.
      enableServiceLinks: false
      # The process itself is not ready first, serves on, then drains: no preStop hook is needed.
      terminationGracePeriodSeconds: {{ include "parley.grace" $root }}
      {{- with $root.Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- include "parley.podSecurity" $root | nindent 8 }}
      containers:
        - name: {{ $part }}
          image: {{ include "parley.image" $root }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          command: [node, --enable-source-maps, {{ index . 3 }}]
          env:
            - name: NODE_OPTIONS
              value: --max-old-space-size={{ $values.heapMb }}
            {{- include "parley.env" $root | nindent 12 }}
          ports:
            {{- range $ports }}
            - name: {{ .name }}
              containerPort: {{ .number }}
            {{- end }}
          # Two minutes to start.
          startupProbe:
            httpGet: { path: /health/live, port: {{ $probe.port }} }
            periodSeconds: 2
            timeoutSeconds: 2
            failureThreshold: 60
          # Slow: a busy process is not a dead one.
          livenessProbe:
            httpGet: { path: /health/live, port: {{ $probe.port }} }
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          # Quick: a process that leaves says so SHUTDOWN_DELAY_MS before it refuses anything.
          readinessProbe:
            httpGet: { path: /health/ready, port: {{ $probe.port }} }
            periodSeconds: 2
            timeoutSeconds: 2
            failureThreshold: 1
          resources:
            {{- toYaml $values.resources | nindent 12 }}
          securityContext:
            {{- include "parley.containerSecurity" $root | nindent 12 }}
          volumeMounts:
            {{- include "parley.mounts" $root | nindent 12 }}
      volumes:
        {{- include "parley.volumes" $root | nindent 8 }}
      topologySpreadConstraints:
        {{- include "parley.spread" (list $root $part) | nindent 8 }}
      {{- with $values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end }}
