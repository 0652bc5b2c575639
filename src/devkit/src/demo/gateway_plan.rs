//! The configuration of the demonstration's gateway, and the files beside it.

use std::{net::SocketAddr, path::Path, time::Duration};

use config::{self, Config, Environment};
use cookie::time::OffsetDateTime;
use jsonwebtoken::{EncodingKey, Header};
use model::clock::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{
    CLIENT_ID, CONFIG_FILE, DemoError, ExternalJitsi, PrivateDirectory, announcement::CLAIMS_FILE,
};
use crate::{DevkitError, provider::DevAccount};

/// The values for the configuration file.
pub(super) struct GatewayPlan<'p> {
    pub(super) https: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) issuer: &'p str,
    pub(super) jitsi: ExternalJitsi,
    pub(super) client_secret: SecretString,
    /// The secret of the other system.
    pub(super) school_secret: SecretString,
    pub(super) session_key: SecretString,
}

// === impl GatewayPlan ===

impl GatewayPlan<'_> {
    /// Writes certificate, configuration and the claims of an account, and loads the configuration.
    pub(super) fn write(
        &self,
        directory: &PrivateDirectory,
        now: Timestamp,
    ) -> Result<Config, DemoError> {
        let names = ["localhost", "127.0.0.1"].map(ToOwned::to_owned);
        let pair = rcgen::KeyPair::generate().map_err(DevkitError::from)?;
        let mut parameters = rcgen::CertificateParams::new(names).map_err(DevkitError::from)?;
        let from = i64::try_from(now.as_unix()).unwrap_or_default();
        let from = OffsetDateTime::from_unix_timestamp(from).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        parameters.not_before = from - CLOCK_TOLERANCE;
        parameters.not_after = from + CERTIFICATE_LIFETIME;
        let certificate = parameters.self_signed(&pair).map_err(DevkitError::from)?;
        let certificate = directory.write("tls.crt", &certificate.pem())?;
        let key = directory.write("tls.key", &pair.serialize_pem())?;
        for account in DevAccount::demonstration() {
            if account.id == "max" {
                let claims = account.claims("profile email");
                directory.write(CLAIMS_FILE, &format!("{:#}\n", json!(claims)))?;
            }
        }
        let file = directory.write(CONFIG_FILE, &self.configuration(&certificate, &key))?;
        Ok(config::load(&file, &Environment::default())?)
    }

    /// A token of the other system: its teacher, in one lesson.
    pub(super) fn lesson_token(&self, now: Timestamp) -> Result<String, DevkitError> {
        let user = json!({ "id": "tina", "name": "Tina Teacher", "moderator": true });
        let claims = json!({
            "iss": "school", "aud": "jitsi", "sub": "school", "room": super::announcement::LESSON,
            "exp": now.after(LINK_LIFETIME).as_unix(), "context": { "user": user },
        });
        let key = EncodingKey::from_secret(self.school_secret.expose_secret().as_bytes());
        Ok(jsonwebtoken::encode(&Header::default(), &claims, &key)?)
    }

    fn configuration(&self, certificate: &Path, key: &Path) -> String {
        let path = |path: &Path| toml::Value::from(path.display().to_string());
        let text = |text: &str| toml::Value::from(text);
        let jitsi = &self.jitsi;
        format!(
            r#"# Configuration of `jitsi-auth-gateway demo`. The secrets were generated for this run.
public_url = "https://localhost:{port}"

[listen]
https = "{https}"
admin = "{admin}"
grace = "1s"
drain_delay = "0s"

[tls]
certificate = {certificate}
key = {key}

[upstream]
web = {web}
xmpp = {xmpp}
xmpp_domain = {xmpp_domain}

[oidc]
issuer = "{issuer}"
client_id = "{CLIENT_ID}"
client_secret = "{client_secret}"
insecure_http_issuer = true  # the provider runs on this machine, too

[session]
key = "{session_key}"

[token]
app_id = {app_id}
secret = {app_secret}
lifetime = "1m"  # so that one can see a token expire

# The staff's room: other people are refused.
[[room]]
match = "board"
enter = "group:staff"
moderators = "group:staff"

# Guests and members may enter, but wait until one of the staff is there.
[[room]]
match = "waiting"
enter = "guest"
start = "host"
moderators = "group:staff"

# People with an account. A signed-out person does not come back as a guest.
[[room]]
match = "team"
enter = "member"
moderators = "group:staff"

# Lessons: people whom the school's system sends.
[[room]]
match = "school-*"
enter = "integration:school"

# Every other name: members enter, guests after one of them has opened the room.
[[room]]
match = "*"
enter = "guest"
moderators = "group:staff"

# The school's system, which sends its people with tokens of its own.
[[integration]]
id = "school"
secret = "{school_secret}"
rooms = ["school-*"]

[log]
# The start has warnings about this configuration, which belong to a demonstration.
level = "warn,jitsi_auth_gateway::app=error"
access = false
"#,
            port = self.https.port(),
            https = self.https,
            admin = self.admin,
            certificate = path(certificate),
            key = path(key),
            web = text(jitsi.web.as_str().trim_end_matches('/')),
            xmpp = text(jitsi.xmpp.as_str().trim_end_matches('/')),
            xmpp_domain = text(&jitsi.xmpp_domain),
            issuer = self.issuer,
            client_secret = self.client_secret.expose_secret(),
            session_key = self.session_key.expose_secret(),
            app_id = text(&jitsi.app_id),
            app_secret = text(jitsi.app_secret.expose_secret()),
            school_secret = self.school_secret.expose_secret(),
        )
    }
}

/// Browsers whose clock is behind accept the certificate, too.
const CLOCK_TOLERANCE: Duration = Duration::from_hours(1);

/// `doctor` warns of certificates that expire within 14 days.
const CERTIFICATE_LIFETIME: Duration = Duration::from_hours(30 * 24);

/// The default of `max_lifetime` is one hour.
const LINK_LIFETIME: Duration = Duration::from_mins(59);
