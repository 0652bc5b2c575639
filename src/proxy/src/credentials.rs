//! Tokens that a client carries in an address: of a page, or of its connection.
//!
//! A client token of the gateway stands for a sealed pass; an integration's token vouches for a
//! person. Either is valid in one room, and only where it is looked for: nothing else that a client
//! states about itself is used.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, header};

use cluster::store::PutOutcome;
use model::{
    integration::EmbedError,
    room::RoomKey,
    session::{Pass, SessionId},
    token::{ClientTokenError, ClientTokenKind, DisplayToken, OpenedClientToken},
};

use crate::{RequestContext, RequestError, Worker, audit};

/// What a request wants of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// A page, or a new connection.
    Connect,
    /// A connection that resumes an earlier stream (XEP-0198 § 5).
    Resume,
    /// A request within a BOSH session, whose id is bound to its owner.
    Poll,
}

/// Why a token does not stand for a pass.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialError {
    /// Another system's token was refused.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// A client token of the gateway was refused.
    #[error(transparent)]
    ClientToken(#[from] ClientTokenError),
    /// A handoff token was used before.
    #[error("the token was used before")]
    Used,
    /// The session that the token stands for has ended or is revoked.
    #[error("this needs somebody who signed in")]
    Over,
}

// === impl CredentialError ===

impl CredentialError {
    /// The word for logs, if it is the token itself that is refused.
    pub(crate) fn token_reason(&self) -> Option<&'static str> {
        match self {
            Self::Embed(error) => Some(error.as_str()),
            Self::ClientToken(error) => Some(error.as_str()),
            Self::Used => Some("token_used"),
            Self::Over => None,
        }
    }
}

// === impl Worker ===

impl Worker {
    /// The pass that a token stands for; none for a display token, which proves nothing.
    pub(crate) async fn pass_of_token(
        &self,
        token: &str,
        room: &RoomKey,
        intent: Intent,
        headers: &HeaderMap,
        context: &RequestContext,
    ) -> Result<Option<Pass>, RequestError> {
        if DisplayToken::is_one(token) {
            return Ok(None);
        }
        match self.state.client_tokens.open(token) {
            Ok(presented) => self
                .pass_of_client_token(presented, room, intent, headers, context)
                .await
                .map(Some),
            Err(ClientTokenError::Foreign) => {
                self.pass_of_integration(token, room, intent, context)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The pass that this browser got when it showed the token first: its address can be loaded again
    /// after the token has been used or has expired.
    pub(crate) fn pass_from_earlier_use(
        &self,
        token: &str,
        room: &RoomKey,
        headers: &HeaderMap,
    ) -> Option<Pass> {
        let state = &self.state;
        let rules = self.rules();
        let pass = state
            .authenticator
            .pass(headers, room, &rules.integrations)?;
        let same = match state.client_tokens.open(token) {
            Ok(presented) => pass.id() == presented.pass.id(),
            Err(_) => *pass.id() == id_of(token),
        };
        same.then_some(pass)
    }

    async fn pass_of_client_token(
        &self,
        presented: OpenedClientToken,
        room: &RoomKey,
        intent: Intent,
        headers: &HeaderMap,
        context: &RequestContext,
    ) -> Result<Pass, RequestError> {
        let pass = &presented.pass;
        if pass.room() != room {
            return Err(EmbedError::OtherRoom.into());
        }
        let (state, now) = (&self.state, self.state.clock.now());
        let authenticator = &state.authenticator;
        let left = authenticator.sessions.latest_end_of_pass(pass).since(now);
        let rules = self.rules();
        if left.is_zero() || !authenticator.is_valid_pass(pass, &rules.integrations) {
            return Err(CredentialError::Over.into());
        }
        let in_time = presented.check_time(now);
        match (presented.kind, intent) {
            // The BOSH session began with the token in time.
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
        Ok(presented.pass)
    }

    /// Uses up a handoff token. A client that resumes shows it again, from the same address and with
    /// the same `User-Agent`.
    async fn use_once(
        &self,
        presented: &OpenedClientToken,
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
        let claiming = self.state.store.put_if_absent(key, value.clone(), left);
        let outcome = claiming.await?;
        match outcome {
            // The first use is not in the store: it was lost, or made at a replica without a shared
            // store. The token's own time decides.
            PutOutcome::Stored => Ok(presented.check_time(self.state.clock.now())?),
            PutOutcome::Existing(before) if resumes && before == value => Ok(()),
            PutOutcome::Existing(_) => Err(CredentialError::Used.into()),
        }
    }

    /// The pass of the person that an integration's token vouches for. Without configured
    /// integrations such tokens are ignored.
    fn pass_of_integration(
        &self,
        token: &str,
        room: &RoomKey,
        intent: Intent,
        context: &RequestContext,
    ) -> Result<Option<Pass>, RequestError> {
        let rules = self.rules();
        if rules.integrations.is_empty() {
            return Ok(None);
        }
        let state = &self.state;
        let now = state.clock.now();
        let vouched = match intent {
            // The BOSH session began with the token in time.
            Intent::Poll => rules.integrations.verify_untimed(token, room)?,
            Intent::Connect | Intent::Resume => rules.integrations.verify(token, room, now)?,
        };
        let validity = now..now.after(state.guests.lifetime);
        let pass = Pass::issue(
            room,
            vouched.standing,
            vouched.identity,
            validity,
            &state.random,
        );
        // One token is one person in the room, however often it is shown.
        let pass = pass.named(id_of(token));
        if !state
            .authenticator
            .is_valid_pass(&pass, &rules.integrations)
        {
            return Err(CredentialError::Over.into());
        }
        // Each poll of an app shows it again.
        if intent != Intent::Poll {
            audit::vouched(&pass, room, vouched.integration, context);
        }
        Ok(Some(pass))
    }
}

/// The id of a pass that an integration's token vouches for.
fn id_of(token: &str) -> SessionId {
    SessionId::from(hash(&[token.as_bytes()]).as_str())
}

/// A short digest of texts that must not be disclosed.
pub(crate) fn hash(parts: &[&[u8]]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let hash = context.finish();
    BASE64_URL_SAFE_NO_PAD.encode(hash.as_ref().get(..HASH_BYTES).unwrap_or_default())
}

/// 128 bits: collisions cannot be found.
const HASH_BYTES: usize = 16;
