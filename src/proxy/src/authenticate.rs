//! The authentication phase: from a request's cookies to a [`Visitor`].
//!
//! It reads values and answers with values; it neither waits nor writes. Tokens in addresses are the
//! business of `credentials`, because a handoff token is used up in the store.

mod opened_sessions;

use std::{rc::Rc, sync::Arc};

use cluster::revocation::{EndedSession, Receipt, Revocations, Selector};
use http::{HeaderMap, HeaderValue};
use model::{
    headers::{self, RequestOrigin},
    identity::Standing,
    integration::Integrations,
    room::RoomKey,
    session::{
        self, BrowsingContext, Credential, Pass, PassCookies, Principal, RequestCookies,
        SESSION_COOKIE, Session, SessionCodec, Visitor,
    },
};

pub(crate) use self::opened_sessions::OpenedSessions;
use crate::{RequestError, revalidation::Revalidations};

/// What cookies are checked with.
#[derive(Debug)]
pub(crate) struct Authenticator {
    /// Opens, seals and renews session cookies.
    pub(crate) sessions: SessionCodec,
    /// Opens and seals the cookies of passes.
    pub(crate) passes: PassCookies,
    /// Sessions, passes and links that are over before their time.
    pub(crate) revocations: Arc<Revocations>,
    /// What the provider said of sessions since the sign-in.
    pub(crate) revalidations: Arc<Revalidations>,
    /// `https://host[:port]` of this site.
    pub(crate) origin: String,
}

/// The cookies were sent by a page of another site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ForeignOrigin;

// === impl Authenticator ===

impl Authenticator {
    /// The member's session, if the request carries one that is neither over nor revoked.
    pub(crate) fn session(&self, headers: &HeaderMap) -> Option<Session> {
        let value = RequestCookies::new(headers).value(SESSION_COOKIE)?;
        let session = self.sessions.open(value)?;
        let session = self.revalidations.newer(&session).unwrap_or(session);
        if self.revocations.cause([session.credential()]).is_some() {
            return None;
        }
        self.revalidations.report(&session);
        Some(session)
    }

    /// Before a page: asks the provider about the session of the request, if it was long ago.
    pub(crate) async fn revalidate_if_overdue(&self, opened: &OpenedSessions, headers: &HeaderMap) {
        let member = self.member(opened, headers);
        if let Some(Principal::Member(session)) = member.as_deref() {
            self.revalidations.revalidate_if_overdue(session).await;
        }
    }

    /// The pass to a room, if the request carries one that is neither over nor revoked, and its
    /// integration still covers the room.
    pub(crate) fn pass(
        &self,
        headers: &HeaderMap,
        room: &RoomKey,
        integrations: &Integrations,
    ) -> Option<Pass> {
        let pass = self.passes.find(room, RequestCookies::new(headers))?;
        let pass = self.revalidations.current_pass(pass);
        self.is_valid_pass(&pass, integrations).then_some(pass)
    }

    /// The sender of a request that is about a room.
    pub(crate) fn visitor(
        &self,
        opened: &OpenedSessions,
        headers: &HeaderMap,
        room: &RoomKey,
        integrations: &Integrations,
    ) -> Visitor {
        let pass = self.pass(headers, room, integrations);
        match (self.member(opened, headers), pass) {
            (Some(member), None) => Visitor::Known(member),
            (Some(member), Some(pass)) => match &*member {
                Principal::Member(session) => Principal::combine(session.clone(), pass).into(),
                Principal::Pass(_) | Principal::MemberWithPass { .. } => Visitor::Known(member),
            },
            (None, Some(pass)) => Principal::Pass(pass).into(),
            (None, None) => Visitor::Anonymous,
        }
    }

    /// [`session`](Self::session), opened at most once by each worker.
    fn member(&self, opened: &OpenedSessions, headers: &HeaderMap) -> Option<Rc<Principal>> {
        let value = RequestCookies::new(headers).value(SESSION_COOKIE)?;
        let mut member = opened.open(&self.sessions, value)?;
        if let Principal::Member(session) = &*member
            && let Some(newer) = self.revalidations.newer(session)
        {
            member = Rc::new(Principal::Member(newer));
        }
        if self.revocations.contains(&member) {
            return None;
        }
        if let Principal::Member(session) = &*member {
            self.revalidations.report(session);
        }
        Some(member)
    }

    /// The sender of a signalling request. Its cookies count only if a page of this site sent it:
    /// WebSockets know no same-origin rule, and Prosody allows every origin. Clients that send no
    /// `Origin` are apps, which keep no cookies.
    pub(crate) fn signalling_visitor(
        &self,
        opened: &OpenedSessions,
        headers: &HeaderMap,
        room: &RoomKey,
        integrations: &Integrations,
    ) -> Result<Visitor, ForeignOrigin> {
        match headers::request_origin(headers, &self.origin) {
            RequestOrigin::SameOrigin => Ok(self.visitor(opened, headers, room, integrations)),
            RequestOrigin::CrossOrigin => Err(ForeignOrigin),
            RequestOrigin::Absent => Ok(Visitor::Anonymous),
        }
    }

    /// Whether a principal that was authenticated earlier still is one.
    pub(crate) fn is_valid(&self, principal: &Principal, integrations: &Integrations) -> bool {
        match principal {
            Principal::Pass(pass) => self.is_valid_pass(pass, integrations),
            Principal::Member(_) | Principal::MemberWithPass { .. } => {
                !self.revocations.contains(principal)
            }
        }
    }

    /// The `Set-Cookie` header for a sealed session.
    pub(crate) fn session_cookie(&self, sealed: &str) -> HeaderValue {
        session::set(SESSION_COOKIE, sealed, self.sessions.cookie_lifetime())
    }

    /// The `Set-Cookie` headers that store a pass.
    pub(crate) fn pass_cookies(
        &self,
        pass: &Pass,
        place: BrowsingContext,
        headers: &HeaderMap,
    ) -> Result<Vec<HeaderValue>, RequestError> {
        self.passes
            .issue(pass, place, RequestCookies::new(headers))
            .map_err(|_| RequestError::Internal("a pass is too large for a cookie"))
    }

    /// Revokes a session or pass.
    pub(crate) fn revoke(&self, credential: Credential<'_>) -> Receipt {
        self.revocations
            .revoke(Selector::Session(credential.into()))
    }

    /// Revokes a session, and the person's earlier and later ones in the same browser.
    pub(crate) fn revoke_session(
        &self,
        session: &Session,
    ) -> impl Iterator<Item = Receipt> + use<> {
        let first = EndedSession::first_of_browser(session.credential());
        let first = first.map(|first| self.revocations.revoke(Selector::Session(first)));
        std::iter::once(self.revoke(session.credential())).chain(first)
    }

    /// Revokes all passes of a browser; gives the headers that delete their cookies.
    pub(crate) fn revoke_passes(
        &self,
        cookies: RequestCookies<'_>,
    ) -> (Vec<Receipt>, Vec<Pass>, Vec<HeaderValue>) {
        let (passes, deletions) = self.passes.revoke_all(cookies);
        // The same passes again would add to the list of each replica, and to the store.
        let valid = passes
            .iter()
            .filter(|pass| self.revocations.cause([pass.credential()]).is_none());
        let receipts = valid.map(|pass| self.revoke(pass.credential())).collect();
        (receipts, passes, deletions)
    }

    /// Whether a pass is not revoked, and neither of an integration that no longer covers its room nor of a
    /// member of a provider that the configuration no longer has.
    pub(crate) fn is_valid_pass(&self, pass: &Pass, integrations: &Integrations) -> bool {
        let is_covered = match pass.standing() {
            Standing::Embedded(by) => integrations.covers(&by.integration, pass.room()),
            Standing::Member => self.sessions.has_member(pass.identity()),
            Standing::Guest | Standing::Invited(_) => true,
        };
        is_covered && self.revocations.cause([pass.credential()]).is_none()
    }
}

#[cfg(test)]
mod tests;
