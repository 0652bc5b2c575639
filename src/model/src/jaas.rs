//! Jitsi as a Service (`JaaS`, 8x8): tokens, and the options of the `IFrame` API.
//!
//! After the same sign-in and policy, a page of the gateway loads 8x8's script. No connection passes
//! through the gateway, so the browser itself gets the token: for one person, one room and a short
//! time.

use std::{fmt, time::Duration};

use http::uri::Authority;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::SecretString;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json};

use crate::{
    clock::Clock,
    identity::Identity,
    policy::Role,
    room::RoomKey,
    token::{KeySettings, Signer, SignerError, SigningSettings},
};

/// The account at 8x8 and the features of its meetings.
#[derive(Clone, Debug)]
pub struct JaasSettings {
    /// The account's app id, `vpaas-magic-cookie-…`.
    pub app_id: String,
    /// The id of the key pair whose public key is registered at 8x8.
    pub key_id: String,
    /// The private key as PEM text (PKCS #8 or PKCS #1, RSA).
    pub pem: SecretString,
    /// The host that serves meetings, usually `8x8.vc`.
    pub host: Authority,
    /// The lifetime of a token. The page uses it again to reconnect.
    pub lifetime: Duration,
    /// The features for moderators.
    pub features: Vec<JaasFeature>,
}

/// A feature that 8x8 enables by token and may charge for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum JaasFeature {
    /// Stream to the public.
    Livestreaming,
    /// Record to 8x8's storage.
    Recording,
    /// Write down what is said.
    Transcription,
    /// Be called by SIP devices.
    SipInboundCall,
    /// Call SIP devices.
    SipOutboundCall,
    /// Be called by telephone.
    InboundCall,
    /// Call telephones.
    OutboundCall,
    /// Share files.
    FileUpload,
    /// See who only watches.
    ListVisitors,
    /// Move a meeting to another device without leaving it.
    Flip,
    /// Have others' speech translated while they talk.
    LiveTranslation,
}

/// Creates the token, the script URL and the options that open a meeting at 8x8.
pub struct Jaas {
    signer: Signer,
    clock: Clock,
    app_id: String,
    host: Authority,
    lifetime: Duration,
    features: Vec<JaasFeature>,
}

/// A token that 8x8 accepts. A secret of its holder.
pub struct JaasToken(String);

/// The claims as 8x8 documents them: booleans are the strings `"true"` and `"false"`.
#[derive(Serialize)]
struct Claims<'c> {
    aud: &'static str,
    iss: &'static str,
    sub: &'c str,
    room: &'c str,
    nbf: u64,
    exp: u64,
    context: Context<'c>,
}

#[derive(Serialize)]
struct Context<'c> {
    user: User<'c>,
    features: Features<'c>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct User<'c> {
    id: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar: Option<&'c str>,
    moderator: &'static str,
    hidden_from_recorder: &'static str,
}

/// All features by name: 8x8 enables some that a token leaves out.
struct Features<'c>(&'c [JaasFeature]);

// === impl Jaas ===

impl Jaas {
    /// Prepares the account's key.
    ///
    /// # Errors
    ///
    /// [`SignerError`], for an unusable key.
    pub fn new(settings: &JaasSettings, clock: Clock) -> Result<Self, SignerError> {
        let signing = SigningSettings::Keys {
            algorithm: jsonwebtoken::Algorithm::RS256,
            keys: vec![KeySettings {
                kid: format!("{}/{}", settings.app_id, settings.key_id),
                pem: settings.pem.clone(),
            }],
        };
        Ok(Self {
            signer: Signer::new(&signing)?,
            clock,
            app_id: settings.app_id.clone(),
            host: settings.host.clone(),
            lifetime: settings.lifetime,
            features: settings.features.clone(),
        })
    }

    /// Mints the token of one visitor in one room.
    ///
    /// # Errors
    ///
    /// [`SignerError::Sign`].
    pub fn token(
        &self,
        room: &RoomKey,
        role: Role,
        who: &Identity,
    ) -> Result<JaasToken, SignerError> {
        let now = self.clock.now();
        let moderates = role == Role::Moderator;
        let claims = Claims {
            aud: "jitsi",
            iss: "chat",
            sub: &self.app_id,
            room: &within_app(room),
            nbf: now.before(CLOCK_TOLERANCE).as_unix(),
            exp: now.after(self.lifetime).as_unix(),
            context: Context {
                user: User {
                    id: &who.subject,
                    name: who.display_name(),
                    email: who.email.as_deref(),
                    avatar: who.avatar.as_deref(),
                    moderator: truth(moderates),
                    hidden_from_recorder: truth(false),
                },
                features: Features(if moderates { &self.features } else { &[] }),
            },
        };
        self.signer.sign(&claims).map(JaasToken)
    }

    /// The origin of 8x8's script and frames, for the page's content security policy.
    pub fn origin(&self) -> String {
        format!("https://{}", self.host)
    }

    /// The URL of the `IFrame` API's script.
    pub fn script_url(&self) -> String {
        format!("{}/{}/external_api.js", self.origin(), self.app_id)
    }

    /// The `roomName` of the `IFrame` API, percent-encoded.
    pub fn room_name(&self, room: &RoomKey) -> String {
        let name = within_app(room);
        let readable = percent_encoding::percent_decode_str(&name).decode_utf8_lossy();
        // The script inserts it into a path unchanged, and Jitsi's client drops what is not encoded.
        let spelled = utf8_percent_encode(&readable, ENCODED_IN_PATH);
        format!("{}/{spelled}", self.app_id)
    }

    /// The options of the `IFrame` API, except for `parentNode`.
    pub fn options(&self, room: &RoomKey, token: &JaasToken, language: Option<&str>) -> Value {
        let mut options = json!({
            "roomName": self.room_name(room),
            "jwt": token.as_str(),
            "width": "100%",
            "height": "100%",
        });
        if let (Some(language), Some(map)) = (language, options.as_object_mut()) {
            map.insert("lang".to_owned(), language.into());
        }
        options
    }
}

impl fmt::Debug for Jaas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jaas")
            .field("app_id", &self.app_id)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

// === impl JaasToken ===

impl JaasToken {
    /// The text, for the holder's page.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for JaasToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JaasToken")
    }
}

// === impl JaasFeature ===

impl JaasFeature {
    const ALL: [Self; 11] = [
        Self::Livestreaming,
        Self::Recording,
        Self::Transcription,
        Self::SipInboundCall,
        Self::SipOutboundCall,
        Self::InboundCall,
        Self::OutboundCall,
        Self::FileUpload,
        Self::ListVisitors,
        Self::Flip,
        Self::LiveTranslation,
    ];

    /// The name in tokens and in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Livestreaming => "livestreaming",
            Self::Recording => "recording",
            Self::Transcription => "transcription",
            Self::SipInboundCall => "sip-inbound-call",
            Self::SipOutboundCall => "sip-outbound-call",
            Self::InboundCall => "inbound-call",
            Self::OutboundCall => "outbound-call",
            Self::FileUpload => "file-upload",
            Self::ListVisitors => "list-visitors",
            Self::Flip => "flip",
            Self::LiveTranslation => "live-translation",
        }
    }
}

// === impl Features ===

impl Serialize for Features<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for feature in JaasFeature::ALL {
            map.serialize_entry(feature.as_str(), truth(self.0.contains(&feature)))?;
        }
        for name in FOR_EVERYBODY {
            map.serialize_entry(name, truth(true))?;
        }
        map.end()
    }
}

/// The room's name within the account. The account is a single tenant at 8x8, so the gateway's
/// tenant becomes a part of the name.
///
/// `tenant.acme.x` is the room `x` of `acme`. A room without a tenant whose name begins like that
/// gets an empty tenant, so two rooms never share a name.
fn within_app(room: &RoomKey) -> String {
    match room.tenant() {
        Some(tenant) => format!("{TENANT_MARK}{tenant}.{}", room.node()),
        None if room.node().starts_with(TENANT_MARK) => {
            format!("{TENANT_MARK}.{}", room.node())
        }
        None => room.node().to_owned(),
    }
}

const fn truth(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// The features of all occupants, which 8x8 denies if a token has features but not these.
const FOR_EVERYBODY: [&str; 2] = ["send-groupchat", "create-polls"];

/// Begins a room's name that contains a tenant. The next dot ends the tenant, because canonical
/// tenants contain no dot.
const TENANT_MARK: &str = "tenant.";

/// `nbf` allows for a server of 8x8 whose clock is this much behind.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

/// All but the unreserved characters (RFC 3986 § 2.3).
const ENCODED_IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

#[cfg(test)]
mod tests;
