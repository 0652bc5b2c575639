{{/*
A table of TOML: {path, table}. Helm's own toToml writes whole numbers from a values file as 300.0, which
is another type in TOML. JSON's texts, numbers, truth values and lists of these are TOML's as well.
*/}}
{{- define "gateway.toml" -}}
{{- $path := .path -}}
{{- range $key, $value := .table -}}
{{- if not (or (kindIs "invalid" $value) (kindIs "map" $value) (eq (include "gateway.isTables" $value) "true")) }}
{{ include "gateway.tomlKey" $key }} = {{ mustToRawJson $value }}
{{- end -}}
{{- end -}}
{{- range $key, $value := .table -}}
{{- $below := include "gateway.tomlKey" $key -}}
{{- if $path -}}
{{- $below = printf "%s.%s" $path $below -}}
{{- end -}}
{{- if kindIs "map" $value }}

[{{ $below }}]
{{- include "gateway.toml" (dict "path" $below "table" $value) -}}
{{- else if eq (include "gateway.isTables" $value) "true" -}}
{{- range $entry := $value }}

[[{{ $below }}]]
{{- include "gateway.toml" (dict "path" $below "table" $entry) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "gateway.isTables" -}}
{{- if kindIs "slice" . -}}
{{- if . -}}
{{- kindIs "map" (first .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "gateway.tomlKey" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . -}}
{{- . -}}
{{- else -}}
{{- mustToRawJson . -}}
{{- end -}}
{{- end -}}

{{/* gateway.toml: the keys that the chart sets, merged over the values. */}}
{{- define "gateway.config" -}}
{{- if .Values.configText -}}
{{- .Values.configText -}}
{{- else -}}
{{- $address := .Values.listenAddress -}}
{{- $files := "/etc/gateway/secret" -}}
{{- $names := .Values.secret -}}
{{- $config := deepCopy .Values.config -}}

{{- $listen := deepCopy (default dict $config.listen) -}}
{{- $_ := set $listen "http" (printf "%s:8080" $address) -}}
{{- $_ := set $listen "admin" (printf "%s:9090" $address) -}}
{{- $_ := set $listen "drain_delay" (printf "%ds" (int .Values.shutdown.drainDelaySeconds)) -}}
{{- $_ := set $listen "drain_window" (printf "%ds" (int .Values.shutdown.drainWindowSeconds)) -}}
{{- $_ := set $listen "grace" (printf "%ds" (int .Values.shutdown.graceSeconds)) -}}
{{- if .Values.tls.existingSecret -}}
{{- $_ := set $listen "https" (printf "%s:8443" $address) -}}
{{- $_ := set $config "tls" (dict "certificate" "/etc/gateway/tls/tls.crt" "key" "/etc/gateway/tls/tls.key") -}}
{{- end -}}
{{- $_ := set $config "listen" $listen -}}

{{- $given := list
  (list "session" "key_file" $names.sessionKey)
  (list "store" "url_file" $names.storeUrl)
  (list "jaas" "key_file" $names.jaasKey)
  (list "reservation" "secret_file" $names.reservationSecret) -}}
{{- if not (dig "token" "key" nil $config) -}}
{{- $given = append $given (list "token" "secret_file" $names.appSecret) -}}
{{- end -}}
{{- /* A client with a key has no secret. dig takes no list, in which each entry names its own file. */ -}}
{{- if not (and (kindIs "map" $config.oidc) (eq (default "" (get $config.oidc "client_auth")) "private_key_jwt")) -}}
{{- $given = append $given (list "oidc" "client_secret_file" $names.clientSecret) -}}
{{- end -}}
{{- range $given -}}
{{- $section := index . 0 -}}
{{- $key := index . 1 -}}
{{- $entry := index . 2 -}}
{{- /* [session] always exists; the other sections only if the values have them. Each entry of a list ([[oidc]])
  names its own file. */ -}}
{{- $is_list := kindIs "slice" (get $config $section) -}}
{{- if and $entry (not $is_list) (or (eq $section "session") (hasKey $config $section)) -}}
{{- $table := deepCopy (default dict (get $config $section)) -}}
{{- if not (hasKey $table $key) -}}
{{- $_ := set $table $key (printf "%s/%s" $files $entry) -}}
{{- end -}}
{{- $_ := set $config $section $table -}}
{{- end -}}
{{- end -}}
{{- if hasKey $config "reservation" -}}
{{- $_ := set $config.reservation "listen" (printf "%s:9091" $address) -}}
{{- end -}}

# Written by the chart {{ .Chart.Name }}.
{{- include "gateway.toml" (dict "path" "" "table" $config) }}
{{- end -}}
{{- end -}}
