//! Valid and bad tokens for test rooms, which have random names.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header};
use model::{
    clock::Clock,
    identity::Identity,
    policy::Role,
    random::Random,
    room::RoomKey,
    token::{Minter, SignerError, SigningSettings, TokenSettings},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

/// Signs the tokens of one examination with the settings of the gateway.
pub(super) struct TestTokens {
    settings: TokenSettings,
    minter: Minter,
    clock: Clock,
    random: Random,
}

// === impl TestTokens ===

impl TestTokens {
    pub(super) fn new(
        settings: &TokenSettings,
        clock: Clock,
        random: Random,
    ) -> Result<Self, SignerError> {
        Ok(Self {
            settings: settings.clone(),
            minter: Minter::new(settings, clock.clone())?,
            clock,
            random,
        })
    }

    /// A new room.
    pub(super) fn room(&self) -> RoomKey {
        let name = format!(
            "gateway-doctor-{:016x}",
            u64::from_be_bytes(self.random.bytes())
        );
        // Infallible: the name has letters, digits and dashes only.
        RoomKey::from_text(&name).expect("the name is a room name")
    }

    /// A token as the gateway signs it.
    pub(super) fn valid(&self, room: &RoomKey, role: Role) -> Result<String, SignerError> {
        self.mint(&self.minter, room, role)
    }

    /// A valid token but for its issuer.
    pub(super) fn of_foreign_issuer(&self, room: &RoomKey) -> Result<String, SignerError> {
        self.valid_but(room, |settings| {
            settings.issuer = format!("{UNKNOWN}-issuer");
        })
    }

    /// A valid token but for its audience.
    pub(super) fn for_foreign_audience(&self, room: &RoomKey) -> Result<String, SignerError> {
        self.valid_but(room, |settings| {
            settings.audience = format!("{UNKNOWN}-audience");
        })
    }

    /// A valid token but for its subject, which means its tenant.
    pub(super) fn of_other_subject(&self, room: &RoomKey) -> Result<String, SignerError> {
        self.valid_but(room, |settings| UNKNOWN.clone_into(&mut settings.subject))
    }

    /// A valid token but for its signature.
    pub(super) fn forged(&self, room: &RoomKey) -> Result<String, SignerError> {
        match &self.settings.signing {
            SigningSettings::Secret { .. } => self.valid_but(room, |settings| {
                if let SigningSettings::Secret { secret, .. } = &mut settings.signing {
                    *secret = self.random.text::<64>().into();
                }
            }),
            // A reversed signature is invalid; generating an RSA key would take seconds.
            SigningSettings::Keys { .. } => {
                let valid = self.valid(room, Role::Participant)?;
                let (message, signature) = valid.rsplit_once('.').unwrap_or_default();
                let reversed: String = signature.chars().rev().collect();
                Ok(format!("{message}.{reversed}"))
            }
        }
    }

    /// A token that expired an hour ago, signed by the right key.
    pub(super) fn expired(&self, room: &RoomKey) -> Result<String, SignerError> {
        let now = self.clock.now();
        let claims = self.claims(
            room,
            now.before(EXPIRED_BEFORE * 2).as_unix(),
            now.before(EXPIRED_BEFORE).as_unix(),
        );
        let (header, key) = match &self.settings.signing {
            SigningSettings::Secret { algorithm, secret } => (
                Header::new(*algorithm),
                EncodingKey::from_secret(secret.expose_secret().as_bytes()),
            ),
            SigningSettings::Keys { algorithm, keys } => {
                let newest = keys.first().ok_or(SignerError::None)?;
                let pem: &SecretString = &newest.pem;
                let header = Header {
                    kid: Some(newest.kid.clone()),
                    ..Header::new(*algorithm)
                };
                (
                    header,
                    EncodingKey::from_rsa_pem(pem.expose_secret().as_bytes())?,
                )
            }
        };
        Ok(jsonwebtoken::encode(&header, &claims, &key)?)
    }

    /// A token with the algorithm `none` (RFC 7518 § 3.6) and a signature of one byte.
    pub(super) fn unsigned(&self, room: &RoomKey) -> String {
        let now = self.clock.now();
        let until = now.after(self.settings.lifetime).as_unix();
        let claims = self.claims(room, now.before(EXPIRED_BEFORE).as_unix(), until);
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let header = match &self.settings.signing {
            SigningSettings::Keys { keys, .. } => {
                let kid = keys.first().map_or("", |newest| &newest.kid);
                json!({"typ": "JWT", "alg": "none", "kid": kid})
            }
            SigningSettings::Secret { .. } => json!({"typ": "JWT", "alg": "none"}),
        };
        format!("{}.{}.AA", part(&header), part(&claims))
    }

    fn claims(&self, room: &RoomKey, begins: u64, ends: u64) -> Value {
        json!({
            "iss": self.settings.issuer, "aud": self.settings.audience,
            "sub": self.settings.subject, "room": room.node(),
            "nbf": begins, "exp": ends,
            "context": {"user": {"id": SUBJECT, "name": NAME}},
        })
    }

    fn valid_but(
        &self,
        room: &RoomKey,
        change: impl FnOnce(&mut TokenSettings),
    ) -> Result<String, SignerError> {
        let mut settings = self.settings.clone();
        change(&mut settings);
        let minter = Minter::new(&settings, self.clock.clone())?;
        self.mint(&minter, room, Role::Participant)
    }

    fn mint(&self, minter: &Minter, room: &RoomKey, role: Role) -> Result<String, SignerError> {
        let user = Identity {
            subject: SUBJECT.to_owned(),
            name: Some(NAME.to_owned()),
            ..Identity::default()
        };
        // The lifetime of the gateway's own tokens, so that the same clock differences matter.
        let token = minter.mint_as(room, role, &user, self.settings.lifetime)?;
        Ok(token.into_text_for_operator())
    }
}

const UNKNOWN: &str = "gateway-doctor-stranger";

const SUBJECT: &str = "gateway-doctor";

const NAME: &str = "Gateway doctor";

/// More than small clock differences.
const EXPIRED_BEFORE: Duration = Duration::from_hours(1);
