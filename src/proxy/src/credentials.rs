//! Tokens that a client carries in an address: of a page, or of its connection.
//!
//! A client token of the gateway stands for a sealed pass; an integration's token names a
//! person. Either is valid in one room, and only where it is looked for: nothing else that a client
//! states about itself is used.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::digest;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::HeaderMap;

use cluster::store::PutOutcome;
use model::{
    clock::Clock,
    integration::{EmbedError, Evidence, Integrations, RefusedToken},
    room::RoomKey,
    session::{Pass, SessionId},
    token::{ClientTokenError, ClientTokenKind, ClientTokens, DisplayToken, OpenedClientToken},
};

use crate::{
    RequestContext, RequestError, audit,
    authenticate::Authenticator,
    passes::{ONE_OF_MANY, PassIssuer},
    store_client::StoreClient,
};

/// What a request wants of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// A page.
    Page,
    /// A new connection.
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

/// A pass that a token stands for, and what it is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExchangedPass {
    pub(crate) pass: Pass,
    pub(crate) entry: Entry,
}

/// What a connection may do at Prosody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Begin a stream, or resume one.
    Any,
    /// Resume a stream that Prosody still has: its owner was admitted when it began.
    ResumptionOnly,
}

/// Whether a handoff token was first used in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HandoffUse {
    InTime,
    /// It was not, or the store forgot it.
    Late,
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
    Embed(#[from] RefusedToken),
    /// A client token of the gateway was refused.
    #[error(transparent)]
    ClientToken(#[from] ClientTokenError),
    /// A handoff token opened a page before.
    #[error("the token was used before")]
    Used,
    /// A handoff token was not used within minutes.
    #[error("the token was not used in time; open the room in the app again and sign in")]
    UnusedTooLong,
    /// The session that the token stands for has ended or is revoked.
    #[error("this needs a signed-in account")]
    Over,
}

// === impl CredentialError ===

impl CredentialError {
    /// The word for logs, if it is the token itself that is refused.
    pub(crate) fn token_reason(&self) -> Option<&'static str> {
        match self {
            Self::Embed(refused) => Some(refused.error.as_str()),
            Self::ClientToken(error) => Some(error.as_str()),
            Self::Used => Some("token_used"),
            Self::UnusedTooLong => Some("token_unused_too_long"),
            Self::Over => None,
        }
    }

    /// Whether the token was valid and has expired or was used up. The request then continues
    /// without the token.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Embed(refused) => refused.is_over(),
            Self::ClientToken(error) => *error == ClientTokenError::Expired,
            Self::Used | Self::UnusedTooLong | Self::Over => true,
        }
    }

    /// The reason as the log has it, in English: the operator of the system that issued the token
    /// reads it.
    pub(crate) fn public_reason(&self) -> String {
        let reason = self.token_reason().unwrap_or_default();
        match self.evidence().and_then(|evidence| evidence.claim) {
            Some(claim) => format!("{reason} ({claim})"),
            None => reason.to_owned(),
        }
    }

    /// What is known of a token that another system issued.
    pub(crate) fn evidence(&self) -> Option<&Evidence> {
        match self {
            Self::Embed(refused) => refused.evidence.as_deref(),
            _ => None,
        }
    }
}

impl From<EmbedError> for CredentialError {
    fn from(error: EmbedError) -> Self {
        RefusedToken::from(error).into()
    }
}

// === impl TokenExchange ===

impl TokenExchange {
    /// The pass that a token stands for; none for a display token, which proves nothing.
    pub(crate) async fn pass(
        &self,
        presented: &PresentedToken<'_>,
        integrations: &Integrations,
    ) -> Result<Option<ExchangedPass>, RequestError> {
        if DisplayToken::is_one(presented.token) {
            return Ok(None);
        }
        match self.client_tokens.open(presented.token) {
            Ok(opened) => {
                let pass = self.pass_of_client_token(presented, opened, integrations);
                pass.await.map(Some)
            }
            Err(ClientTokenError::Foreign) => {
                let pass = self.pass_of_integration(presented, integrations)?;
                Ok(pass.map(|pass| ExchangedPass {
                    pass,
                    entry: Entry::Any,
                }))
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
            Err(_) => is_of_token(pass.id(), token),
        };
        same.then_some(pass)
    }

    async fn pass_of_client_token(
        &self,
        presented: &PresentedToken<'_>,
        opened: OpenedClientToken,
        integrations: &Integrations,
    ) -> Result<ExchangedPass, RequestError> {
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
        let entry = match (opened.kind, presented.intent) {
            // The BOSH session began with the token in time.
            (_, Intent::Poll) => Entry::Any,
            (ClientTokenKind::Embed, _) => {
                opened.check_time(now)?;
                Entry::Any
            }
            (ClientTokenKind::Handoff { first_use_before }, Intent::Page) => {
                if now >= first_use_before {
                    return Err(CredentialError::UnusedTooLong.into());
                }
                self.use_for_page(&opened.id, left).await?;
                Entry::Any
            }
            (ClientTokenKind::Handoff { first_use_before }, intent) => {
                opened.check_time(now)?;
                let first_use = self.note_use(&opened.id, now < first_use_before, left);
                match (first_use.await, intent) {
                    (Ok(HandoffUse::InTime), _) => Entry::Any,
                    // A store in memory loses the first use with a restart, and another may be away.
                    // Whether there was one is then up to Prosody, which knows the stream or not.
                    (_, Intent::Resume) => Entry::ResumptionOnly,
                    (Ok(HandoffUse::Late), _) => return Err(CredentialError::UnusedTooLong.into()),
                    (Err(error), _) => return Err(error),
                }
            }
        };
        Ok(ExchangedPass {
            pass: self.authenticator.revalidations.current_pass(opened.pass),
            entry,
        })
    }

    /// Uses up a handoff token for pages: an address is copied more easily than what an app keeps, and
    /// the page that it opened has a pass of its own.
    async fn use_for_page(&self, id: &str, left: Duration) -> Result<(), RequestError> {
        let using =
            self.store
                .put_once(format!("handoff-page:{id}"), USED_IN_TIME.to_owned(), left);
        match using.await? {
            PutOutcome::Stored => Ok(()),
            PutOutcome::Existing(_) => Err(CredentialError::Used.into()),
        }
    }

    /// Notes a connection's use of a handoff token. Gives whether the first one was in time.
    async fn note_use(
        &self,
        id: &str,
        in_time: bool,
        left: Duration,
    ) -> Result<HandoffUse, RequestError> {
        let key = format!("handoff:{id}");
        let value = if in_time { USED_IN_TIME } else { USED_LATE };
        let noting = self.store.put_once(key, value.to_owned(), left);
        match noting.await {
            // This use is in time, whatever the store says.
            _ if in_time => Ok(HandoffUse::InTime),
            Ok(PutOutcome::Existing(first)) if first == USED_IN_TIME => Ok(HandoffUse::InTime),
            Ok(PutOutcome::Stored | PutOutcome::Existing(_)) => Ok(HandoffUse::Late),
            Err(error) => Err(error.into()),
        }
    }

    /// The pass of the person that an integration's token names. Without configured
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
        let accepted = match presented.intent {
            // The BOSH session began with the token in time.
            Intent::Poll => integrations.verify_untimed(token, room)?,
            Intent::Page | Intent::Connect | Intent::Resume => {
                integrations.verify(token, room, self.clock.now())?
            }
        };
        let (standing, identity) = (accepted.standing, accepted.identity);
        let id = id_of(token);
        // A browser keeps the pass, so that two who follow one link are two people. An app shows the
        // token again and again, and has to stay who it is.
        let pass = if accepted.identified || presented.intent != Intent::Page {
            let passes = &self.passes;
            passes.for_token(room, standing, identity, id, accepted.issued)
        } else {
            let passes = &self.passes;
            passes.for_shared_token(room, standing, identity, &id, accepted.issued)
        };
        if !self.authenticator.is_valid_pass(&pass, integrations) {
            return Err(CredentialError::Over);
        }
        // Each poll of an app shows it again.
        if presented.intent != Intent::Poll {
            audit::token_accepted(&pass, room, accepted.integration, presented.context);
        }
        Ok(Some(pass))
    }
}

/// The id of a pass that an integration's token names.
fn id_of(token: &str) -> SessionId {
    SessionId::from(hash(&[token.as_bytes()]).as_str())
}

/// Whether a pass was issued for this token.
fn is_of_token(pass: &SessionId, token: &str) -> bool {
    let token = id_of(token);
    pass.as_str()
        .strip_prefix(token.as_str())
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(ONE_OF_MANY))
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

/// The values in the store under the id of a handoff token.
const USED_IN_TIME: &str = r#"{"v":2,"first_use":"in_time"}"#;
const USED_LATE: &str = r#"{"v":2,"first_use":"late"}"#;

/// 128 bits: collisions cannot be found.
const HASH_BYTES: usize = 16;

#[cfg(test)]
mod tests;
