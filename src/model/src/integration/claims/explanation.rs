//! Which claim a refusal is about, and what would be accepted, for the audit log.

use serde_json::Value;

use super::{
    super::{EmbedError, Evidence, IntegrationSettings, refused_token::describe},
    Claims,
};
use crate::{
    clock::Timestamp,
    jws::{TokenError, numeric_date},
};

// === impl Claims ===

impl Claims {
    /// Notes the claim that an error is about.
    pub(in super::super) fn explain(
        &self,
        error: EmbedError,
        integration: &IntegrationSettings,
        now: Option<Timestamp>,
        evidence: &mut Evidence,
    ) {
        let remaining = |claim: &Value| {
            let (time, now) = (numeric_date(claim)?, now?);
            Some(match (time.since(now), now.since(time)) {
                (ahead, _) if !ahead.is_zero() => format!("in {}", describe(ahead)),
                (_, ago) => format!("{} ago", describe(ago)),
            })
        };
        let date = |claim: &Value| remaining(claim).unwrap_or_else(|| claim.to_string());
        let longest = || format!("at most {} from now", describe(integration.max_lifetime));
        match error {
            EmbedError::Token(TokenError::Audience) => {
                let allowed = integration.audience.clone().unwrap_or_default();
                evidence.set("aud", &text_of(&self.aud), allowed);
            }
            EmbedError::Token(TokenError::NoExpiry | TokenError::Expired)
            | EmbedError::LongLived => evidence.set("exp", &date(&self.exp), longest()),
            EmbedError::Token(TokenError::NotYetValid) => {
                evidence.set("nbf", &date(&self.nbf), "a time in the past");
            }
            EmbedError::Token(TokenError::IssuedInFuture) => {
                evidence.set("iat", &date(&self.iat), "a time in the past");
            }
            EmbedError::OtherTenant => {
                evidence.set("sub", &text_of(&self.sub), "the tenant of the address");
            }
            EmbedError::NoRoom
            | EmbedError::Pattern
            | EmbedError::Room(_)
            | EmbedError::OtherRoom => {
                let allowed = format!("the room of the address, {}", evidence.room);
                evidence.set("room", &text_of(&self.room), allowed);
            }
            EmbedError::ForeignRoom => {
                evidence.set("room", &text_of(&self.room), integration.describe_rooms());
            }
            EmbedError::UserId => {
                let user = self.context.as_ref().and_then(|all| all.user.as_ref());
                let id = user.map(|user| text_of(&user.id)).unwrap_or_default();
                evidence.set("context.user.id", &id, "a short text or a number");
            }
            EmbedError::TooLong
            | EmbedError::Token(_)
            | EmbedError::Kind
            | EmbedError::UnknownIssuer
            | EmbedError::OtherKey => {}
        }
    }
}

/// A claim in a log line: texts without quotes.
fn text_of(claim: &Value) -> String {
    claim
        .as_str()
        .map_or_else(|| claim.to_string(), ToOwned::to_owned)
}
