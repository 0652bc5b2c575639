//! Tokens that a client carries in an address: of a page, or of its connection.
//!
//! A client token of the gateway stands for a sealed pass; an integration's token vouches for a
//! person. Either is valid in one room, and only where it is looked for: nothing else that a client
//! states about itself is used.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::digest;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, header};

use cluster::store::PutOutcome;
use model::{
    clock::Clock,
    integration::{EmbedError, Integrations},
    room::RoomKey,
    session::{Pass, SessionId},
    token::{ClientTokenError, ClientTokenKind, ClientTokens, DisplayToken, OpenedClientToken},
};

use crate::{
    RequestContext, RequestError, audit, authenticate::Authenticator, passes::PassIssuer,
    store_client::StoreClient,
};

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

/// A token in the address of a request.
#[derive(Clone, Copy)]
pub(crate) struct PresentedToken<'r> {
    pub(crate) token: &'r str,
    /// The room of the address.
    pub(crate) room: &'r RoomKey,
    pub(crate) intent: Intent,
    pub(crate) headers: &'r HeaderMap,
    pub(crate) context: &'r RequestContext,
}

/// Exchanges tokens in addresses for passes.
pub(crate) struct TokenExchange {
    pub(crate) client_tokens: Arc<ClientTokens>,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) passes: PassIssuer,
    /// Remembers which handoff tokens were used.
    pub(crate) store: StoreClient,
    pub(crate) clock: Clock,
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

// === impl TokenExchange ===

impl TokenExchange {
    /// The pass that a token stands for; none for a display token, which proves nothing.
    pub(crate) async fn pass(
        &self,
        presented: &PresentedToken<'_>,
        integrations: &Integrations,
    ) -> Result<Option<Pass>, RequestError> {
        if DisplayToken::is_one(presented.token) {
            return Ok(None);
        }
        match self.client_tokens.open(presented.token) {
            Ok(opened) => {
                let pass = self.pass_of_client_token(presented, opened, integrations);
                pass.await.map(Some)
            }
            Err(ClientTokenError::Foreign) => {
                Ok(self.pass_of_integration(presented, integrations)?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The pass that this browser got when it showed the token first: its address can be loaded again
    /// after the token has been used or has expired.
    pub(crate) fn pass_from_earlier_use(
        &self,
        presented: &PresentedToken<'_>,
        integrations: &Integrations,
    ) -> Option<Pass> {
        let PresentedToken { token, headers, .. } = *presented;
        let pass = self
            .authenticator
            .pass(headers, presented.room, integrations)?;
        let same = match self.client_tokens.open(token) {
            Ok(opened) => pass.id() == opened.pass.id(),
            Err(_) => *pass.id() == id_of(token),
        };
        same.then_some(pass)
    }

    async fn pass_of_client_token(
        &self,
        presented: &PresentedToken<'_>,
        opened: OpenedClientToken,
        integrations: &Integrations,
    ) -> Result<Pass, RequestError> {
        let pass = &opened.pass;
        if pass.room() != presented.room {
            return Err(EmbedError::OtherRoom.into());
        }
        let now = self.clock.now();
        let ends = self.authenticator.sessions.latest_end_of_pass(pass);
        let left = ends.since(now);
        if left.is_zero() || !self.authenticator.is_valid_pass(pass, integrations) {
            return Err(CredentialError::Over.into());
        }
        let in_time = opened.check_time(now);
        match (opened.kind, presented.intent) {
            // The BOSH session began with the token in time.
            (_, Intent::Poll) => {}
            (ClientTokenKind::Embed, _) => in_time?,
            (ClientTokenKind::Handoff, Intent::Connect) => {
                in_time?;
                self.use_once(presented, &opened, left).await?;
            }
            (ClientTokenKind::Handoff, Intent::Resume) => {
                self.use_once(presented, &opened, left).await?;
            }
        }
        Ok(opened.pass)
    }

    /// Uses up a handoff token. A client that resumes shows it again, from the same address and with
    /// the same `User-Agent`.
    async fn use_once(
        &self,
        presented: &PresentedToken<'_>,
        opened: &OpenedClientToken,
        left: Duration,
    ) -> Result<(), RequestError> {
        let agent = presented
            .headers
            .get(header::USER_AGENT)
            .map_or(&b""[..], |agent| agent.as_bytes());
        let client = presented.context.client.to_string();
        let user = hash(&[client.as_bytes(), agent]);
        let key = format!("handoff:{}", opened.id);
        let value = serde_json::json!({ "v": 1, "user": user }).to_string();
        let claiming = self.store.put_if_absent(key, value.clone(), left);
        let resumes = presented.intent == Intent::Resume;
        match claiming.await? {
            // The first use is not in the store: it was lost, or made at a replica without a shared
            // store. The token's own time decides.
            PutOutcome::Stored => Ok(opened.check_time(self.clock.now())?),
            PutOutcome::Existing(before) if resumes && before == value => Ok(()),
            PutOutcome::Existing(_) => Err(CredentialError::Used.into()),
        }
    }

    /// The pass of the person that an integration's token vouches for. Without configured
    /// integrations such tokens are ignored.
    fn pass_of_integration(
        &self,
        presented: &PresentedToken<'_>,
        integrations: &Integrations,
    ) -> Result<Option<Pass>, CredentialError> {
        if integrations.is_empty() {
            return Ok(None);
        }
        let PresentedToken { token, room, .. } = *presented;
        let vouched = match presented.intent {
            // The BOSH session began with the token in time.
            Intent::Poll => integrations.verify_untimed(token, room)?,
            Intent::Connect | Intent::Resume => {
                integrations.verify(token, room, self.clock.now())?
            }
        };
        let (standing, identity) = (vouched.standing, vouched.identity);
        let id = id_of(token);
        let pass = self
            .passes
            .vouched(room, standing, identity, id, vouched.issued);
        if !self.authenticator.is_valid_pass(&pass, integrations) {
            return Err(CredentialError::Over);
        }
        // Each poll of an app shows it again.
        if presented.intent != Intent::Poll {
            audit::vouched(&pass, room, vouched.integration, presented.context);
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

#[cfg(test)]
mod tests;
