//! 8x8's Jitsi as a service in place of one's own: its tokens, and what its `IFrame` API is told.
//!
//! After the same sign-in and by the same rules, the meeting opens in a page of ours that loads
//! 8x8's script. There is no connection that we could put the token on, so the browser gets it, and
//! it is worth as little as it can be: for one person, one room and a short time.

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

/// Which account at 8x8, and what its meetings offer.
#[derive(Clone, Debug)]
pub struct JaasSettings {
    /// The account's app id, `vpaas-magic-cookie-…`.
    pub app_id: String,
    /// The id of the key whose public half is registered there.
    pub key_id: String,
    /// The private key as PEM text (PKCS #8 or PKCS #1, RSA).
    pub pem: SecretString,
    /// Where 8x8 serves meetings.
    pub host: Authority,
    /// How long a token is good for. The page keeps it for reconnecting.
    pub lifetime: Duration,
    /// What moderators may use.
    pub features: Vec<JaasFeature>,
}

/// What 8x8 lets people do by their token, and may charge for.
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
}

/// Makes what a browser needs to open a meeting at 8x8.
pub struct Jaas {
    signer: Signer,
    clock: Clock,
    app_id: String,
    host: Authority,
    lifetime: Duration,
    features: Vec<JaasFeature>,
}

/// A token that 8x8 accepts: shown to its holder and to nobody else.
pub struct JaasToken(String);

/// The claims in the form that 8x8 publishes, with its texts for truth values.
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

/// Every feature by name, so that none is on because it is not there.
struct Features<'c>(&'c [JaasFeature]);

// === impl Jaas ===

impl Jaas {
    /// For the account of the settings.
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

    /// The token of one person in one room.
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

    /// The origin of 8x8's script and frames, for our page's content security policy.
    pub fn origin(&self) -> String {
        format!("https://{}", self.host)
    }

    /// The address of the `IFrame` API's script.
    pub fn script_url(&self) -> String {
        format!("{}/{}/external_api.js", self.origin(), self.app_id)
    }

    /// The room as the `IFrame` API calls it, ready to stand in its address.
    pub fn room_name(&self, room: &RoomKey) -> String {
        let name = within_app(room);
        let readable = percent_encoding::percent_decode_str(&name).decode_utf8_lossy();
        // The script puts it into a path as it is, where Jitsi's client drops what is not encoded.
        let spelled = utf8_percent_encode(&readable, ENCODED_IN_PATH);
        format!("{}/{spelled}", self.app_id)
    }

    /// The options of the `IFrame` API, but for the element that it fills.
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
    /// The text, for the page of the one whom it is for.
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
    const ALL: [Self; 9] = [
        Self::Livestreaming,
        Self::Recording,
        Self::Transcription,
        Self::SipInboundCall,
        Self::SipOutboundCall,
        Self::InboundCall,
        Self::OutboundCall,
        Self::FileUpload,
        Self::ListVisitors,
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

/// The room's name within the account, which is one tenant there: ours has to go into the name.
///
/// `tenant.acme.x` is the room `x` of `acme`. A room that has no tenant and begins like that gets an
/// empty one, which no tenant can be, so that two rooms never share a name.
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

/// What people take for granted, and what would go away if the token had features and not these.
const FOR_EVERYBODY: [&str; 2] = ["send-groupchat", "create-polls"];

/// A tenant has no dot in its canonical form, so the next one ends it.
const TENANT_MARK: &str = "tenant.";

/// 8x8's clock may be this much behind ours.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

/// The unreserved characters stay (RFC 3986 § 2.3).
const ENCODED_IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

#[cfg(test)]
mod tests;
