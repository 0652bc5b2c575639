//! A valid configuration and its possible mistakes.

/// A valid configuration.
pub(super) const GOOD: &str = r#"public_url = "https://meet.example.org"

[listen]
http = "127.0.0.1:8080"

[upstream]
web = "http://web:8000"
xmpp = "http://prosody:5280"
xmpp_domain = "meet.jitsi"

[oidc]
issuer = "https://sso.example.org/realms/main"
client_id = "jitsi"

[session]
key_file = "session.key"

[token]
app_id = "gateway"
secret_file = "prosody.secret"

[[room]]
match = "*"
enter = "member"
"#;

/// A text of the valid configuration, its replacement, and the printed problem without the file name.
pub(super) const MISTAKES: &[(&str, &str, &str)] = &[
    (
        r#"http = "127.0.0.1:8080""#,
        r#"http = "127.0.0.1:8080"#,
        r#"4:23: invalid basic string, expected `"`; see https://toml.io for the syntax of TOML"#,
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nclient_id = \"b\"",
        "14:1: duplicate key; see https://toml.io for the syntax of TOML",
    ),
    (
        r#"client_id = "jitsi""#,
        r#"clientid = "jitsi""#,
        r#"13: oidc.clientid: unknown key; did you mean "client_id""#,
    ),
    (
        "[oidc]",
        "[odic]",
        r#"11: odic: unknown key; did you mean "oidc""#,
    ),
    (
        "",
        "[colours]\nred = 1",
        "25: colours: unknown key; known keys are apps, cache, embed, guests, insecure_readable_secrets, integration, jaas, limits, listen, location, log, oidc, pages, probe, public_url, reload_every, reservation, room, session, shard, store, tls, token, traces, upstream",
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = 5",
        r#"13: oidc.client_id: expected a string, found an integer; write for example "jitsi""#,
    ),
    (
        r#"match = "*""#,
        r#"match = ["*"]"#,
        r#"23: room[1].match: expected a string, found a list; write for example "*""#,
    ),
    (
        "[[room]]",
        "[room]",
        "22: room: expected a list, found a table; write its header in double brackets, as [[room]]",
    ),
    (
        "",
        "[listen.tls]",
        "25: listen.tls: unknown key; known keys are admin, drain_delay, drain_window, grace, http, https, proxy_protocol, recorder_domains, recorders, region, region_header, socket_mode, trusted_proxies, workers",
    ),
    (
        "client_id = \"jitsi\"\n",
        "",
        r#"11: oidc.client_id: missing; add for example client_id = "jitsi""#,
    ),
    (
        "public_url = \"https://meet.example.org\"\n",
        "",
        r#"1: public_url: missing; add for example public_url = "https://meet.example.org""#,
    ),
    (
        r#""https://meet.example.org""#,
        r#""http://meet.example.org""#,
        "1: public_url: not an https URL; write it as https://meet.example.org",
    ),
    (
        r#""https://meet.example.org""#,
        r#""https://meet.example.org/jitsi""#,
        "1: public_url: has more than a host and a port; write it as https://meet.example.org",
    ),
    (
        r#""https://meet.example.org""#,
        r#""meet.example.org""#,
        "1: public_url: not a URL; write it as https://meet.example.org",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        r#"grace = "1m""#,
        r#"3: listen: neither http nor https is set; add for example http = "0.0.0.0:8080""#,
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        r#"http = ":8080""#,
        r#"4: listen.http: ":8080" is not an address and a port; write it as 0.0.0.0:8080, [::]:8080 or unix:/run/jitsi-auth-gateway/http.sock"#,
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        r#"http = "unix:run/http.sock""#,
        "4: listen.http: the path of the socket is relative; write it as unix:/run/jitsi-auth-gateway/http.sock",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        r#"http = "unix:/run/""#,
        "4: listen.http: the path names no file; write it as unix:/run/jitsi-auth-gateway/http.sock",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"unix:/run/a-path-that-has-one-byte-more-than-the-hundred-and-seven-bytes-that-fit-into-the-address-of-a-socket.so\"",
        "4: listen.http: the path of the socket is longer than 107 bytes; write a shorter one, as unix:/run/jitsi-auth-gateway/http.sock",
    ),
    (
        "",
        "[reservation]\nlisten = \"unix:/run/reservation.sock\"",
        r#"26: reservation.listen: "unix:/run/reservation.sock" is not an address and a port; write it as 0.0.0.0:8080 or [::]:8080"#,
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"unix:/run/same.sock\"\nadmin = \"unix:/run//same.sock\"",
        "5: listen.admin: unix:/run//same.sock is the address of http, too; write another path",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"unix:/run/http.sock\"\nsocket_mode = \"060\"",
        r#"5: listen.socket_mode: "060" is not a mode by which the gateway's account may connect; write it in octal digits, as "0660" or "0666""#,
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"127.0.0.1:8080\"\nsocket_mode = \"0660\"",
        r#"5: listen.socket_mode: requires that http is a Unix socket; write for example http = "unix:/run/jitsi-auth-gateway/http.sock", or remove it"#,
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        r#"http = "127.0.0.1:9090""#,
        "3: listen.admin: 127.0.0.1:9090 is the address of http, too; write another port",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        r#"https = "127.0.0.1:8443""#,
        "4: listen.https: requires a certificate; add [tls] with certificate and key, or [tls.acme]",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"127.0.0.1:8080\"\ntrusted_proxies = [\"10.0.0.0/8\", \"0.0.0.0/0\"]",
        "5: listen.trusted_proxies[2]: contains every address; write only the networks of the proxies in front of the gateway",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"127.0.0.1:8080\"\nproxy_protocol = true",
        "5: listen.proxy_protocol: requires trusted_proxies; add trusted_proxies with the networks of the load balancers",
    ),
    (
        r#"public_url = "https://meet.example.org""#,
        "reload_every = \"2d\"\npublic_url = \"https://meet.example.org\"",
        "1: reload_every: 2d is too long; write a duration from 0s to 1day",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"127.0.0.1:8080\"\nworkers = 0",
        "5: listen.workers: 0 is out of range; write a number from 1 to 512",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"127.0.0.1:8080\"\nworkers = 1.5",
        "5: listen.workers: expected an integer, found a float; write for example 4",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"127.0.0.1:8080\"\ngrace = \"a while\"",
        r#"5: listen.grace: "a while" is not a duration; write a duration from 0s to 1h"#,
    ),
    (
        "",
        "[limits]\nconnection_idle = \"1s\"",
        "26: limits.connection_idle: 1s is too short; write a duration from 5s to 1h",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"127.0.0.1:8080\"\ngrace = \"20s\"\ndrain_window = \"30s\"",
        "6: listen.drain_window: 30s is longer than grace, which is 20s; write at most the value of grace",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"127.0.0.1:8080\"\ndrain_window = \"2h\"",
        r"5: listen.drain_window: 2h is too long; write a duration from 0s to 1h",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"127.0.0.1:8080\"\ngrace = 75",
        r#"5: listen.grace: expected a string, found an integer; write for example "90s""#,
    ),
    (
        "",
        "[tls]\ncertificate = \"tls.crt\"",
        r#"25: tls.key: missing; add for example key = "certs/tls.key""#,
    ),
    (
        "",
        "[tls]\ncertificate = \"tls.crt\"\nkey = \"other.key\"",
        "27: tls.key: does not belong to the certificate; name a certificate and a key that were created together",
    ),
    (
        "",
        "[tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"\n[[tls.additional]]\ncertificate = \"tls.crt\"\nkey = \"other.key\"",
        "30: tls.additional[1].key: does not belong to the certificate; name a certificate and a key that were created together",
    ),
    (
        "",
        "[tls.acme]\nstorage = \"acme\"\naccept_terms = true",
        "3: listen.https: missing, and tls.acme orders its certificate; add for example https = \"0.0.0.0:443\", or remove [tls.acme]",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"127.0.0.1:8080\"\nhttps = \"127.0.0.1:8443\"\n[tls.acme]\nstorage = \"acme\"\naccept_terms = false",
        "8: tls.acme.accept_terms: not true; read the authority's terms of service (Let's Encrypt's are at https://letsencrypt.org/repository/), and write accept_terms = true",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"127.0.0.1:8080\"\nhttps = \"127.0.0.1:8443\"\n[tls.acme]\nstorage = \"acme\"\naccept_terms = true\nstaging = true\ndirectory = \"https://ca.example/dir\"",
        "9: tls.acme.staging: conflicts with directory; remove one of the two",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"127.0.0.1:8080\"\nhttps = \"127.0.0.1:8443\"\n[tls.acme]\nstorage = \"acme\"\naccept_terms = true\ndirectory = \"http://ca.example/dir\"",
        "9: tls.acme.directory: not an https URL; write it as https://acme.example.org/directory",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"127.0.0.1:8080\"\nhttps = \"127.0.0.1:8443\"\n[tls.acme]\nstorage = \"acme\"\naccept_terms = true\nnames = [\"*.example.org\"]",
        "9: tls.acme.names[1]: \"*.example.org\" has a wildcard, which needs a challenge by DNS; write each name, or use certificate and key",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"127.0.0.1:8080\"\nhttps = \"127.0.0.1:8443\"\n[tls.acme]\nstorage = \"acme\"\naccept_terms = true\nnames = [\"192.0.2.1\"]",
        "9: tls.acme.names[1]: \"192.0.2.1\" is an address, not a name; write a DNS name",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"127.0.0.1:8080\"\nhttps = \"127.0.0.1:8443\"\n[tls.acme]\nstorage = \"acme\"\naccept_terms = true\nnames = []",
        "9: tls.acme.names: empty; remove the key, or write the names",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"127.0.0.1:8080\"\nhttps = \"127.0.0.1:8443\"\n[tls.acme]\nstorage = \"acme\"\naccept_terms = true\ncontact = [\"admin\"]",
        "9: tls.acme.contact[1]: \"admin\" is not an e-mail address; write it as admin@example.org",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"127.0.0.1:8080\"\nhttps = \"127.0.0.1:8443\"\n[tls.acme]\nstorage = \"acme\"\naccept_terms = true\n[tls.acme.external_account]\nid = \"kid\"\nkey_file = \"tls.key\"",
        "11: tls.acme.external_account.key_file: not a key in Base64url; write the HMAC key as the authority gave it",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "https = \"127.0.0.1:8443\"\n[tls.acme]\naccept_terms = true\nstorage = \"acme\"\nchallenge = \"http-01\"",
        "3: listen.http: missing, and tls.acme.challenge is http-01; add for example http = \"0.0.0.0:80\", or write challenge = \"tls-alpn-01\"",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"127.0.0.1:8080\"\nhttps = \"127.0.0.1:8443\"\n[tls.acme]\naccept_terms = true",
        "6: tls.acme.storage: missing; add for example storage = \"/var/lib/jitsi-auth-gateway/acme\"",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"127.0.0.1:8080\"\nhttps = \"127.0.0.1:8443\"\n[tls.acme]\naccept_terms = true\nstorage = \"tls.crt\"",
        "8: tls.acme.storage: tls.crt is not a directory; write the path of a directory",
    ),
    (
        "",
        "[tls]\ncertificate = \"none.crt\"\nkey = \"tls.key\"",
        "26: tls.certificate: none.crt cannot be read: no such file or directory; create the file, or correct its path, which is relative to the working directory",
    ),
    (
        "",
        "[tls]\ncertificate = \"tls.key\"\nkey = \"tls.key\"",
        "26: tls.certificate: tls.key contains no certificate; write a PEM chain into it, the server's certificate first",
    ),
    (
        "",
        "[tls]\ncertificate = \"tls.crt\"\nkey = \"tls.crt\"",
        "27: tls.key: tls.crt contains no private key; write one into it as PEM, not encrypted",
    ),
    (
        r#""http://web:8000""#,
        r#""https://web:8000""#,
        "7: upstream.web: https upstreams are not supported yet; use http:// within a private network",
    ),
    (
        r#""http://web:8000""#,
        r#""http://web:8000/jitsi""#,
        "7: upstream.web: has more than a host and a port; write it as http://host:port",
    ),
    (
        r#""http://prosody:5280""#,
        r#""prosody:5280""#,
        "8: upstream.xmpp: not an http URL; write it as http://host:port",
    ),
    (
        "[upstream]",
        "region_header = \"X-Geo\"\n[upstream]",
        "6: listen.region_header: requires trusted_proxies; add trusted_proxies with the networks of the proxies that set it",
    ),
    (
        "[upstream]",
        "region = \"eu west\"\n[upstream]",
        "6: listen.region: \"eu west\" is not the name of a region; write 1 to 63 letters, digits, dots, dashes or underscores",
    ),
    (
        "xmpp_domain",
        "jicofo = \"jicofo:8888\"\nxmpp_domain",
        "9: upstream.jicofo: not an http URL; write it as http://host:port",
    ),
    (
        r#""meet.jitsi""#,
        r#""http://meet.jitsi""#,
        r#"9: upstream.xmpp_domain: "http://meet.jitsi" is not a domain; write a host name without scheme and port, as meet.jitsi"#,
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"127.0.0.1:8080\"\nrecorder_domains = [\"hidden meet\"]",
        r#"5: listen.recorder_domains[1]: "hidden meet" is not a domain; write a host name without scheme and port, as meet.jitsi"#,
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"127.0.0.1:8080\"\nrecorder_domains = [\"Meet.jitsi\"]",
        "5: listen.recorder_domains: meet.jitsi is upstream.xmpp_domain, where people need a token; write the domain of their accounts, such as hidden.meet.jitsi",
    ),
    (
        r#"http = "127.0.0.1:8080""#,
        "http = \"127.0.0.1:8080\"\nrecorder_domains = [\"guest.meet.jitsi\"]\n[guests]\nxmpp_domain = \"guest.meet.jitsi\"",
        "5: listen.recorder_domains: guest.meet.jitsi is guests.xmpp_domain, where logins need no password; write the domain of their accounts, such as hidden.meet.jitsi",
    ),
    (
        "",
        "[guests]\nxmpp_domain = \"meet.jitsi\"",
        "26: guests.xmpp_domain: is upstream.xmpp_domain, where Prosody wants a token of everybody; remove it: guests then have tokens",
    ),
    (
        r#"xmpp_domain = "meet.jitsi""#,
        "xmpp_domain = \"meet.jitsi\"\nbosh_timeout = \"0s\"",
        "10: upstream.bosh_timeout: 0s is too short; write a duration from 1s to 1h",
    ),
    (
        r#""https://sso.example.org/realms/main""#,
        r#""http://sso.example.org/realms/main""#,
        "12: oidc.issuer: not https, so that an attacker on the network path could sign in as any user; use https, or set insecure_http_issuer = true for a test",
    ),
    (
        r#""https://sso.example.org/realms/main""#,
        r#""sso.example.org""#,
        "12: oidc.issuer: not a URL; write it as https://sso.example.org/realms/main",
    ),
    (
        r#"client_id = "jitsi""#,
        r#"client_id = " jitsi""#,
        "13: oidc.client_id: begins or ends with a space, or contains a control character; write printable characters without spaces around them",
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nclient_secret = \"changeme\"",
        "14: oidc.client_secret: a placeholder, not a secret; write the real secret",
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nclient_secret = \"a7Hq\"\nclient_secret_file = \"oidc.secret\"",
        "15: oidc.client_secret_file: conflicts with client_secret; remove one of the two",
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nclient_secret_file = \"none.secret\"",
        "14: oidc.client_secret_file: none.secret cannot be read: no such file or directory; create the file, or correct its path, which is relative to the working directory",
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nclient_secret_file = \"empty.secret\"",
        "14: oidc.client_secret_file: empty.secret is empty; write the secret into it",
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nclient_auth = \"basic\"",
        r#"14: oidc.client_auth: unknown value "basic"; write "client_secret_basic", "client_secret_post" or "private_key_jwt""#,
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nclient_auth = \"private_key_jwt\"",
        r#"11: oidc.client_key_file: missing; add for example client_key_file = "config/oidc.key""#,
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nclient_key_file = \"tls.key\"",
        r#"14: oidc.client_key_file: only of client_auth = "private_key_jwt"; remove it, or change client_auth"#,
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nclient_auth = \"private_key_jwt\"\nclient_key_file = \"tls.key\"\nclient_secret = \"a7Hq\"",
        r#"16: oidc.client_secret: not used by client_auth = "private_key_jwt"; remove it"#,
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nclient_auth = \"private_key_jwt\"\nclient_key_file = \"tls.crt\"",
        "15: oidc.client_key_file: tls.crt is not a private key in PEM form: RSA of 2048 bits or more, P-256, P-384 or Ed25519; create one with openssl genrsa 2048",
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nclient_key_algorithm = \"PS256\"",
        r#"14: oidc.client_key_algorithm: only of client_auth = "private_key_jwt"; remove it, or change client_auth"#,
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nclient_certificate_file = \"tls.crt\"",
        r#"14: oidc.client_certificate_file: only of client_auth = "private_key_jwt"; remove it, or change client_auth"#,
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nclient_auth = \"private_key_jwt\"\nclient_key_file = \"tls.key\"\nclient_key_algorithm = \"PS256\"",
        "16: oidc.client_key_algorithm: the key signs by ES256; remove client_key_algorithm, or create a key of its kind",
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nclient_auth = \"private_key_jwt\"\nclient_key_file = \"tls.key\"\nclient_key_algorithm = \"HS256\"",
        r#"16: oidc.client_key_algorithm: unknown value "HS256"; write "RS256", "PS256", "ES256", "ES384" or "EdDSA""#,
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nclient_auth = \"private_key_jwt\"\nclient_key_file = \"tls.key\"\nclient_certificate_file = \"other.crt\"",
        "16: oidc.client_certificate_file: other.crt is not the certificate of the private key; create one with openssl req -x509 -key and the file of the key",
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nclient_auth = \"private_key_jwt\"\nclient_key_file = \"tls.key\"\nclient_certificate_file = \"tls.key\"",
        "16: oidc.client_certificate_file: tls.key contains no certificate; write one into it as PEM",
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\n[oidc.group_lookup]\nkind = \"graph\"",
        r#"15: oidc.group_lookup.kind: unknown value "graph"; write "microsoft_graph" or "google_directory""#,
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\n[oidc.group_lookup]\nurl = \"https://graph.microsoft.us\"",
        r#"14: oidc.group_lookup.kind: missing; add for example kind = "microsoft_graph""#,
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\n[oidc.group_lookup]\nkind = \"microsoft_graph\"",
        r#"15: oidc.group_lookup.kind: no scope permits the person's access token to read groups at Microsoft Graph; add "User.Read" to oidc.scopes"#,
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\n[oidc.group_lookup]\nkind = \"google_directory\"",
        r#"14: oidc.group_lookup.key_file: missing; add for example key_file = "config/google-directory.json""#,
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\n[oidc.group_lookup]\nkind = \"google_directory\"\nkey_file = \"tls.key\"",
        "16: oidc.group_lookup.key_file: tls.key is not the JSON key of a service account (type, client_email, private_key and token_uri); create a key of the service account, and name the file that Google gives",
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\n[oidc.group_lookup]\nkind = \"google_directory\"\nkey_file = \"tls.key\"\nadministrator = \"root\"",
        "16: oidc.group_lookup.key_file: tls.key is not the JSON key of a service account (type, client_email, private_key and token_uri); create a key of the service account, and name the file that Google gives\ngateway.toml:17: oidc.group_lookup.administrator: not the e-mail address of an administrator; write it as groups-reader@example.org",
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nscopes = [\"openid\", \"User.Read\"]\n[oidc.group_lookup]\nkind = \"microsoft_graph\"\nkey_file = \"tls.key\"",
        r#"17: oidc.group_lookup.key_file: only of kind = "google_directory"; remove it"#,
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nscopes = [\"openid\", \"User.Read\"]\n[oidc.group_lookup]\nkind = \"microsoft_graph\"\nadministrator = \"a@example.org\"",
        r#"17: oidc.group_lookup.administrator: only of kind = "google_directory"; remove it"#,
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nscopes = [\"openid\", \"User.Read\"]\n[oidc.group_lookup]\nkind = \"microsoft_graph\"\nurl = \"http://graph.internal\"",
        "17: oidc.group_lookup.url: not an https URL, so that an attacker on the network path could add groups; write it as https://graph.microsoft.us",
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nscopes = [\"profile\"]",
        r#"14: oidc.scopes: openid is missing, without which it is not OpenID Connect; add "openid""#,
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nalgorithms = [\"HS256\"]",
        r#"14: oidc.algorithms[1]: unknown value "HS256"; write "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384" or "EdDSA""#,
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nalgorithms = []",
        r#"14: oidc.algorithms: no algorithm is accepted; remove the key, or write algorithms = ["RS256"]"#,
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nca_file = \"tls.key\"",
        "14: oidc.ca_file: tls.key is not a PEM file of certificates; write the authorities' certificates into it",
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nhttp_proxy = \"http://u:p@proxy:3128\"",
        "14: oidc.http_proxy: contains a user name or password; write it as http://proxy.internal:3128",
    ),
    (
        "[oidc]\nissuer = \"https://sso.example.org/realms/main\"\nclient_id = \"jitsi\"\n",
        "[[oidc]]\nissuer = \"https://sso.example.org/realms/main\"\nclient_id = \"jitsi\"\n",
        "11: oidc[1].id: missing; add for example id = \"school\"",
    ),
    (
        "client_id = \"jitsi\"\n",
        "client_id = \"jitsi\"\nid = \"school\"\n",
        "14: oidc.id: only of one of several providers; write the header as [[oidc]], or remove the key",
    ),
    (
        "[oidc]\nissuer = \"https://sso.example.org/realms/main\"\nclient_id = \"jitsi\"\n",
        "[[oidc]]\nissuer = \"https://sso.example.org/realms/main\"\nclient_id = \"jitsi\"\nid = \"School\"\n",
        "14: oidc[1].id: not an id: 2 to 20 lower-case letters, digits and '-', of which a letter is the first; write for example \"school\"",
    ),
    (
        "[oidc]\nissuer = \"https://sso.example.org/realms/main\"\nclient_id = \"jitsi\"\n",
        "[[oidc]]\nissuer = \"https://sso.example.org/realms/main\"\nclient_id = \"jitsi\"\nid = \"guest\"\n",
        "14: oidc[1].id: reserved for people without an account; write for example \"school\"",
    ),
    (
        "[oidc]\nissuer = \"https://sso.example.org/realms/main\"\nclient_id = \"jitsi\"\n",
        "[[oidc]]\nissuer = \"https://sso.example.org/realms/main\"\nclient_id = \"jitsi\"\nid = \"school\"\n[[oidc]]\nissuer = \"https://login.firm.example.com\"\nclient_id = \"jitsi\"\nid = \"school\"\n",
        "18: oidc[2].id: the id of another provider; write another id",
    ),
    (
        "[oidc]\nissuer = \"https://sso.example.org/realms/main\"\nclient_id = \"jitsi\"\n",
        "[[oidc]]\nissuer = \"https://sso.example.org/realms/main\"\nclient_id = \"jitsi\"\nid = \"school\"\n[[oidc]]\nissuer = \"https://sso.example.org/realms/main\"\nclient_id = \"jitsi\"\nid = \"firm\"\n",
        "16: oidc[2].issuer: the issuer of another provider; remove one of the two; a [[room]] can set sign_in.parameters",
    ),
    (
        "[oidc]\nissuer = \"https://sso.example.org/realms/main\"\nclient_id = \"jitsi\"\n",
        "[[oidc]]\nissuer = \"https://sso.example.org/realms/main\"\nclient_id = \"jitsi\"\nid = \"school\"\nkeeps_subjects = true\n[[oidc]]\nissuer = \"https://login.firm.example.com\"\nclient_id = \"jitsi\"\nid = \"firm\"\nkeeps_subjects = true\n",
        "20: oidc[2].keeps_subjects: another provider has it, too; set it for the one that was [oidc] before",
    ),
    (
        "[oidc]\nissuer = \"https://sso.example.org/realms/main\"\nclient_id = \"jitsi\"\n",
        "[[oidc]]\nissuer = \"https://sso.example.org/realms/main\"\nclient_id = \"jitsi\"\nid = \"school\"\nemail_domains = [\"a@b\"]\n",
        "15: oidc[1].email_domains[1]: \"a@b\" is not an e-mail domain; write it as school.example.org",
    ),
    (
        "[oidc]\nissuer = \"https://sso.example.org/realms/main\"\nclient_id = \"jitsi\"\n",
        "[[oidc]]\nissuer = \"https://sso.example.org/realms/main\"\nclient_id = \"jitsi\"\nid = \"school\"\nname = \"\"\n",
        "15: oidc[1].name: empty; write printable characters without spaces around them",
    ),
    (
        "[oidc]\nissuer = \"https://sso.example.org/realms/main\"\nclient_id = \"jitsi\"\n",
        "[[oidc]]\nissuer = \"https://sso.example.org/realms/main\"\nclient_id = \"jitsi\"\nid = \"school\"\nclientid = \"x\"\n",
        "15: oidc[1].clientid: unknown key; did you mean \"client_id\"",
    ),
    (
        "enter = \"member\"",
        "enter = \"member\"\nsign_in.providers = [\"school\"]",
        "25: room[1].sign_in.providers[1]: there is no [[oidc]] with id = \"school\"; correct the id, or add the provider",
    ),
    (
        "enter = \"member\"",
        "enter = \"provider:school\"",
        "24: room[1].enter: there is no [[oidc]] with id = \"school\"; correct the id, or add the provider",
    ),
    (
        "enter = \"member\"",
        "enter = \"provider:School\"",
        "24: room[1].enter: \"School\" is not an id: 2 to 20 lower-case letters, digits and '-', of which a letter is the first; write it as group:NAME or email-domain:DOMAIN",
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\n[oidc.claims]\ngroup = \"roles\"",
        r#"15: oidc.claims.group: unknown key; did you mean "groups""#,
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\n[oidc.claims]\nregion = \"\"",
        "15: oidc.claims.region: empty; write printable characters without spaces around them",
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nparameters = { redirect_uri = \"https://example.org\" }",
        "14: oidc.parameters.redirect_uri: the gateway sets this parameter itself; remove it",
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\n[oidc.parameters]\nhd = 1",
        "15: oidc.parameters.hd: expected a string, found an integer; write it in quotes",
    ),
    (
        r#"enter = "member""#,
        "enter = \"member\"\n[room.require]\nof = \"hosts\"",
        "25: room[1].require: requires nothing; add acr, amr or max_age, or remove the table",
    ),
    (
        r#"enter = "member""#,
        "enter = \"member\"\nrequire.acr = [\"gold silver\"]",
        r#"25: room[1].require.acr[1]: "gold silver" is not a value; write each value as its own list entry, as the provider writes it"#,
    ),
    (
        r#"enter = "member""#,
        "enter = \"member\"\nrequire.max_age = \"30s\"",
        "25: room[1].require.max_age: 30s is too short; write a duration from 1m to 7days",
    ),
    (
        "[oidc]\nissuer = \"https://sso.example.org/realms/main\"\nclient_id = \"jitsi\"\n\n[session]\nkey_file = \"session.key\"\n\n[token]\napp_id = \"gateway\"\nsecret_file = \"prosody.secret\"\n\n[[room]]\nmatch = \"*\"\nenter = \"member\"\n",
        "[session]\nkey_file = \"session.key\"\n\n[token]\napp_id = \"gateway\"\nsecret_file = \"prosody.secret\"\n\n[[room]]\nmatch = \"*\"\nenter = \"open\"\nrequire.acr = [\"gold\"]\n",
        "21: room[1].require: no visitor could fulfil it: there is no [oidc]; add [oidc], or remove the table",
    ),
    (
        r#"enter = "member""#,
        "enter = \"member\"\nsign_in.parameters.max_age = \"60\"",
        "25: room[1].sign_in.parameters.max_age: not set here; write require.max_age of a [[room]] instead",
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nleeway = \"1h\"",
        "14: oidc.leeway: 1h is too long; write a duration from 0s to 5m",
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nrevalidate = \"5s\"",
        "14: oidc.revalidate: 5s is too short; write a duration from 10s to 1day",
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nrevalidate = \"2d\"",
        "14: oidc.revalidate: 2d is too long; write a duration from 0s to 1day",
    ),
    (
        r#"client_id = "jitsi""#,
        "client_id = \"jitsi\"\nrevalidate = \"0s\"\nsilent_renewal = true",
        "15: oidc.silent_renewal: nothing is renewed, as revalidate is 0s; remove it, or set revalidate",
    ),
    (
        r#"key_file = "session.key""#,
        r#"idle = "1h""#,
        r#"15: session.key_file: missing; create one with openssl rand -base64 32 > config/session.key and add key_file = "config/session.key""#,
    ),
    (
        r#"key_file = "session.key""#,
        r#"key_file = "prosody.secret""#,
        "16: session.key_file: line 1 holds 24 bytes instead of 32; write a key with `openssl rand -base64 32`",
    ),
    (
        r#"key_file = "session.key""#,
        r#"key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA""#,
        "16: session.key: a placeholder, not a secret; write the real secret",
    ),
    (
        r#"key_file = "session.key""#,
        "key_file = \"session.key\"\nidle = \"48h\"",
        "15: session.absolute: shorter than idle; write a duration that is not shorter than idle",
    ),
    (
        r#"secret_file = "prosody.secret""#,
        r#"secret_file = "oidc.secret""#,
        "20: token.secret_file: 10 bytes are too few for HS256, which needs 32; create one with openssl rand -hex 32, and write it into Prosody's configuration, too",
    ),
    (
        r#"secret_file = "prosody.secret""#,
        r#"secret_file = "open.secret""#,
        "20: token.secret_file: open.secret contains a secret and every account of the machine can access it; run chmod o-rwx open.secret (in Kubernetes: defaultMode 0440 and an fsGroup), or set insecure_readable_secrets = true",
    ),
    (
        "secret_file = \"prosody.secret\"\n",
        "",
        r#"18: token.secret_file: missing; add secret_file = "config/prosody.secret", the same as Prosody's app_secret"#,
    ),
    (
        r#"secret_file = "prosody.secret""#,
        r#"secret_fil = "prosody.secret""#,
        r#"20: token.secret_fil: unknown key; did you mean "secret_file""#,
    ),
    (
        r#"secret_file = "prosody.secret""#,
        r#"secret = "<the secret of Prosody, at least 32 bytes>""#,
        "20: token.secret: a placeholder, not a secret; write the real secret",
    ),
    (
        r#"secret_file = "prosody.secret""#,
        "secret_file = \"prosody.secret\"\nalgorithm = \"HS512\"",
        "20: token.secret_file: 32 bytes are too few for HS512, which needs 64; create one with openssl rand -hex 32, and write it into Prosody's configuration, too",
    ),
    (
        r#"secret_file = "prosody.secret""#,
        "secret_file = \"prosody.secret\"\nalgorithm = \"RS256\"",
        "21: token.algorithm: RS256 requires a key pair, not a secret; write HS256, HS384 or HS512, or use [[token.key]]",
    ),
    (
        r#"secret_file = "prosody.secret""#,
        "secret_file = \"prosody.secret\"\nsend = [\"name\", \"mail\"]",
        r#"21: token.send[2]: unknown value "mail"; write "name", "email" or "avatar""#,
    ),
    (
        "secret_file = \"prosody.secret\"",
        "secret_file = \"prosody.secret\"\nalgorithm = \"none\"",
        r#"21: token.algorithm: unknown value "none"; write "HS256", "HS384", "HS512", "RS256", "RS384" or "RS512""#,
    ),
    (
        r#"secret_file = "prosody.secret""#,
        "secret_file = \"prosody.secret\"\nlifetime = \"2h\"",
        "21: token.lifetime: 2h is too long; write a duration from 10s to 1h",
    ),
    (
        r#"secret_file = "prosody.secret""#,
        "secret_file = \"prosody.secret\"\n[[token.key]]\nkid = \"a\"\nfile = \"tls.key\"",
        "21: token.key: conflicts with the secret; remove the secret or every [[token.key]]",
    ),
    (
        r#"secret_file = "prosody.secret""#,
        "[[token.key]]\nkid = \"a\"\nfile = \"tls.key\"",
        "22: token.key[1].file: tls.key is not an RSA private key in PEM form; create one with openssl genrsa 2048",
    ),
    (
        "[[room]]\nmatch = \"*\"\nenter = \"member\"\n",
        "",
        r#"1: room: missing; add for example [[room]] with enter = "member" and match = "*""#,
    ),
    (
        r#"match = "*""#,
        r#"match = """#,
        r#"23: room[1].match: matches no room; write "*" for all"#,
    ),
    (
        r#"match = "*""#,
        r#"match = "acme/*""#,
        "23: room[1].match: names have no slash; write the room in match and the tenant in tenant",
    ),
    (
        r#"enter = "member""#,
        r#"enter = "grup:staff""#,
        r#"24: room[1].enter: unknown condition "grup:staff"; known are member, guest, open, link, integration, integration:ID, owner, group:NAME, email:ADDRESS, email-domain:DOMAIN, subject:ID, provider:ID, claim:PATH=VALUE"#,
    ),
    (
        r#"enter = "member""#,
        r#"enter = "closd""#,
        r#"24: room[1].enter: unknown word "closd"; write member, link, guest, open or closed, or conditions as ["group:staff"]"#,
    ),
    (
        r#"enter = "member""#,
        "enter = []",
        r#"24: room[1].enter: an empty list admits no visitor; write "closed" if that is intended, or a condition"#,
    ),
    (
        r#"enter = "member""#,
        "enter = [1]",
        "24: room[1].enter[1]: expected a string, found an integer; write it in quotes",
    ),
    (
        r#"enter = "member""#,
        r#"enter = ["grup:staff"]"#,
        r#"24: room[1].enter[1]: unknown condition "grup:staff"; known are member, guest, open, link, integration, integration:ID, owner, group:NAME, email:ADDRESS, email-domain:DOMAIN, subject:ID, provider:ID, claim:PATH=VALUE"#,
    ),
    (
        r#"enter = "member""#,
        "enter = \"everybody\"",
        r#"24: room[1].enter: unknown word "everybody"; write member, link, guest, open or closed, or conditions as ["group:staff"]"#,
    ),
    (
        r#"enter = "member""#,
        "enter = \"member\"\nstart = \"owner\"",
        r#"25: room[1].start: unknown word "owner"; write host, member or anyone, or conditions as ["group:staff"]"#,
    ),
    (
        r#"enter = "member""#,
        "enter = \"member\"\nopens = \"tomorrow\"",
        r#"25: room[1].opens: "tomorrow" is not a time in UTC; write it as 2027-01-11T08:00:00Z"#,
    ),
    (
        r#"enter = "member""#,
        "enter = \"member\"\nopens = \"2027-01-11T08:00:00Z\"\ncloses = \"2027-01-11T08:00:00Z\"",
        "26: room[1].closes: not after opens; write a later time",
    ),
    (
        r#"enter = "member""#,
        "enter = \"member\"\nlobby = true",
        "25: room[1].lobby: requires [reservation]; add [reservation] with listen, or remove the key",
    ),
    (
        r#"enter = "member""#,
        "enter = \"member\"\nlobby = true\n\n[reservation]\nlisten = \"127.0.0.1:9091\"\n\n[guests]\nxmpp_domain = \"guest.meet.jitsi\"",
        "25: room[1].lobby: guests could open the room without a lobby, because Prosody does not ask the gateway about rooms that clients of guests.xmpp_domain open; remove guests.xmpp_domain, so that guests have tokens, or remove the key",
    ),
    (
        r#"enter = "member""#,
        "enter = \"member\"\nmax_people = 0",
        r#"25: room[1].max_people: admits no occupant; write enter = "closed" instead"#,
    ),
    (
        r#"enter = "member""#,
        "enter = \"member\"\nlifetime = \"5s\"",
        "25: room[1].lifetime: 5s is too short; write a duration from 1m to 7days",
    ),
    (
        r#"enter = "member""#,
        "enter = \"member\"\nhosts = \"owner\"",
        r#"25: room[1].hosts: unknown key; did you mean "host""#,
    ),
    (
        "",
        "[[room]]\nmatch = \"board\"\nenter = \"closed\"",
        "25: room[2]: never reached: rule 1 (gateway.toml:22) matches all of its rooms; move it above rule 1, or remove it",
    ),
    (
        r#"match = "*""#,
        "match = \"board\"\nenter = \"closed\"\n[[room]]\nmatch = \"BOARD\"",
        "25: room[2]: never reached: rule 1 (gateway.toml:22) matches all of its rooms; move it above rule 1, or remove it",
    ),
    (
        "\n[[room]]\nmatch = \"*\"",
        "domain_verification = true\n[[room]]\ntenant = \"\"\nmatch = \"*\"\nenter = \"closed\"\n[[room]]\nmatch = \"a*\"\ntenant = \"\"",
        "26: room[2]: never reached: rule 1 (gateway.toml:22) matches all of its rooms; move it above rule 1, or remove it",
    ),
    (
        r#"match = "*""#,
        "match = \"*\"\ntenant = \"acme\"",
        "24: room[1].tenant: Prosody does not tell tenants apart unless its domain verification is on; set enable_domain_verification = true there (docker: JWT_ENABLE_DOMAIN_VERIFICATION=true) and then domain_verification = true in [token], or remove the key",
    ),
    (
        "",
        "[log]\nformat = \"xml\"",
        r#"26: log.format: unknown value "xml"; write "text" or "json""#,
    ),
    (
        "",
        "[log]\nlevel = \"loud\"",
        r#"26: log.level: "loud" is not a level; write error, warn, info, debug or trace, or target=level"#,
    ),
    (
        "",
        "[pages]\naccent = \"blue\"",
        "26: pages.accent: \"blue\" is not a colour; write it as #1455b8",
    ),
    (
        "",
        "[pages]\naccent = \"#777777\"",
        "26: pages.accent: #777777 has a contrast of 4.4:1 on white, less than 4.5:1; choose a darker colour",
    ),
    (
        "",
        "[pages]\naccent_dark = \"#1455b8\"",
        "26: pages.accent_dark: #1455b8 has a contrast of 2.3:1 on the dark background, less than 4.5:1; choose a brighter colour",
    ),
    (
        "",
        "[pages]\nlogo = \"none.svg\"",
        "26: pages.logo: none.svg cannot be read: no such file or directory; create the file, or correct its path, which is relative to the working directory",
    ),
    (
        "",
        "[pages]\nlogo = \"logo.gif\"",
        "26: pages.logo: logo.gif: neither an SVG nor a PNG image; name an SVG or PNG file",
    ),
    (
        "",
        "[pages]\nstyle = \"end.css\"",
        "26: pages.style: end.css: contains </style; write only CSS, without the style element",
    ),
    (
        "",
        "[pages]\nstart = \"jisti\"",
        "26: pages.start: unknown value \"jisti\"; did you mean \"jitsi\"",
    ),
    (
        "",
        "[pages]\nlanguages = [\"de\", \"tlh\"]",
        "26: pages.languages[2]: \"tlh\" has no texts; write some of en, de, fr, es, ar, pt, it, nl, pl, tr, uk, ja, zh-Hans",
    ),
    (
        "",
        "[pages]\nmessages = [\"misspelt.toml\"]",
        "26: pages.messages[1]: misspelt.toml: unknown field `wrods`, expected one of `language`, `direction`, `words`, `names`, `start`, `meeting`, `join`, `wait`, `choice`, `leaving`, `open_app`, `call`, `signed_out`, `refused`, `step_up`, `invitation`, `embed`, `failed`, `unavailable`, `not_found`, `bad_request`, `request`, `popup`; correct it; src/pages/src/texts/en.toml has every key",
    ),
    (
        "",
        "[[pages.links]]\nlabel = \"Imprint\"\nurl = \"http://example.org\"",
        "27: pages.links[1].url: not an https URL; write it as https://www.example.org/imprint",
    ),
    (
        "",
        "[[pages.links]]\nlabel = \"Imprint\"",
        "25: pages.links[1].url: missing; add for example url = \"https://www.example.org/imprint\"",
    ),
    (
        "",
        "[store]\nkind = \"redis\"",
        "25: store.url: missing; add url = \"redis://redis:6379\", or url_file if it contains a password",
    ),
    (
        "",
        "[store]\ndirectory = \" \"",
        "26: store.directory: empty; write a path such as \"/var/lib/jitsi-auth-gateway\", or remove the key",
    ),
    (
        "",
        "[store]\nurl = \"redis://redis\"",
        "25: store.kind: memory conflicts with url; write kind = \"redis\", or remove the URL",
    ),
    (
        "",
        "[store]\nkind = \"redis\"\nurl = \"http://redis\"",
        "27: store.url: not a redis or rediss URL; write it as redis://host:6379 or rediss://user:password@host:6379/0",
    ),
    (
        "",
        "[store]\nkind = \"redis\"\nurl = \"redis://redis\"\nnamespace = \"a b\"",
        "28: store.namespace: \"a b\" is not a key prefix; write letters, digits, dots, dashes, underscores or colons",
    ),
    (
        "",
        "[store]\nkind = \"redis\"\nurl = \"redis://redis\"\nca_file = \"tls.crt\"",
        "28: store.ca_file: the URL is without TLS; write rediss:// in the URL, or remove the key",
    ),
    (
        "[oidc]\nissuer = \"https://sso.example.org/realms/main\"\nclient_id = \"jitsi\"\n\n",
        "",
        "20: room[1].enter: no visitor could enter: there is no [oidc] and no [[integration]]; add [oidc], or write enter = \"guest\" or \"open\"",
    ),
    (
        "[oidc]\nissuer = \"https://sso.example.org/realms/main\"\nclient_id = \"jitsi\"\n\n[session]\nkey_file = \"session.key\"\n\n[token]\napp_id = \"gateway\"\nsecret_file = \"prosody.secret\"\n\n[[room]]\nmatch = \"*\"\nenter = \"member\"\n",
        "[session]\nkey_file = \"session.key\"\n\n[token]\napp_id = \"gateway\"\nsecret_file = \"prosody.secret\"\n\n[[room]]\nmatch = \"*\"\nenter = \"guest\"\n",
        "18: room[1].start: no visitor could open the room: there is no [oidc] and no [[integration]]; add [oidc], or write start = \"anyone\"",
    ),
    (
        "",
        "[traces]\npercent = 101\nendpoint = \"http://collector:4318/v1/traces\"",
        if observe::traces::ARE_BUILT_IN {
            "26: traces.percent: more than 100; write a number from 0 to 100"
        } else {
            "27: traces.endpoint: this program was built without traces; build it with --features otel, or remove the key"
        },
    ),
    (
        "",
        "[log]\naudit_file = \"/tmp\"",
        "26: log.audit_file: not a file; name a file, or remove the key",
    ),
    (
        "",
        "[[location]]\nwho = \"anybody\"",
        r#"25: location[1].path: missing; add for example path = "/file-service/""#,
    ),
    (
        "",
        "[[location]]\npath = \"/x/\"",
        r#"25: location[1].who: missing; add for example who = "in-a-room""#,
    ),
    (
        "",
        "[[location]]\npath = \"/x/../y\"\nwho = \"member\"",
        r#"26: location[1].path: the path has dot segments; write a path as browsers send it, for example "/file-service/""#,
    ),
    (
        "",
        "[[location]]\npath = \"/%78/\"\nwho = \"member\"",
        r#"26: location[1].path: the path is not in canonical form, /x/; write "/x/""#,
    ),
    (
        "",
        "[[location]]\npath = \"/http-bind\"\nwho = \"member\"",
        "26: location[1].path: the path leads to Prosody, where requests go only with a token of the gateway; choose another path; this one is never a location",
    ),
    (
        "",
        "[[location]]\npath = \"/_gateway/x\"\nwho = \"member\"",
        "26: location[1].path: the path belongs to the gateway itself; choose another path; this one is never a location",
    ),
    (
        "",
        "[[location]]\npath = \"/room-size\"\nwho = \"member\"",
        "26: location[1].path: the path leads to commands for administrators; choose another path; this one is never a location",
    ),
    (
        "",
        "[[location]]\npath = \"/x/\"\nwho = \"member\"\nupstream = \"http://prosody:5280\"",
        "28: location[1].upstream: is Prosody, where requests go only with a token of the gateway; name the server of the location; commands of Prosody's modules stay internal",
    ),
    (
        "",
        "[[location]]\npath = \"/x/\"\nwho = \"member\"\nupstream = \"https://x\"",
        "28: location[1].upstream: https upstreams are not supported yet; use http:// within a private network",
    ),
    (
        "",
        "[cache]\nsize = \"64MB\"",
        r#"26: cache.size: "64MB" is not a size; write a size from 0 to 16GiB"#,
    ),
    (
        "",
        "[cache]\nsize = 4096",
        "26: cache.size: 4096 is too small; write a size from 1MiB to 16GiB",
    ),
    (
        "",
        "[cache]\nsize = true",
        "26: cache.size: expected a string or an integer, found a boolean; write for example \"64MiB\"",
    ),
    (
        "",
        "[cache]\nsize = \"10MiB\"",
        "25: cache.largest: 8MiB is too large; write a size from 4KiB to 5MiB",
    ),
    (
        "",
        "[[location]]\npath = \"/x/\"\nwho = \"guests\"",
        r#"27: location[1].who: unknown value "guests"; write "anybody", "in-a-room" or "member""#,
    ),
    (
        "",
        "[[location]]\npath = \"/x/\"\nwho = \"member\"\nmethods = [\"TRACE\"]",
        r#"28: location[1].methods[1]: "TRACE" is not forwarded; write GET, POST, PUT, PATCH, DELETE or OPTIONS"#,
    ),
    (
        "",
        "[[location]]\npath = \"/x/\"\nwho = \"member\"\nmethods = []",
        r#"28: location[1].methods: empty; write for example methods = ["GET"]"#,
    ),
    (
        "",
        "[[location]]\npath = \"/x/\"\nwho = \"member\"\nmethods = [\"POST\"]\nwebsocket = true",
        r#"29: location[1].websocket: a WebSocket begins with GET, which methods does not have; add "GET" to methods, or remove websocket"#,
    ),
    (
        "",
        "[[location]]\npath = \"/x/\"\nwho = \"member\"\n[[location]]\npath = \"/X\"\nwho = \"member\"",
        r#"29: location[2].path: "/x/" is the path of another location; remove one of the two"#,
    ),
];
