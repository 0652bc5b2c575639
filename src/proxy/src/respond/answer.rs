//! Responses to errors, by audience.

use http::{HeaderValue, Response, StatusCode, header};

use super::{Audience, RequestError, Responder, reasons::Ways};
use crate::{
    Body,
    api::{PROBLEM_JSON, ProblemDetails},
    authorize::{AccessError, NamedPerson},
    credentials::CredentialError,
    endpoints::LoginError,
    invitations::InvitationError,
    locations::LocationError,
    request_context::{ContextError, RequestId},
    shard_upstreams::ForwardingError,
    signalling::SignallingError,
    upstream::UpstreamError,
};
use model::{
    bosh::{self, BoshBodyError},
    headers::X_REQUEST_ID,
    room::RoomKey,
    session::ReturnTo,
};
use pages::{self, Component, Content, Pages, RefusalCause};

// === impl RequestError ===

impl RequestError {
    /// The response for the audience; `sites` may embed a page.
    pub(crate) fn answer(
        &self,
        responder: &Responder,
        pages: &Pages,
        sites: Option<&str>,
    ) -> Response<Body> {
        let mut answer = match responder.audience {
            Audience::Person => {
                let page = self.page(responder, pages);
                let page = match sites {
                    Some(sites) => page.with_frame_ancestors(sites),
                    None => page,
                };
                page.into_response().map(Body::from)
            }
            Audience::Machine | Audience::Socket => self.json(responder.id),
            Audience::Bosh => self.bosh(responder.id),
            Audience::Api => self.problem(responder.id),
        };
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Self::Context(ContextError::Method { allow }) = self {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if let Self::Location(LocationError::Method(location)) = self
            && let Ok(allow) = HeaderValue::try_from(location.allow())
        {
            headers.insert(header::ALLOW, allow);
        }
        if matches!(self, Self::Signalling(SignallingError::WebSocketVersion)) {
            headers.insert(
                header::SEC_WEBSOCKET_VERSION,
                HeaderValue::from_static("13"),
            );
        }
        match responder.audience {
            // No challenge can be met within a handshake.
            Audience::Socket if self.is_unauthenticated() => {
                *answer.status_mut() = StatusCode::FORBIDDEN;
            }
            Audience::Machine if self.is_unauthenticated() => {
                headers.insert(header::WWW_AUTHENTICATE, CHALLENGE);
            }
            _ => {}
        }
        let headers = answer.headers_mut();
        if self.is_limit() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        headers.insert(X_REQUEST_ID, responder.id.header_value());
        if self.closes_connection() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    fn page(&self, responder: &Responder, pages: &Pages) -> pages::RenderedPage {
        let here = responder.return_to();
        let here = here.as_str();
        match self {
            Self::Context(ContextError::NotFound | ContextError::Closed(_)) => {
                render(&Content::NotFound, responder, pages)
            }
            Self::Access(AccessError::Refused {
                refusal,
                room,
                person,
            }) => {
                let denial = (*refusal).into();
                refused(responder, pages, room, person.as_ref(), denial)
            }
            Self::Access(AccessError::Waiting { room, person }) => {
                let denial = RefusalCause::HostStarts;
                refused(responder, pages, room, person.as_ref(), denial)
            }
            Self::Access(AccessError::StepUp {
                demand,
                room,
                person,
            }) => {
                let page = responder.page_of(room);
                let content = Content::StepUp {
                    room,
                    person: person.as_deref(),
                    required: &demand.required,
                    sign_in: &login_path(&page, true),
                };
                render(&content, responder, pages)
            }
            Self::Invitation(InvitationError::TooEarly { room, opens }) => {
                let denial = RefusalCause::NotYet { opens: *opens };
                refused(responder, pages, room, None, denial)
            }
            Self::Invitation(InvitationError::Unusable { room, problem }) => {
                let page = responder.page_of(room);
                let content = Content::LinkRefused {
                    room,
                    problem: *problem,
                    page: page.path(),
                };
                render(&content, responder, pages)
            }
            Self::Credential(error) => {
                let page = self.embed_page(error, responder, pages);
                page.unwrap_or_else(|| self.request_page(responder, pages))
            }
            Self::Login(LoginError::Failed { problem, code }) => {
                let content = Content::SignInFailed {
                    failure: *problem,
                    reference: code,
                    again: &login_path(&responder.return_to(), false),
                };
                render(&content, responder, pages)
            }
            Self::Login(LoginError::ProviderUnavailable) => {
                let content = Content::Unavailable {
                    component: Component::Provider,
                    again: here,
                };
                render(&content, responder, pages)
            }
            Self::Internal(_)
            | Self::Web(_)
            | Self::Signalling(SignallingError::Token(_))
            | Self::Store(_) => {
                let content = Content::Unavailable {
                    component: Component::Gateway,
                    again: here,
                };
                with_status(render(&content, responder, pages), self.status())
            }
            _ if self.is_ours() => {
                let content = Content::Unavailable {
                    component: Component::Jitsi,
                    again: here,
                };
                with_status(render(&content, responder, pages), self.status())
            }
            _ => self.request_page(responder, pages),
        }
    }

    /// The page of an error that is the request's.
    fn request_page(&self, responder: &Responder, pages: &Pages) -> pages::RenderedPage {
        let here = responder.return_to();
        let ways = Ways {
            here: here.as_str(),
            sign_in: &login_path(&here, false),
        };
        let content = Content::BadRequest {
            problem: self.request_problem(&ways),
            reference: &self.reference(),
        };
        with_status(render(&content, responder, pages), self.status())
    }

    /// The page of a token that is refused, if it came in the address of a room.
    fn embed_page(
        &self,
        error: &CredentialError,
        responder: &Responder,
        pages: &Pages,
    ) -> Option<pages::RenderedPage> {
        error.token_reason()?;
        let page = responder.return_to();
        let content = Content::EmbedRefused {
            room: &page.room()?,
            problem: error.embed_problem(),
            reference: &self.reference(),
            page: page.path(),
        };
        Some(render(&content, responder, pages))
    }

    fn json(&self, id: RequestId) -> Response<Body> {
        let text = serde_json::json!({ "error": self.public_text(), "request": id.to_string() });
        plain(self.status(), "application/json", text.to_string())
    }

    fn problem(&self, id: RequestId) -> Response<Body> {
        let status = self.status();
        let problem = ProblemDetails::new(status, "refused", self.public_text(), id.to_string());
        plain(status, PROBLEM_JSON, problem.to_json())
    }

    /// The text for machines. Names and addresses of upstreams, and the order of the rules, stay in the log.
    fn public_text(&self) -> String {
        match self {
            _ if self.is_ours() => "the gateway or a server behind it failed".to_owned(),
            Self::Access(AccessError::Refused { .. }) => "the room rules refuse access".to_owned(),
            Self::Access(AccessError::StepUp { demand, .. }) => format!(
                "the room needs a stronger or more recent sign-in: {}",
                demand.required
            ),
            _ => self.to_string(),
        }
    }

    /// BOSH clients read conditions, not pages; a status other than 200 they take for a fault of
    /// the network and try again (XEP-0124 § 17.2). A request that no BOSH client sends gets an HTTP
    /// status.
    fn bosh(&self, id: RequestId) -> Response<Body> {
        match self {
            // The stream goes on: its client sends the request again.
            Self::Forwarding(ForwardingError::Upstream(UpstreamError::Busy(_))) => self.json(id),
            Self::Forwarding(_)
            | Self::Internal(_)
            | Self::Store(_)
            | Self::Web(_)
            | Self::Signalling(SignallingError::Token(_)) => terminated("remote-connection-failed"),
            Self::Access(_)
            | Self::Credential(_)
            | Self::Signalling(SignallingError::TooManyStreams) => terminated("policy-violation"),
            Self::Signalling(
                SignallingError::Bosh(BoshBodyError::Foreign) | SignallingError::Moved { .. },
            ) => terminated("item-not-found"),
            Self::Signalling(SignallingError::Bosh(_) | SignallingError::Query(_))
            | Self::Context(ContextError::Room(_)) => {
                let mut answer = terminated("bad-request");
                *answer.status_mut() = self.status();
                answer
            }
            _ => self.json(id),
        }
    }
}

/// A 401 must say how to do better (RFC 9110 § 11.6.1); the scheme for sessions in cookies.
const CHALLENGE: HeaderValue = HeaderValue::from_static(
    r#"Cookie form-action="/_gateway/login", cookie-name="__Host-gateway-session""#,
);

/// The login address that returns to a page; `switch` asks for another account.
pub(crate) fn login_path(return_to: &ReturnTo, switch: bool) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("return_to", return_to.as_str());
    if switch {
        query.append_pair("switch", "1");
    }
    format!("/_gateway/login?{}", query.finish())
}

/// The page of a refusal. Its links keep the spelling of the address, and the link that it came by.
fn refused(
    responder: &Responder,
    pages: &Pages,
    room: &RoomKey,
    person: Option<&NamedPerson>,
    denial: RefusalCause,
) -> pages::RenderedPage {
    let page = responder.page_of(room);
    let content = Content::Refused {
        room,
        person: person.map(NamedPerson::on_page),
        denial,
        again: page.as_str(),
        sign_in: Some(&login_path(&page, true)),
    };
    render(&content, responder, pages)
}

fn render(content: &Content<'_>, responder: &Responder, pages: &Pages) -> pages::RenderedPage {
    let id = responder.id.to_string();
    pages.render(content, &responder.page_request(&id))
}

fn with_status(page: pages::RenderedPage, status: StatusCode) -> pages::RenderedPage {
    pages::RenderedPage { status, ..page }
}

/// The BOSH answer that ends a session with a condition.
pub(crate) fn terminated(condition: &str) -> Response<Body> {
    plain(
        StatusCode::OK,
        "text/xml; charset=utf-8",
        bosh::terminate(condition),
    )
}

/// A page of the gateway.
pub(crate) fn page(pages: &Pages, content: &Content<'_>, responder: &Responder) -> Response<Body> {
    render(content, responder, pages)
        .into_response()
        .map(Body::from)
}

/// A redirect; to a path of this site, or to an address that the provider configured.
pub(crate) fn redirect(status: StatusCode, path: &str) -> Result<Response<Body>, RequestError> {
    let location = HeaderValue::try_from(path)
        .map_err(|_| RequestError::Internal("a path is not a header value"))?;
    let mut answer = Response::new(Body::EMPTY);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// Adds `Set-Cookie` headers.
pub(crate) fn append_cookies(answer: &mut Response<Body>, cookies: Vec<HeaderValue>) {
    for cookie in cookies {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

/// An answer with a body in memory. It sets no `Cache-Control`: the caller decides whether the answer
/// may be stored.
pub(crate) fn plain(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<bytes::Bytes>,
) -> Response<Body> {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    answer
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use model::policy::Refusal;

    use super::*;

    #[tokio::test]
    async fn the_number_of_a_rule_goes_to_the_log_only() {
        let refused = RequestError::from(AccessError::Refused {
            refusal: Refusal::NotAllowed { rule: 4 },
            room: RoomKey::from_text("board").unwrap(),
            person: None,
        });
        assert!(refused.to_string().contains("rule 4"));
        let id = RequestId {
            worker: 1,
            number: 2,
        };
        let body = refused.json(id).into_body().collect().await.unwrap();
        let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        assert!(!body.contains("rule 4"), "{body}");
        assert!(body.contains("the room rules refuse access"), "{body}");
    }

    #[tokio::test]
    async fn details_of_upstreams_go_to_the_log_only() {
        let id = RequestId {
            worker: 1,
            number: 2,
        };
        let failure = RequestError::from(UpstreamError::Timeout(
            "prosody.internal:5280".parse().unwrap(),
        ));
        let body = failure.json(id).into_body().collect().await.unwrap();
        let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        assert!(!body.contains("internal"), "{body}");
        assert!(body.contains("00000001-2"), "{body}");
    }
}
