//! `[jaas]`: Jitsi as a Service (8x8) instead of a self-hosted Jitsi.

use http::uri::Authority;
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::token::read_rsa_key;
use crate::{
    diagnostics::Section,
    problem::Fault,
    secret::SecretReader,
    values::{DAY, DurationText, MINUTE},
};
use model::jaas::{JaasFeature, JaasSettings};

/// Jitsi as a Service (8x8), which hosts the meetings; the gateway signs users in. Replaces
/// `[upstream]` and `[token]`.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["app_id", "key_id", "key_file"]))]
pub(super) struct RawJaas {
    /// The account's `AppID` in 8x8's console.
    #[schemars(example = &"vpaas-magic-cookie-0123456789abcdef0123456789abcdef")]
    app_id: Option<String>,
    /// The id of the API key, which 8x8's console shows when the public key is added.
    #[schemars(example = &"4f4910")]
    key_id: Option<String>,
    /// The private key: a PEM file, RSA, 2048 bits or more.
    #[schemars(example = &"config/jaas.key")]
    key_file: Option<String>,
    /// The host that serves meetings.
    host: String,
    /// The lifetime of a token. Browsers keep the token for reconnecting; a new one requires a reload
    /// of the page.
    lifetime: DurationText,
    /// The features of moderators. 8x8 charges for some of them.
    #[schemars(example = ["recording"])]
    features: Vec<JaasFeature>,
}

// === impl RawJaas ===

impl RawJaas {
    pub(super) fn resolve(
        self,
        secrets: SecretReader,
        section: &mut Section<'_>,
    ) -> Option<JaasSettings> {
        let app_id = section.parse("app_id", self.app_id, parse_app_id);
        let key_id = section.parse("key_id", self.key_id, |text| {
            parse_key_id(text, app_id.as_deref())
        });
        let pem = section.parse("key_file", self.key_file, |file| {
            read_rsa_key(file, secrets)
        });
        let host = section.keep("host", parse_host(&self.host));
        let lifetime = self.lifetime.within(MINUTE..=DAY, section, "lifetime");
        Some(JaasSettings {
            app_id: app_id?,
            key_id: key_id?,
            pem: pem?,
            host: host?,
            lifetime: lifetime?,
            features: self.features,
        })
    }
}

impl Default for RawJaas {
    fn default() -> Self {
        Self {
            app_id: None,
            key_id: None,
            key_file: None,
            host: "8x8.vc".to_owned(),
            // Longer than most meetings.
            lifetime: "2h".into(),
            features: Vec::new(),
        }
    }
}

fn parse_app_id(text: &str) -> Result<String, Fault> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    match text.strip_prefix(APP_ID_PREFIX) {
        Some(rest) if !rest.is_empty() && rest.chars().all(is_allowed) => Ok(text.to_owned()),
        _ => Err(Fault::new(
            "not an AppID",
            format!("copy it from 8x8's console; it begins with {APP_ID_PREFIX}"),
        )),
    }
}

/// The console shows `<AppID>/<key id>`, as the `kid` of tokens; both forms are accepted.
fn parse_key_id(text: &str, app_id: Option<&str>) -> Result<String, Fault> {
    let (owner, id) = match text.split_once('/') {
        Some((owner, id)) => (Some(owner), id),
        None => (None, text),
    };
    let remedy = "copy the part after the slash from 8x8's console";
    if let (Some(owner), Some(app_id)) = (owner, app_id)
        && owner != app_id
    {
        return Err(Fault::new("the key of another AppID", remedy));
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !id.is_empty() && id.chars().all(is_allowed) {
        Ok(id.to_owned())
    } else {
        Err(Fault::new("not a key id", remedy))
    }
}

fn parse_host(text: &str) -> Result<Authority, Fault> {
    // Accepted only if the URL parser changes nothing.
    Url::parse(&format!("https://{text}/"))
        .ok()
        .filter(|url| url.authority() == text && url.username().is_empty() && url.path() == "/")
        .and_then(|_| text.parse().ok())
        .ok_or_else(|| Fault::new(format!("{text:?} is not a host"), "write it as 8x8.vc"))
}

const APP_ID_PREFIX: &str = "vpaas-magic-cookie-";
