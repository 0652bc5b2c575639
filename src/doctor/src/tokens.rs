//! Good tokens and bad ones, for test rooms with random names.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use model::{
    clock::Clock,
    identity::Identity,
    policy::Role,
    random::Random,
    room::RoomKey,
    token::{Minter, SignerError, SigningSettings, TokenSettings},
};

/// Makes the tokens of one examination.
pub(super) struct Tokens {
    settings: TokenSettings,
    minter: Minter,
    clock: Clock,
    random: Random,
}

// === impl Tokens ===

impl Tokens {
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

    /// A room that nobody else is in.
    pub(super) fn room(&self) -> RoomKey {
        let name = format!(
            "gateway-doctor-{:016x}",
            u64::from_be_bytes(self.random.bytes())
        );
        RoomKey::from_text(&name).expect("letters, digits and dashes name a room")
    }

    /// A good token.
    pub(super) fn good(&self, room: &RoomKey, role: Role) -> Result<String, SignerError> {
        self.with(&self.minter, room, role)
    }

    /// A token of another issuer, otherwise good.
    pub(super) fn of_other_issuer(&self, room: &RoomKey) -> Result<String, SignerError> {
        self.changed(room, |settings| {
            settings.issuer = format!("{STRANGER}-issuer");
        })
    }

    /// A token for another audience, otherwise good.
    pub(super) fn for_other_audience(&self, room: &RoomKey) -> Result<String, SignerError> {
        self.changed(room, |settings| {
            settings.audience = format!("{STRANGER}-audience");
        })
    }

    /// A token by another key.
    pub(super) fn by_other_key(&self, room: &RoomKey) -> Result<String, SignerError> {
        match &self.settings.signing {
            SigningSettings::Secret { .. } => self.changed(room, |settings| {
                if let SigningSettings::Secret { secret, .. } = &mut settings.signing {
                    *secret = self.random.text::<64>().into();
                }
            }),
            // The signature is turned around: no other RSA key has to be made for that.
            SigningSettings::Keys { .. } => {
                let good = self.good(room, Role::Participant)?;
                let (message, signature) = good.rsplit_once('.').unwrap_or_default();
                let turned: String = signature.chars().rev().collect();
                Ok(format!("{message}.{turned}"))
            }
        }
    }

    /// A token that was good until a minute ago, by the right key.
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

    /// A token that says that it needs no signature, and has something in its place.
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

    fn changed(
        &self,
        room: &RoomKey,
        change: impl FnOnce(&mut TokenSettings),
    ) -> Result<String, SignerError> {
        let mut settings = self.settings.clone();
        change(&mut settings);
        let minter = Minter::new(&settings, self.clock.clone())?;
        self.with(&minter, room, Role::Participant)
    }

    fn with(&self, minter: &Minter, room: &RoomKey, role: Role) -> Result<String, SignerError> {
        let who = Identity {
            subject: SUBJECT.to_owned(),
            name: Some(NAME.to_owned()),
            ..Identity::default()
        };
        // As short as operations make it: what is tested is what people get.
        let token = minter.mint_as(room, role, &who, self.settings.lifetime)?;
        Ok(token.into_text_for_operator())
    }
}

const STRANGER: &str = "gateway-doctor-stranger";

const SUBJECT: &str = "gateway-doctor";

const NAME: &str = "Gateway doctor";

/// Beyond any clock that is only a little off.
const EXPIRED_BEFORE: Duration = Duration::from_hours(1);
