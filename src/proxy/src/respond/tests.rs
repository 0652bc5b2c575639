mod languages;

use cluster::store::StoreError;
use http::{HeaderMap, HeaderValue, header};
use http_body_util::BodyExt;
use model::{clock::Timestamp, jws::TokenError, policy::Refusal, route::Closed, session::ReturnTo};
use pages::{Brand, Languages, LinkProblem, Pages, SignInProblem};

use super::*;
use crate::{locations::LocationError, request_context::RequestId, testing::key};

/// A responder for an audience, which requested a room's page if it is a person.
fn responder(audience: Audience) -> Responder {
    let id = RequestId {
        worker: 1,
        number: 2,
    };
    let mut responder = Responder::of_bad_path(id, "/", &HeaderMap::new());
    responder.audience = audience;
    responder.lead_to(&ReturnTo::parse("/x"));
    responder
}

/// Each error with its status, the condition that BOSH clients get (`-` for a status alone), and
/// whether the connection ends.
fn errors() -> Vec<(RequestError, u16, &'static str, bool)> {
    let (room, person) = (key("x"), None);
    let refusal = Refusal::NoRule;
    let busy = UpstreamError::Busy("prosody:5280".parse().unwrap());
    let timeout = UpstreamError::Timeout("prosody:5280".parse().unwrap());
    let failed = LoginError::Failed {
        code: "unknown_state",
        problem: SignInProblem::Unknown,
    };
    let problem = LinkProblem::Expired;
    let opens = Timestamp::from_unix(1_800_000_000);
    let (policy, missing, bad, remote) = (
        "policy-violation",
        "item-not-found",
        "bad-request",
        "remote-connection-failed",
    );
    vec![
        (PathError::DotSegment.into(), 400, "-", true),
        (RoomError::Empty.into(), 400, bad, false),
        (ContextError::BadHost.into(), 400, "-", true),
        (
            ContextError::Misdirected {
                named: "a".to_owned(),
                own: "b".to_owned(),
            }
            .into(),
            421,
            "-",
            false,
        ),
        (ContextError::Insecure.into(), 421, "-", false),
        (
            ContextError::Method { allow: "POST" }.into(),
            405,
            "-",
            false,
        ),
        (ContextError::TooManyRequests.into(), 429, "-", false),
        (ContextError::ShareTaken.into(), 429, "-", false),
        (ContextError::TooManySignIns.into(), 429, "-", false),
        (ContextError::NotFound.into(), 404, "-", false),
        (
            ContextError::Closed(Closed::Colibri).into(),
            404,
            "-",
            false,
        ),
        (Unread::TooLarge.into(), 413, "-", true),
        (Unread::Lost.into(), 408, "-", true),
        (Unread::Busy.into(), 503, "-", true),
        (busy.into(), 503, "-", false),
        (SignallingError::TooManyStreams.into(), 429, policy, false),
        (AccessError::ForeignSender.into(), 403, policy, false),
        (AccessError::SignInFirst.into(), 401, policy, false),
        (
            AccessError::GuestFirst { ask: true }.into(),
            401,
            policy,
            false,
        ),
        (
            AccessError::Waiting {
                room: room.clone(),
                person: None,
            }
            .into(),
            403,
            policy,
            false,
        ),
        (
            AccessError::Refused {
                refusal,
                room: room.clone(),
                person,
            }
            .into(),
            403,
            policy,
            false,
        ),
        (EmbedError::OtherRoom.into(), 403, policy, false),
        (ClientTokenError::Expired.into(), 403, policy, false),
        (CredentialError::Used.into(), 403, policy, false),
        (CredentialError::Over.into(), 401, policy, false),
        (
            InvitationError::Unusable {
                room: room.clone(),
                problem,
            }
            .into(),
            403,
            "-",
            false,
        ),
        (
            InvitationError::TooEarly {
                room: room.clone(),
                opens,
            }
            .into(),
            403,
            "-",
            false,
        ),
        (LoginError::ProviderUnavailable.into(), 503, "-", false),
        (failed.into(), 400, "-", false),
        (EndpointError::Form("no time").into(), 400, "-", false),
        (EndpointError::NoRoom.into(), 400, "-", false),
        (EndpointError::NotHost.into(), 403, "-", false),
        (EndpointError::TooManyStreams.into(), 429, "-", false),
        (AccessError::RoomFirst.into(), 401, policy, false),
        (AccessError::NoRoom.into(), 403, policy, false),
        (LocationError::NoWebSocket.into(), 400, "-", false),
        (LocationError::TooManySockets.into(), 429, "-", false),
        (
            LocationError::Refused(StatusCode::CONFLICT).into(),
            409,
            "-",
            false,
        ),
        (QueryError::NoRoom.into(), 400, bad, false),
        (BoshBodyError::NotBosh.into(), 400, bad, false),
        (BoshBodyError::Ambiguous.into(), 400, bad, false),
        (BoshBodyError::RequestId.into(), 400, bad, false),
        (BoshBodyError::Foreign.into(), 403, missing, false),
        (
            SignallingError::Handshake("it has no key").into(),
            400,
            "-",
            true,
        ),
        (SignallingError::WebSocketVersion.into(), 426, "-", false),
        (SignallingError::Moved { room }.into(), 404, missing, false),
        (timeout.into(), 504, remote, false),
        (
            ForwardingError::Answer("an upgrade").into(),
            502,
            remote,
            false,
        ),
        (
            ForwardingError::Body(UpstreamBodyError::Silent).into(),
            504,
            remote,
            false,
        ),
        (
            StoreCallError::Failed(StoreError::Timeout).into(),
            503,
            remote,
            false,
        ),
        (StoreCallError::Abandoned.into(), 500, remote, false),
        (WebError::Target.into(), 500, remote, false),
        (RequestError::Internal("an invariant"), 500, remote, false),
    ]
}

fn is_unusable_link(error: &RequestError) -> bool {
    let RequestError::Invitation(error) = error else {
        return false;
    };
    matches!(error, InvitationError::Unusable { .. })
}

#[tokio::test]
async fn every_error_has_one_status_and_the_answer_of_its_audience() {
    let pages = Pages::new(Brand::from_name("Meet"), Languages::default());
    for (error, status, condition, closes) in errors() {
        for audience in [
            Audience::Person,
            Audience::Machine,
            Audience::Api,
            Audience::Bosh,
            Audience::Socket,
        ] {
            let case = format!("{error:?} {audience:?}");
            let answer = error.answer(&responder(audience), &pages, None);
            let (head, body) = answer.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let body = String::from_utf8(body.to_vec()).unwrap();
            let terminates = audience == Audience::Bosh && condition != "-";
            let expected = match audience {
                // BOSH clients take another status for a fault of the network.
                Audience::Bosh if terminates && condition != "bad-request" => 200,
                Audience::Socket if status == 401 => 403,
                // The page of a link that is over or used up.
                Audience::Person if is_unusable_link(&error) => 410,
                _ => status,
            };
            assert_eq!(head.status.as_u16(), expected, "{case}");
            assert_eq!(body.contains("condition="), terminates, "{case}");
            assert!(!terminates || body.contains(condition), "{case}: {body}");
            let challenges = head.headers.contains_key(header::WWW_AUTHENTICATE);
            assert_eq!(
                challenges,
                status == 401 && audience == Audience::Machine,
                "{case}"
            );
            let closed = head.headers.get(header::CONNECTION);
            assert_eq!(
                closed.is_some_and(|value| value == "close"),
                closes,
                "{case}"
            );
            let kind = &head.headers[header::CONTENT_TYPE];
            let expected = match audience {
                Audience::Person => "text/html; charset=utf-8",
                Audience::Api => crate::api::PROBLEM_JSON,
                Audience::Bosh if terminates => "text/xml; charset=utf-8",
                Audience::Machine | Audience::Bosh | Audience::Socket => "application/json",
            };
            assert_eq!(kind, expected, "{case}");
        }
    }
}

#[test]
fn faults_of_the_gateway_are_warnings_and_an_unavailable_provider_and_limits_are_not() {
    let provider = RequestError::from(LoginError::ProviderUnavailable);
    assert!(!provider.is_warning());
    for (error, status, ..) in errors() {
        let not_ours = error.to_string() == provider.to_string() || error.is_limit();
        let expected = status >= 500 && !not_ours;
        assert_eq!(error.is_warning(), expected, "{error:?}");
    }
}

#[test]
fn a_limit_names_the_time_after_which_it_may_be_over() {
    let pages = Pages::new(Brand::from_name("Meet"), Languages::default());
    for (error, ..) in errors() {
        let answer = error.answer(&responder(Audience::Machine), &pages, None);
        let named = answer.headers().contains_key(header::RETRY_AFTER);
        assert_eq!(
            named,
            matches!(answer.status().as_u16(), 429) || error.is_limit(),
            "{error:?}"
        );
    }
}

#[test]
fn a_refused_method_names_those_that_are_allowed() {
    let pages = Pages::new(Brand::from_name("Meet"), Languages::default());
    let error = RequestError::from(ContextError::Method { allow: "POST" });
    let answer = error.answer(&responder(Audience::Machine), &pages, None);
    assert_eq!(answer.headers()[header::ALLOW], "POST");
    let error = RequestError::from(SignallingError::WebSocketVersion);
    let answer = error.answer(&responder(Audience::Socket), &pages, None);
    let version = HeaderValue::from_static("13");
    assert_eq!(answer.headers()[header::SEC_WEBSOCKET_VERSION], version);
}
