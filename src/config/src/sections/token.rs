//! `[token]`: the tokens for Prosody.

mod signing;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

pub(super) use self::signing::read_rsa_key;
use self::signing::{Algorithm, RawSigning};
use crate::{
    diagnostics::Section,
    secret::{RawSecret, SecretReader},
    values::{DurationText, HOUR, parse_name, seconds},
};
use model::token::{PersonalClaims, TokenSettings};

/// The tokens for Prosody. The keys correspond to Prosody's `app_id`, `app_secret` and related
/// options. Requires `secret_file` (or `secret`), or at least one `[[token.key]]`.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["app_id"]))]
pub(super) struct RawToken {
    /// Prosody's `app_id`.
    #[schemars(example = &"gateway")]
    app_id: Option<String>,
    /// The issuer (`iss`), one of Prosody's `asap_accepted_issuers`. Default: the `app_id`.
    issuer: Option<String>,
    /// Prosody's `app_secret`, at least as long as the algorithm's hash (32 bytes for HS256).
    /// Preferably in `secret_file`.
    #[schemars(with = "Option<String>")]
    secret: Option<SecretString>,
    /// The file of Prosody's `app_secret`.
    #[schemars(example = "config/prosody.secret")]
    secret_file: Option<String>,
    /// The signature algorithm. Default: HS256 with a secret, RS256 with keys.
    #[schemars(example = &"HS256")]
    algorithm: Option<Algorithm>,
    /// The audience (`aud`), one of Prosody's `asap_accepted_audiences`.
    audience: String,
    /// The subject (`sub`) of tokens for rooms without a tenant. Default: `upstream.xmpp_domain`.
    #[schemars(example = "meet.jitsi")]
    subject: Option<String>,
    /// Whether Prosody compares the tenant of a token with the room
    /// (`enable_domain_verification = true` of the main `VirtualHost`; docker:
    /// `JWT_ENABLE_DOMAIN_VERIFICATION=true`). Rules and integrations can have a `tenant` only then:
    /// otherwise a token for a room opens the room of that name in every tenant.
    domain_verification: bool,
    /// The lifetime of a token, which is needed only while connecting.
    lifetime: DurationText,
    /// What tokens, and so all people in a room, get to know of a person: `name`, `email`, `avatar`. Jitsi
    /// publishes the e-mail address in the room, and its clients ask Gravatar for a picture by its hash;
    /// leave it out where guests shall not see the addresses of members. Default: all three.
    #[schemars(example = ["name", "avatar"])]
    send: Vec<PersonalClaim>,
    /// RSA keys instead of a secret: the first signs, all are published.
    key: Vec<RawKey>,
}

/// A claim of a person.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq)]
#[schemars(inline)]
#[serde(rename_all = "snake_case")]
enum PersonalClaim {
    Name,
    Email,
    Avatar,
}

/// An RSA key. Prosody gets its public key from `/_gateway/asap/` or `/_gateway/jwks.json`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["kid", "file"]))]
pub(super) struct RawKey {
    /// The key's id.
    #[schemars(example = "2026-11")]
    kid: Option<String>,
    /// The private key: a PEM file, RSA, 2048 bits or more.
    #[schemars(example = "config/token.key")]
    file: Option<String>,
}

// === impl RawToken ===

impl RawToken {
    /// Whether rules and integrations can have tenants.
    pub(super) fn verifies_domains(&self) -> bool {
        self.domain_verification
    }

    /// `xmpp_domain` is the default subject.
    pub(super) fn resolve(
        self,
        xmpp_domain: Option<&str>,
        secrets: SecretReader,
        section: &mut Section<'_>,
    ) -> Option<TokenSettings> {
        let app_id = section.parse("app_id", self.app_id, parse_name);
        let issuer = match self.issuer {
            Some(issuer) => section.keep("issuer", parse_name(&issuer)),
            None => app_id.clone(),
        };
        let audience = section.keep("audience", parse_name(&self.audience));
        let subject = match self.subject {
            Some(subject) => section.keep("subject", parse_name(&subject)),
            None => xmpp_domain.map(ToOwned::to_owned),
        };
        let lifetime = self
            .lifetime
            .within(seconds(10)..=HOUR, section, "lifetime");
        let signing = RawSigning {
            algorithm: self.algorithm,
            secret: RawSecret {
                inline: self.secret,
                file: self.secret_file,
            },
            keys: self.key,
        };
        let signing = signing.resolve(secrets, section);
        app_id?;
        Some(TokenSettings {
            issuer: issuer?,
            audience: audience?,
            subject: subject?,
            lifetime: lifetime?,
            claims: PersonalClaims {
                name: self.send.contains(&PersonalClaim::Name),
                email: self.send.contains(&PersonalClaim::Email),
                avatar: self.send.contains(&PersonalClaim::Avatar),
            },
            signing: signing?,
        })
    }
}

impl Default for RawToken {
    fn default() -> Self {
        Self {
            app_id: None,
            issuer: None,
            secret: None,
            secret_file: None,
            algorithm: None,
            audience: "jitsi".to_owned(),
            subject: None,
            domain_verification: false,
            lifetime: "2m".into(),
            send: vec![
                PersonalClaim::Name,
                PersonalClaim::Email,
                PersonalClaim::Avatar,
            ],
            key: Vec::new(),
        }
    }
}
