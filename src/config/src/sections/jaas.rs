//! `[jaas]`: 8x8's Jitsi as a service in place of one's own.

use http::uri::Authority;
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::token::key_file;
use crate::{
    problem::{Fault, Section},
    secret::SecretReader,
    values::{DurationText, seconds},
};
use model::jaas::{JaasFeature, JaasSettings};

/// 8x8's Jitsi as a service, in place of `[upstream]` and `[token]`: the meetings are there, and
/// people sign in here.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["app_id", "key_id", "key_file"]))]
pub(super) struct RawJaas {
    /// The account's `AppID`, from 8x8's console.
    #[schemars(example = &"vpaas-magic-cookie-0123456789abcdef0123456789abcdef")]
    app_id: Option<String>,
    /// The API key's id, as 8x8's console shows it when the public key is added.
    #[schemars(example = &"4f4910")]
    key_id: Option<String>,
    /// The file of the private key: PEM, RSA, 2048 bits or more.
    #[schemars(example = &"config/jaas.key")]
    key_file: Option<String>,
    /// The host that serves meetings.
    host: String,
    /// How long a token is good for. Browsers keep it for reconnecting; a new one needs a new page.
    lifetime: DurationText,
    /// What moderators may use. 8x8 charges for some of it.
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
        let app_id = self
            .app_id
            .and_then(|id| section.keep("app_id", app_id(&id)));
        let key_id = self
            .key_id
            .and_then(|id| section.keep("key_id", key_id(&id, app_id.as_deref())));
        let pem = self
            .key_file
            .and_then(|file| section.keep("key_file", key_file(&file, secrets)));
        let host = section.keep("host", host(&self.host));
        let lifetime = self
            .lifetime
            .within(seconds(60)..=seconds(86_400), section, "lifetime");
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
            // Most meetings are over by then.
            lifetime: "2h".into(),
            features: Vec::new(),
        }
    }
}

fn app_id(text: &str) -> Result<String, Fault> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    match text.strip_prefix(APP_ID_PREFIX) {
        Some(rest) if !rest.is_empty() && rest.chars().all(plain) => Ok(text.to_owned()),
        _ => Err(Fault::new(
            "not an AppID",
            format!("copy it from 8x8's console; it begins with {APP_ID_PREFIX}"),
        )),
    }
}

/// The console shows the id behind the `AppID` and a slash, as tokens have it.
fn key_id(text: &str, app_id: Option<&str>) -> Result<String, Fault> {
    let (owner, id) = match text.split_once('/') {
        Some((owner, id)) => (Some(owner), id),
        None => (None, text),
    };
    let remedy = "write what stands behind the slash in 8x8's console";
    if owner.is_some_and(|owner| app_id.is_some_and(|app_id| app_id != owner)) {
        return Err(Fault::new("the key of another AppID", remedy));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !id.is_empty() && id.chars().all(plain) {
        Ok(id.to_owned())
    } else {
        Err(Fault::new("not the id of a key", remedy))
    }
}

fn host(text: &str) -> Result<Authority, Fault> {
    // Parsed as what it becomes, and taken only if nothing of it became anything else.
    Url::parse(&format!("https://{text}/"))
        .ok()
        .filter(|url| url.authority() == text && url.username().is_empty() && url.path() == "/")
        .and_then(|_| text.parse().ok())
        .ok_or_else(|| Fault::new(format!("{text:?} is not a host"), "write it as 8x8.vc"))
}

const APP_ID_PREFIX: &str = "vpaas-magic-cookie-";
