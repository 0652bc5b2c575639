//! Tokens that a client brings along: in the address of a page, or of its connection.
//!
//! A client token of ours stands for a sealed session; an integration's token vouches for a person.
//! Either counts in one room, and only there where it is looked for: nothing else of what a client
//! says about itself is believed.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::digest;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, header};

use super::{Facts, Failure, Worker, audit};
use cluster::store::PutOutcome;
use model::{
    integration::EmbedError,
    room::RoomKey,
    session::{CookieJar, Session, SessionId},
    token::{ClientTokenError, ClientTokenKind, DisplayToken, Presented},
};

/// What a token is brought along for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// A page, or a new connection.
    Entering,
    /// A connection that takes up an earlier one (XEP-0198 § 5).
    Resuming,
    /// A request within a BOSH session, whose id is bound to its owner.
    Polling,
}

// === impl Worker ===

impl Worker {
    /// The pass to a room that a brought token stands for; none if it is no more than a display
    /// token, which everybody has.
    pub(super) async fn presented(
        &self,
        token: &str,
        room: &RoomKey,
        occasion: Occasion,
        headers: &HeaderMap,
        facts: &Facts,
    ) -> Result<Option<Session>, Failure> {
        if DisplayToken::is_one(token) {
            return Ok(None);
        }
        match self.gateway.client_tokens.recognize(token) {
            Ok(presented) => self
                .client_session(presented, room, occasion, headers, facts)
                .await
                .map(Some),
            Err(ClientTokenError::Foreign) => self.vouched(token, room, occasion, facts),
            Err(error) => Err(Failure::ClientToken(error)),
        }
    }

    /// The pass that somebody got for this token when they brought it first: an address with it may
    /// be loaded again when the token has been used, or its time is over.
    pub(super) fn pass_for(
        &self,
        token: &str,
        room: &RoomKey,
        headers: &HeaderMap,
    ) -> Option<Session> {
        let gateway = &self.gateway;
        let pass = gateway.passes.find(room, CookieJar::new(headers))?;
        let same = match gateway.client_tokens.recognize(token) {
            Ok(presented) => pass.id() == presented.session.id(),
            Err(_) => *pass.id() == id_of(token),
        };
        (same && self.counts(&pass)).then_some(pass)
    }

    async fn client_session(
        &self,
        presented: Presented,
        room: &RoomKey,
        occasion: Occasion,
        headers: &HeaderMap,
        facts: &Facts,
    ) -> Result<Session, Failure> {
        if presented.room != *room {
            return Err(Failure::Embed(EmbedError::OtherRoom));
        }
        let gateway = &self.gateway;
        let session = &presented.session;
        let left = gateway
            .sessions
            .ends_at_latest(session)
            .since(gateway.clock.now());
        if left.is_zero() || !self.counts(session) {
            return Err(Failure::SignInFirst);
        }
        let in_time = presented.is_good_at(gateway.clock.now());
        match (presented.kind, occasion) {
            // Its BOSH session was begun with it in time.
            (_, Occasion::Polling) => {}
            (ClientTokenKind::Embed, _) => in_time?,
            (ClientTokenKind::Handoff, Occasion::Entering) => {
                in_time?;
                self.use_once(&presented, left, false, headers, facts)
                    .await?;
            }
            (ClientTokenKind::Handoff, Occasion::Resuming) => {
                self.use_once(&presented, left, true, headers, facts)
                    .await?;
            }
        }
        // Whoever has the token has this one room: a session for all must not come back as a
        // cookie with some answer.
        let ends = gateway.sessions.ends_at_latest(&presented.session);
        Ok(presented.session.only_in(room, ends))
    }

    /// Uses up a handoff token. Whoever used it may come back with it after a break of their
    /// connection, which the same address and program vouch for.
    async fn use_once(
        &self,
        presented: &Presented,
        left: Duration,
        resumes: bool,
        headers: &HeaderMap,
        facts: &Facts,
    ) -> Result<(), Failure> {
        let agent = headers
            .get(header::USER_AGENT)
            .map_or(&b""[..], |agent| agent.as_bytes());
        let user = hash(&[facts.client.to_string().as_bytes(), agent]);
        let key = format!("handoff:{}", presented.id);
        let value = serde_json::json!({ "v": 1, "user": user }).to_string();
        let store = Arc::clone(&self.gateway.store);
        let claimed = value.clone();
        let claiming = self
            .gateway
            .control
            .spawn(async move { store.put_if_absent(&key, &claimed, left).await });
        let outcome = claiming
            .await
            .map_err(|_| Failure::Internal("a claim was abandoned"))??;
        match outcome {
            // A resumption of what never was: the first use is lost, or on another replica without
            // a shared store. The token's own time decides.
            PutOutcome::Stored => Ok(presented.is_good_at(self.gateway.clock.now())?),
            PutOutcome::Existing(before) if resumes && before == value => Ok(()),
            PutOutcome::Existing(_) => Err(Failure::UsedToken),
        }
    }

    /// Whom an integration's token vouches for. Where no integration is configured such tokens mean
    /// nothing, as before one was.
    fn vouched(
        &self,
        token: &str,
        room: &RoomKey,
        occasion: Occasion,
        facts: &Facts,
    ) -> Result<Option<Session>, Failure> {
        let rules = self.rules();
        if rules.integrations.is_empty() {
            return Ok(None);
        }
        let gateway = &self.gateway;
        let now = gateway.clock.now();
        let vouched = match occasion {
            // Its BOSH session was begun with it in time.
            Occasion::Polling => rules.integrations.verify_again(token, room)?,
            Occasion::Entering | Occasion::Resuming => {
                rules.integrations.verify(token, room, now)?
            }
        };
        let ends = now.after(gateway.guests.lifetime);
        let pass = gateway.passes.issue(
            room,
            vouched.standing,
            vouched.identity,
            ends,
            &gateway.random,
        );
        // One token is one person in the room, however often it is shown.
        let pass = pass.named(id_of(token));
        if gateway.revocations.contains(&pass) {
            return Err(Failure::SignInFirst);
        }
        // Each poll of an app shows it again.
        if occasion != Occasion::Polling {
            audit::vouched(&pass, room, vouched.integration, facts);
        }
        Ok(Some(pass))
    }
}

/// What a person is known by whom an integration's token vouches for.
fn id_of(token: &str) -> SessionId {
    SessionId::from(hash(&[token.as_bytes()]).as_str())
}

/// A short stand-in for texts that must not be told.
pub(super) fn hash(parts: &[&[u8]]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let hash = context.finish();
    BASE64_URL_SAFE_NO_PAD.encode(hash.as_ref().get(..HASH_BYTES).unwrap_or_default())
}

/// Nobody finds two texts with the same 128 bits.
const HASH_BYTES: usize = 16;
