//! A good configuration, and what can be wrong with it.

/// A configuration without a mistake.
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

/// A text of the good configuration, what stands there instead, and what is said of it after the
/// file's name.
pub(super) const MISTAKES: &[(&str, &str, &str)] = &[];
