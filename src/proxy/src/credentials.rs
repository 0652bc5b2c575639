//! Tokens that a client brings along: in the address of a page, or of its connection.
//!
//! A client token of ours stands for a sealed session; an integration's token vouches for a person.
//! Either counts in one room, and only there where it is looked for: nothing else of what a client
//! says about itself is believed.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::digest;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, header};

use crate::{RequestContext, RequestError, Worker, audit};
use cluster::store::Remembered;
use model::{
    integration::EmbedError,
    room::RoomKey,
    session::{CookieJar, Session, SessionId},
    token::{ClientTokenError, ClientTokenKind, DisplayToken, Presented},
};

/// What a token is brought along for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// A page, or a new connection.
    Connect,
    /// A connection that takes up an earlier one (XEP-0198 § 5).
    Resume,
    /// A request within a BOSH session, whose id is bound to its owner.
    Poll,
}

// === impl Worker ===

impl Worker {
    /// The pass to a room that a brought token stands for; none if it is no more than a display
    /// token, which everybody has.
    pub(crate) async fn presented(
        &self,
        token: &str,
        room: &RoomKey,
        intent: Intent,
        headers: &HeaderMap,
        context: &RequestContext,
    ) -> Result<Option<Session>, RequestError> {
        if DisplayToken::is_one(token) {
            return Ok(None);
        }
        match self.state.client_tokens.recognize(token) {
            Ok(presented) => self
                .client_session(presented, room, intent, headers, context)
                .await
                .map(Some),
            Err(ClientTokenError::Foreign) => self.vouched(token, room, intent, context),
            Err(error) => Err(RequestError::ClientToken(error)),
        }
    }

    /// The pass that somebody got for this token when they brought it first: an address with it may
    /// be loaded again when the token has been used, or its time is over.
    pub(crate) fn pass_for(
        &self,
        token: &str,
        room: &RoomKey,
        headers: &HeaderMap,
    ) -> Option<Session> {
        let state = &self.state;
        let pass = state.passes.find(room, CookieJar::new(headers))?;
        let same = match state.client_tokens.recognize(token) {
            Ok(presented) => pass.id() == presented.session.id(),
            Err(_) => *pass.id() == id_of(token),
        };
        (same && self.is_valid(&pass)).then_some(pass)
    }

    async fn client_session(
        &self,
        presented: Presented,
        room: &RoomKey,
        intent: Intent,
        headers: &HeaderMap,
        context: &RequestContext,
    ) -> Result<Session, RequestError> {
        if presented.room != *room {
            return Err(RequestError::Embed(EmbedError::OtherRoom));
        }
        let state = &self.state;
        let session = &presented.session;
        let left = state
            .sessions
            .ends_at_latest(session)
            .since(state.clock.now());
        if left.is_zero() || !self.is_valid(session) {
            return Err(RequestError::SignInFirst);
        }
        let in_time = presented.is_good_at(state.clock.now());
        match (presented.kind, intent) {
            // Its BOSH session was begun with it in time.
            (_, Intent::Poll) => {}
            (ClientTokenKind::Embed, _) => in_time?,
            (ClientTokenKind::Handoff, Intent::Connect) => {
                in_time?;
                self.use_once(&presented, left, false, headers, context)
                    .await?;
            }
            (ClientTokenKind::Handoff, Intent::Resume) => {
                self.use_once(&presented, left, true, headers, context)
                    .await?;
            }
        }
        // Whoever has the token has this one room: a session for all must not come back as a
        // cookie with some answer.
        let ends = state.sessions.ends_at_latest(&presented.session);
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
        context: &RequestContext,
    ) -> Result<(), RequestError> {
        let agent = headers
            .get(header::USER_AGENT)
            .map_or(&b""[..], |agent| agent.as_bytes());
        let user = hash(&[context.client.to_string().as_bytes(), agent]);
        let key = format!("handoff:{}", presented.id);
        let value = serde_json::json!({ "v": 1, "user": user }).to_string();
        let store = Arc::clone(&self.state.store);
        let claimed = value.clone();
        let claiming = self
            .state
            .control
            .spawn(async move { store.remember(&key, &claimed, left).await });
        let outcome = claiming
            .await
            .map_err(|_| RequestError::Internal("a claim was abandoned"))??;
        match outcome {
            // A resumption of what never was: the first use is lost, or on another replica without
            // a shared store. The token's own time decides.
            Remembered::New => Ok(presented.is_good_at(self.state.clock.now())?),
            Remembered::Before(before) if resumes && before == value => Ok(()),
            Remembered::Before(_) => Err(RequestError::UsedToken),
        }
    }

    /// Whom an integration's token vouches for. Where no integration is configured such tokens mean
    /// nothing, as before one was.
    fn vouched(
        &self,
        token: &str,
        room: &RoomKey,
        intent: Intent,
        context: &RequestContext,
    ) -> Result<Option<Session>, RequestError> {
        let rules = self.rules();
        if rules.integrations.is_empty() {
            return Ok(None);
        }
        let state = &self.state;
        let now = state.clock.now();
        let vouched = match intent {
            // Its BOSH session was begun with it in time.
            Intent::Poll => rules.integrations.verify_again(token, room)?,
            Intent::Connect | Intent::Resume => rules.integrations.verify(token, room, now)?,
        };
        let ends = now.after(state.guests.lifetime);
        let pass = state.passes.issue(
            room,
            vouched.standing,
            vouched.identity,
            ends,
            &state.random,
        );
        // One token is one person in the room, however often it is shown.
        let pass = pass.named(id_of(token));
        if state.revocations.contains(&pass) {
            return Err(RequestError::SignInFirst);
        }
        // Each poll of an app shows it again.
        if intent != Intent::Poll {
            audit::vouched(&pass, room, vouched.integration, context);
        }
        Ok(Some(pass))
    }
}

/// What a person is known by whom an integration's token vouches for.
fn id_of(token: &str) -> SessionId {
    SessionId::from(hash(&[token.as_bytes()]).as_str())
}

/// A short stand-in for texts that must not be told.
pub(crate) fn hash(parts: &[&[u8]]) -> String {
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
