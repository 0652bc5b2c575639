//! Backend tokens: accepted by Prosody, minted for one upstream connection and never sent to a
//! client.

use std::{collections::BTreeMap, time::Duration};

use http::HeaderValue;
use serde::Serialize;

use super::{PersonalClaims, SignerError, TokenSettings, signer::Signer};
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
    claims: PersonalClaims,
}

/// A token that Prosody accepts. No `Display`, no `Serialize`: it becomes an `Authorization` header.
pub struct BackendToken(String);

/// The `context.user` claim. Absent values are left out: a `null` can hang Prosody's plugin.
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
    /// The MUC affiliation that Prosody's `token_affiliation` sets: `owner` or `member`.
    affiliation: &'static str,
    /// `true` for a moderator, absent otherwise: in a room with a lobby `token_affiliation` skips people
    /// without an affiliation, and `token_lobby_bypass` admits the holder of this claim, who opens the lobby.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    lobby_bypass: bool,
}

/// The claims in the form that Prosody's plugin checks: `aud` is a string, times are numbers, `iss`,
/// `sub` and `room` are always present, nothing is `null`. `context.features` is absent unless the
/// rule names some: with any, Prosody stops granting moderators the default features.
#[derive(Serialize)]
struct Claims<'c> {
    iss: &'c str,
    aud: &'c str,
    sub: &'c str,
    room: &'c str,
    iat: u64,
    nbf: u64,
    exp: u64,
    context: TokenContext<'c>,
}

#[derive(Serialize)]
pub(super) struct TokenContext<'c> {
    pub(super) user: ContextUser<'c>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) features: Option<BTreeMap<&'c str, bool>>,
}

// === impl Minter ===

impl Minter {
    /// Creates a minter that signs with the newest key.
    ///
    /// # Errors
    ///
    /// [`SignerError`], for an unusable key.
    pub fn new(settings: &TokenSettings, clock: Clock) -> Result<Self, SignerError> {
        Ok(Self {
            signer: Signer::new(&settings.signing)?,
            clock,
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            subject: settings.subject.clone(),
            lifetime: settings.lifetime,
            claims: settings.claims,
        })
    }

    /// Mints the token for one connection of one visitor to one room.
    ///
    /// # Errors
    ///
    /// [`SignerError::Sign`].
    pub fn mint(
        &self,
        room: &RoomKey,
        grant: &Grant<'_>,
        who: &Identity,
    ) -> Result<BackendToken, SignerError> {
        self.sign(
            room,
            TokenContext::new(who, grant.role(), grant.features(), self.claims),
            self.lifetime,
        )
    }

    /// Mints a token for an operator's test, with a given role instead of a policy's grant.
    ///
    /// # Errors
    ///
    /// [`SignerError::Sign`].
    pub fn mint_as(
        &self,
        room: &RoomKey,
        role: Role,
        who: &Identity,
        lifetime: Duration,
    ) -> Result<BackendToken, SignerError> {
        self.sign(
            room,
            TokenContext::new(who, role, &Features::default(), self.claims),
            lifetime,
        )
    }

    fn sign(
        &self,
        room: &RoomKey,
        context: TokenContext<'_>,
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
    /// The value of the `Authorization` header for Prosody; marked as sensitive.
    pub fn authorization(&self) -> HeaderValue {
        // Infallible: a JWT is base64url and dots.
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0))
            .expect("a JWT has only characters that headers can carry");
        value.set_sensitive(true);
        value
    }

    /// The text, for the command line's output.
    pub fn into_text_for_operator(self) -> String {
        self.0
    }
}

impl std::fmt::Debug for BackendToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BackendToken")
    }
}

// === impl TokenContext ===

impl<'c> TokenContext<'c> {
    /// Creates the context of a visitor in a role.
    pub(super) fn new(
        who: &'c Identity,
        role: Role,
        features: &'c Features,
        claims: PersonalClaims,
    ) -> Self {
        Self {
            user: ContextUser::new(who, role, claims),
            features: (!features.is_empty()).then(|| features.of(role).collect()),
        }
    }
}

// === impl ContextUser ===

impl<'i> ContextUser<'i> {
    /// Creates the claim for a role.
    pub fn new(who: &'i Identity, role: Role, claims: PersonalClaims) -> Self {
        let moderator = role == Role::Moderator;
        Self {
            id: &who.subject,
            name: who.display_name().filter(|_| claims.name),
            email: who.email.as_deref().filter(|_| claims.email),
            avatar: who.avatar.as_deref().filter(|_| claims.avatar),
            moderator,
            affiliation: if moderator { "owner" } else { "member" },
            lobby_bypass: moderator,
        }
    }
}

/// Prosody's plugin has no leeway: `nbf` allows for a Prosody whose clock is this much behind.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        clock::Timestamp,
        policy::{Admission, Condition, EntryRule, Glob, Policy, Requester, Rule, Situation},
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
            claims: PersonalClaims::ALL,
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
            policy.decide(room, Some(&Requester::member(who)), &Situation::default())
        else {
            unreachable!()
        };
        Minter::new(&settings, clock)
            .unwrap()
            .mint(room, &grant, who)
            .unwrap()
    }

    #[test]
    fn a_person_is_known_by_the_claims_that_are_sent() {
        let who = Identity {
            subject: "42".to_owned(),
            name: Some("Zoë".to_owned()),
            email: Some("zoe@example.org".to_owned()),
            avatar: Some("https://example.org/zoe.png".to_owned()),
            ..Identity::default()
        };
        let all = [
            ("name", "Zoë"),
            ("email", "zoe@example.org"),
            ("avatar", "https://example.org/zoe.png"),
        ];
        for bits in 0..8 {
            let has = |at: usize| bits >> at & 1 == 1;
            let claims = PersonalClaims {
                name: has(0),
                email: has(1),
                avatar: has(2),
            };
            let user = ContextUser::new(&who, Role::Participant, claims);
            let user = serde_json::to_value(user).unwrap();
            assert_eq!(user["id"], "42");
            for (at, (claim, value)) in all.into_iter().enumerate() {
                let expected = has(at).then_some(value);
                let sent = user.get(claim).and_then(Value::as_str);
                assert_eq!(sent, expected, "{claims:?}");
            }
        }
    }

    #[test]
    fn claims_have_the_form_that_prosody_checks() {
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
                    "moderator": true, "affiliation": "owner", "lobby_bypass": true,
                }},
            })
        );
        assert!(token.authorization().is_sensitive());
        assert_eq!(format!("{token:?}"), "BackendToken");
    }

    #[test]
    fn the_tenant_is_the_subject_and_no_claim_is_null() {
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
        assert!(
            claims["context"]["user"].get("lobby_bypass").is_none(),
            "a participant waits in the lobby"
        );
        assert_eq!(claims["context"]["user"]["name"], "7");
    }

    #[test]
    fn a_guest_without_a_name_has_no_name_claim() {
        let who = Identity {
            subject: "guest:Vc1PiQWwnhrl".to_owned(),
            ..Identity::default()
        };
        let user = serde_json::to_value(ContextUser::new(
            &who,
            Role::Participant,
            PersonalClaims::ALL,
        ))
        .unwrap();
        assert!(user.get("name").is_none(), "{user}");
    }
}
