//! Front-channel logout: the provider's logout page loads an address of the gateway in a frame (OpenID
//! Connect Front-Channel Logout 1.0).
//!
//! A frame of another site has no cookie of the gateway, and a stranger can send the same request. So
//! the request counts only if it names the exact `sid` of a session that began here, which [`ProviderSessions`](crate::provider_sessions::ProviderSessions)
//! knows; any other changes nothing and stores nothing. The address is that of one provider, so `iss` adds nothing:
//! providers that leave it out are understood, and another one is refused.

use http::{HeaderValue, Request, Response, StatusCode, header};
use tracing::debug;

use super::{SignInFlow, sign_in_flow, sign_out::kept};
use crate::{
    Body, RequestContext, RequestError, Worker, audit, respond::plain, server::ClientBody,
};
use cluster::revocation::Selector;
use model::provider::{MAX_ISSUED_ID_BYTES, ProviderId};
use observe::metrics::LogoutOutcome;
use oidc::RelyingParty;

/// Ends the sessions of one session at the provider. The answer does not say whether there were any.
pub(super) async fn answer(
    worker: &Worker,
    provider: Option<&ProviderId>,
    request: &Request<ClientBody>,
    context: RequestContext,
) -> Result<Response<Body>, RequestError> {
    let flow = sign_in_flow(worker)?;
    let party = flow.party_at(provider)?;
    let issuer = party.issuer();
    let query = request.uri().query().unwrap_or_default();
    let sid = sid_of(query, issuer).and_then(|sid| party.scope().qualify(&sid));
    let outcome = match sid {
        None => LogoutOutcome::InvalidRequest,
        Some(sid) => end(worker, flow, party, sid, context).await,
    };
    party.metrics().count_frontchannel_logout(outcome);
    let status = match outcome {
        LogoutOutcome::Ok | LogoutOutcome::Unmatched => StatusCode::OK,
        LogoutOutcome::InvalidRequest | LogoutOutcome::TokenRefused => StatusCode::BAD_REQUEST,
        LogoutOutcome::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut answer = plain(status, "text/plain; charset=utf-8", "");
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, framing_policy(issuer));
    Ok(answer)
}

async fn end(
    worker: &Worker,
    flow: &SignInFlow,
    party: &RelyingParty,
    sid: String,
    context: RequestContext,
) -> LogoutOutcome {
    match flow.provider_sessions.take(&sid).await {
        Ok(true) => {}
        Ok(false) => return LogoutOutcome::Unmatched,
        Err(error) => {
            debug!(%error, provider = party.provider_id(), request = %context.id, "cannot look up the session of a front-channel logout");
            return LogoutOutcome::Unavailable;
        }
    }
    audit::logged_out_by_frame(&sid, party.provider_id(), &context);
    let selector = Selector::ProviderSession { sid, subject: None };
    let receipt = worker.state.authenticator.revocations.revoke(selector);
    if kept([receipt], context).await {
        LogoutOutcome::Ok
    } else {
        LogoutOutcome::Unavailable
    }
}

/// The `sid` of a query that names no other issuer, each at most once. § 2 demands both or none; some providers
/// append the `sid` only.
fn sid_of(query: &str, issuer: &str) -> Option<String> {
    let mut given = [None, None];
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()).take(MAX_PARAMETERS) {
        let slot = match name.as_ref() {
            "iss" => &mut given[0],
            "sid" => &mut given[1],
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return None;
        }
    }
    let [named, Some(sid)] = given else {
        return None;
    };
    let is_here = named.is_none_or(|named| named == issuer);
    let is_plausible = (1..=MAX_ISSUED_ID_BYTES).contains(&sid.len());
    (is_here && is_plausible).then(|| sid.into_owned())
}

/// Only pages of the provider show the answer in a frame.
fn framing_policy(issuer: &str) -> HeaderValue {
    let origin = url::Url::parse(issuer).map(|issuer| issuer.origin().ascii_serialization());
    let origin = origin.ok().filter(|origin| origin != "null");
    let ancestors = origin.as_deref().unwrap_or("'none'");
    let policy = format!("default-src 'none'; frame-ancestors {ancestors}");
    // Infallible: an origin is ASCII without control characters.
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("frame-ancestors 'none'"))
}

/// Providers append `iss` and `sid` to the registered address, which may have a query.
const MAX_PARAMETERS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_is_named_once_and_no_other_issuer() {
        let issuer = "https://sso.example.org/realms/main";
        let iss = "iss=https%3A%2F%2Fsso.example.org%2Frealms%2Fmain";
        for (query, expected) in [
            (format!("{iss}&sid=a%2Bb"), Some("a+b")),
            (format!("x=1&sid=s&{iss}"), Some("s")),
            (iss.to_owned(), None),
            ("sid=s".to_owned(), Some("s")),
            ("iss=&sid=s".to_owned(), None),
            (String::new(), None),
            (format!("{iss}&sid="), None),
            (format!("{iss}&sid=s&sid=s"), None),
            (format!("{iss}&{iss}&sid=s"), None),
            (format!("{iss}%2F&sid=s"), None),
            (
                format!("{iss}&sid={}", "s".repeat(MAX_ISSUED_ID_BYTES + 1)),
                None,
            ),
            (format!("{}sid=s&{iss}", "x=1&".repeat(20)), None),
        ] {
            let sid = sid_of(&query, issuer);
            assert_eq!(sid.as_deref(), expected, "{query:.80}");
        }
    }

    #[test]
    fn only_pages_of_the_issuer_frame_the_answer() {
        for (issuer, ancestors) in [
            (
                "https://sso.example.org/realms/main",
                "https://sso.example.org",
            ),
            (
                "https://sso.example.org:8443",
                "https://sso.example.org:8443",
            ),
            ("data:x", "'none'"),
        ] {
            let expected = format!("default-src 'none'; frame-ancestors {ancestors}");
            assert_eq!(framing_policy(issuer), expected);
        }
    }
}
