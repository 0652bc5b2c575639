-- Settings for {{ page }}: /etc/prosody/conf.avail/{{ host }}.cfg.lua. jitsi-meet-tokens asks for app id and secret.
VirtualHost {{ quoted_host }}
    authentication = "token"
    app_id = {{ app_id }}
    app_secret = {{ app_secret }}
    asap_accepted_issuers = { {{ app_id }} }
    asap_accepted_audiences = { "jitsi" }
    allow_empty_token = false

-- Keep the modules that are there.
Component {{ quoted_muc }} "muc"
    modules_enabled = { "token_verification", "token_affiliation" }
