//! The token that Prosody accepts: minted for one connection, never shown to anybody else.

use std::{collections::BTreeMap, time::Duration};

use http::HeaderValue;
use serde::Serialize;

use super::{SignerError, TokenSettings, signer::Signer};
use crate::{
    clock::Clock,
    identity::Identity,
    policy::{Features, Grant, Role},
    room::RoomKey,
};

/// Mints backend tokens.
pub struct Minter {
    signer: Signer,
    clock: Clock,
    issuer: String,
    audience: String,
    subject: String,
    lifetime: Duration,
}

/// A token that Prosody accepts. It can become an `Authorization` header and nothing else.
pub struct BackendToken(String);

/// What tokens say of a person: bounded, and without anything that `null` could stand for.
#[derive(Clone, Debug, Serialize)]
pub struct ContextUser<'i> {
    id: &'i str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'i str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'i str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar: Option<&'i str>,
    moderator: bool,
    /// What Prosody's `token_affiliation` makes of the person: `owner` or `member`.
    affiliation: &'static str,
}

/// The claims in the form that Prosody's plugin checks: `aud` a text, times numbers, `iss`, `sub`
/// and `room` always there, never a `null` (it would hang the plugin), no `features` unless the
/// rules name some (with any, the server stops offering moderators the default ones).
#[derive(Serialize)]
struct Claims<'c> {
    iss: &'c str,
    aud: &'c str,
    sub: &'c str,
    room: &'c str,
    iat: u64,
    nbf: u64,
    exp: u64,
    context: Context<'c>,
}

#[derive(Serialize)]
pub(super) struct Context<'c> {
    pub(super) user: ContextUser<'c>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) features: Option<BTreeMap<&'c str, bool>>,
}

// === impl Minter ===

impl Minter {
    /// A minter with the settings' newest key.
    pub fn new(settings: &TokenSettings, clock: Clock) -> Result<Self, SignerError> {
        Ok(Self {
            signer: Signer::new(&settings.signing)?,
            clock,
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            subject: settings.subject.clone(),
            lifetime: settings.lifetime,
        })
    }

    /// Mints the token for one connection of one person to one room.
    pub fn mint(
        &self,
        room: &RoomKey,
        grant: &Grant<'_>,
        who: &Identity,
    ) -> Result<BackendToken, SignerError> {
        self.sign(
            room,
            Context::new(who, grant.role(), grant.features()),
            self.lifetime,
        )
    }

    /// Mints a token for a test that an operator makes by hand: the role is given, not decided.
    pub fn mint_as(
        &self,
        room: &RoomKey,
        role: Role,
        who: &Identity,
        lifetime: Duration,
    ) -> Result<BackendToken, SignerError> {
        self.sign(
            room,
            Context::new(who, role, &Features::default()),
            lifetime,
        )
    }

    fn sign(
        &self,
        room: &RoomKey,
        context: Context<'_>,
        lifetime: Duration,
    ) -> Result<BackendToken, SignerError> {
        let now = self.clock.now();
        let claims = Claims {
            iss: &self.issuer,
            aud: &self.audience,
            sub: room
                .tenant()
                .map_or(self.subject.as_str(), |tenant| tenant.as_str()),
            room: room.node(),
            iat: now.as_unix(),
            nbf: now.before(CLOCK_TOLERANCE).as_unix(),
            exp: now.after(lifetime).as_unix(),
            context,
        };
        self.signer.sign(&claims).map(BackendToken)
    }
}

impl std::fmt::Debug for Minter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Minter")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

// === impl BackendToken ===

impl BackendToken {
    /// The value of the `Authorization` header for Prosody.
    ///
    /// # Panics
    ///
    /// Never: a JWT is base64url and dots.
    pub fn authorization(&self) -> HeaderValue {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0))
            .expect("a JWT has only characters that headers can carry");
        value.set_sensitive(true);
        value
    }

    /// Hands the text to the operator who asked for it on the command line.
    pub fn into_text_for_operator(self) -> String {
        self.0
    }
}

impl std::fmt::Debug for BackendToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BackendToken")
    }
}

// === impl Context ===

impl<'c> Context<'c> {
    /// What a token says of somebody in a room.
    pub(super) fn new(who: &'c Identity, role: Role, features: &'c Features) -> Self {
        Self {
            user: ContextUser::new(who, role),
            features: (!features.is_empty()).then(|| features.of(role).collect()),
        }
    }
}

// === impl ContextUser ===

impl<'i> ContextUser<'i> {
    /// The person in a role.
    pub fn new(who: &'i Identity, role: Role) -> Self {
        let moderator = role == Role::Moderator;
        Self {
            id: &who.subject,
            name: who.display_name(),
            email: who.email.as_deref(),
            avatar: who.avatar.as_deref(),
            moderator,
            affiliation: if moderator { "owner" } else { "member" },
        }
    }
}

/// Prosody's plugin has no leeway, so `nbf` allows for its clock being this much behind ours.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        clock::Timestamp,
        policy::{Admission, Condition, EntryRule, Glob, Policy, Rule, Situation, Visitor},
        token::SigningSettings,
    };

    fn part(token: &BackendToken, index: usize) -> Value {
        let part = token.0.split('.').nth(index).unwrap();
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    fn mint(room: &RoomKey, who: &Identity) -> BackendToken {
        let settings = TokenSettings {
            issuer: "gateway".to_owned(),
            audience: "jitsi".to_owned(),
            subject: "meet.jitsi".to_owned(),
            lifetime: Duration::from_mins(2),
            signing: SigningSettings::Secret {
                algorithm: jsonwebtoken::Algorithm::HS256,
                secret: "0123456789abcdef0123456789abcdef".to_owned().into(),
            },
        };
        let (clock, _) = Clock::manual(Timestamp::from_unix(1_000_000));
        let policy = Policy::new(vec![Rule {
            moderators: vec!["group:staff".parse().unwrap()],
            ..Rule::new(Glob::folded("*"), EntryRule::Where(vec![Condition::Member]))
        }]);
        let Admission::Admit(grant) =
            policy.decide(room, Some(&Visitor::member(who)), &Situation::default())
        else {
            unreachable!()
        };
        Minter::new(&settings, clock)
            .unwrap()
            .mint(room, &grant, who)
            .unwrap()
    }

    #[test]
    fn the_form_is_what_prosody_checks() {
        let who = Identity {
            subject: "42".to_owned(),
            name: Some("Zoë \"Z\" \u{1f389}".to_owned()),
            email: Some("zoe@example.org".to_owned()),
            groups: vec!["staff".to_owned()],
            ..Identity::default()
        };
        let room = RoomKey::from_page(None, "Caf%C3%A9").unwrap().key;
        let token = mint(&room, &who);
        assert_eq!(part(&token, 0), json!({"typ": "JWT", "alg": "HS256"}));
        assert_eq!(
            part(&token, 1),
            json!({
                "iss": "gateway", "aud": "jitsi", "sub": "meet.jitsi", "room": "caf%c3%a9",
                "iat": 1_000_000, "nbf": 999_940, "exp": 1_000_120,
                "context": {"user": {
                    "id": "42", "name": "Zoë \"Z\" \u{1f389}", "email": "zoe@example.org",
                    "moderator": true, "affiliation": "owner",
                }},
            })
        );
        assert!(token.authorization().is_sensitive());
        assert_eq!(format!("{token:?}"), "BackendToken");
    }

    #[test]
    fn a_tenant_is_the_subject_and_nothing_is_null() {
        let who = Identity {
            subject: "7".to_owned(),
            ..Identity::default()
        };
        let room = RoomKey::from_page(Some("Acme"), "x").unwrap().key;
        let claims = part(&mint(&room, &who), 1);
        assert_eq!(claims["sub"], "acme");
        assert_eq!(claims["room"], "x");
        assert!(!claims.to_string().contains("null"));
        assert_eq!(claims["context"]["user"]["affiliation"], "member");
        assert_eq!(claims["context"]["user"]["moderator"], false);
        assert_eq!(claims["context"]["user"]["name"], "7");
    }

    #[test]
    fn nobody_in_particular_has_no_name() {
        let who = Identity {
            subject: "guest:Vc1PiQWwnhrl".to_owned(),
            ..Identity::default()
        };
        let user = serde_json::to_value(ContextUser::new(&who, Role::Participant)).unwrap();
        assert!(user.get("name").is_none(), "{user}");
    }
}
