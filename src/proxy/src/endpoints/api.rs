//! The API for other systems: authenticates the caller, performs the operation, audits it.

mod idempotency;

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use serde::{Serialize, de::DeserializeOwned};
use url::form_urlencoded;

use crate::api::{
    self, ApiError, ApiRoute, ApiTime, IdempotencyKey, LinkAnswer, LinkRequest, MAX_BODY_BYTES,
    MeetingAnswer, MeetingRequest, PROBLEM_JSON, RoomAnswer, link,
};
use crate::{
    Body, RequestContext, RequestError, SharedState, Worker, audit,
    body::{self, Unread},
    respond::plain,
};
use cluster::revocation::Selector;
use model::{
    clock::Timestamp,
    headers::X_REQUEST_ID,
    integration::{Bearer, Caller, Integration, Integrations},
    invitation::InvitationLink,
    room::RoomKey,
};
use observe::metrics::{ApiOperation, ApiOutcome, LimitKind};

/// A request with a body, before anybody looks into it.
struct Written<'r> {
    caller: Caller<'r>,
    operation: ApiOperation,
    key: Option<IdempotencyKey>,
    body: Bytes,
}

// === impl Worker ===

impl Worker {
    /// Answers a request to the API; `path` is the part below `api/v1/`.
    pub(crate) async fn api(
        &self,
        path: &str,
        request: Request<Incoming>,
        context: RequestContext,
    ) -> Result<Response<Body>, RequestError> {
        let rules = self.rules();
        let call = if rules.integrations.has_api() {
            ApiRoute::parse(request.method(), path)
        } else {
            Err(ApiError::NotFound)
        };
        let operation = call
            .as_ref()
            .map_or(ApiOperation::Unknown, ApiRoute::operation);
        let result = match call {
            Ok(call) => self.call(&rules.integrations, call, request, context).await,
            Err(error) => Err(error),
        };
        let outcome = result
            .as_ref()
            .map_or_else(ApiError::outcome, |_| ApiOutcome::Ok);
        self.metrics.count_api_request(operation, outcome);
        let mut answer = result.unwrap_or_else(|error| {
            self.count_refusal(&error);
            refusal(&error, context)
        });
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, NO_STORE);
        headers.insert(X_REQUEST_ID, context.id.header_value());
        Ok(answer)
    }

    fn count_refusal(&self, error: &ApiError) {
        match error {
            ApiError::TooManyRequests { .. } => self.metrics.count_limit(LimitKind::Api),
            ApiError::BodyTooLarge => self.metrics.count_limit(LimitKind::Body),
            ApiError::BodyIncomplete => self.metrics.count_limit(LimitKind::BodyTime),
            _ => {}
        }
    }

    async fn call(
        &self,
        integrations: &Integrations,
        call: ApiRoute,
        request: Request<Incoming>,
        context: RequestContext,
    ) -> Result<Response<Body>, ApiError> {
        if call == ApiRoute::OpenApi {
            return Ok(plain(StatusCode::OK, JSON, DOCUMENT.clone()));
        }
        let operation = call.operation();
        let Some(caller) = integrations.caller(&bearer(request.headers())?) else {
            self.audit_refusal(&ApiError::KeyUnknown, operation, None, &context);
            return Err(ApiError::KeyUnknown);
        };
        let now = self.state.clock.now();
        caller
            .take(now)
            .map_err(|wait| ApiError::TooManyRequests { wait })?;
        let performed = self.perform(call, caller, request, now).await;
        let (answer, about) = performed.inspect_err(|error| {
            self.audit_refusal(error, operation, Some(&caller), &context);
        })?;
        audit::called(operation, &about, &caller, &context);
        Ok(answer)
    }

    /// Answers a caller; gives the room or link that it was about, too.
    async fn perform(
        &self,
        call: ApiRoute,
        caller: Caller<'_>,
        request: Request<Incoming>,
        now: Timestamp,
    ) -> Result<(Response<Body>, String), ApiError> {
        let operation = call.operation();
        match call {
            ApiRoute::CreateMeeting => {
                let written = written(caller, operation, request).await?;
                self.create_meeting(&written, now).await
            }
            ApiRoute::CreateLink => {
                let written = written(caller, operation, request).await?;
                self.create_link(&written, now).await
            }
            ApiRoute::RevokeLink(id) => Ok((self.revoke_link(caller.integration, &id)?, id)),
            ApiRoute::Room(room) => Ok((self.room(caller.integration, &room)?, room.to_string())),
            ApiRoute::OpenApi => Err(ApiError::NotFound),
        }
    }

    /// Audits a wrong key, and a right one used for another integration's room or link.
    fn audit_refusal(
        &self,
        error: &ApiError,
        operation: ApiOperation,
        caller: Option<&Caller<'_>>,
        context: &RequestContext,
    ) {
        let outcome = error.outcome();
        if matches!(outcome, ApiOutcome::KeyUnknown | ApiOutcome::Foreign)
            && let Some(suppressed) = self.state.audit_quota.permit_refused_key(context)
        {
            audit::api_refused(outcome, operation, caller, suppressed, context);
        }
    }

    async fn create_meeting(
        &self,
        written: &Written<'_>,
        now: Timestamp,
    ) -> Result<(Response<Body>, String), ApiError> {
        let state = &self.state;
        let integration = written.caller.integration;
        let meeting = written.read::<MeetingRequest>()?.check(now)?;
        let room = meeting.room(&state.authorizer.owners, integration, &state.random)?;
        let link = |host: bool| InvitationLink {
            id: link::new_link_id(integration, &state.random),
            room: room.clone(),
            host,
            name: None,
            email: None,
            begins: meeting.not_before,
            expires: meeting.expires_at,
            uses: None,
            by: integration.id().to_owned(),
        };
        let (host, guest) = (link(true), meeting.guests.then(|| link(false)));
        let answer = MeetingAnswer {
            room: room.to_string(),
            url: state.address(&room),
            host_url: state.link_address(&host),
            host_link_id: host.id,
            guest_url: guest.as_ref().map(|link| state.link_address(link)),
            guest_link_id: guest.map(|link| link.id),
            ics_url: state.ics_address(&room, &meeting, now),
            expires_at: ApiTime(meeting.expires_at),
        };
        let answer = self.answer_once(written, &answer).await?;
        Ok((answer, room.to_string()))
    }

    async fn create_link(
        &self,
        written: &Written<'_>,
        now: Timestamp,
    ) -> Result<(Response<Body>, String), ApiError> {
        let state = &self.state;
        let integration = written.caller.integration;
        let wanted = written.read::<LinkRequest>()?.check(integration, now)?;
        let about = wanted.room.to_string();
        let link = InvitationLink {
            id: link::new_link_id(integration, &state.random),
            room: wanted.room,
            host: wanted.host,
            name: wanted.name,
            email: wanted.email,
            begins: None,
            expires: wanted.expires,
            uses: wanted.uses,
            by: integration.id().to_owned(),
        };
        let answer = LinkAnswer {
            url: state.link_address(&link),
            expires_at: ApiTime(link.expires),
            id: link.id,
        };
        Ok((self.answer_once(written, &answer).await?, about))
    }

    /// Whatever came of the link: that it is revoked twice, or has expired, makes no difference.
    fn revoke_link(&self, integration: &Integration, id: &str) -> Result<Response<Body>, ApiError> {
        if !link::owns_link_id(integration, id) {
            return Err(ApiError::LinkNotOwned);
        }
        self.state
            .authenticator
            .revocations
            .revoke(Selector::Link(id.to_owned()));
        let mut answer = Response::new(Body::EMPTY);
        *answer.status_mut() = StatusCode::NO_CONTENT;
        Ok(answer)
    }

    fn room(&self, integration: &Integration, room: &RoomKey) -> Result<Response<Body>, ApiError> {
        if !integration.has_room(room) {
            return Err(ApiError::RoomNotOwned);
        }
        let presence = &self.state.authorizer.presence;
        let answer = RoomAnswer {
            room: room.to_string(),
            open: presence.is_open(room),
            host_present: presence.is_host_present(room),
            people: presence.occupant_count(room),
        };
        Ok(plain(StatusCode::OK, JSON, to_json(&answer)))
    }
}

// === impl SharedState ===

impl SharedState {
    fn address(&self, room: &RoomKey) -> String {
        format!("{}{}", self.authenticator.origin, room.page_path())
    }

    fn link_address(&self, link: &InvitationLink) -> String {
        let token = self.links.issue(link);
        format!("{}?invite={token}", self.address(&link.room))
    }

    fn ics_address(&self, room: &RoomKey, meeting: &api::NewMeeting, now: Timestamp) -> String {
        let start = ApiTime(meeting.not_before.unwrap_or(now)).to_rfc3339();
        // As the form on the meeting's page writes it: to the minute, in UTC.
        let start = start.get(..MINUTES).unwrap_or(&start);
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("room", &room.to_string())
            .append_pair("start", start)
            .append_pair("minutes", &meeting.minutes.to_string());
        if let Some(title) = &meeting.title {
            query.append_pair("title", title);
        }
        format!(
            "{}/_gateway/meeting.ics?{}",
            self.authenticator.origin,
            query.finish()
        )
    }
}

// === impl Written ===

impl Written<'_> {
    fn read<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        api::parse_body(&self.body)
    }
}

/// The one key that a request shows.
fn bearer(headers: &HeaderMap) -> Result<Bearer, ApiError> {
    let mut shown = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(one), None) = (shown.next(), shown.next()) else {
        return Err(ApiError::KeyMissing);
    };
    one.to_str()
        .ok()
        .and_then(Bearer::parse)
        .ok_or(ApiError::KeyMissing)
}

async fn written(
    caller: Caller<'_>,
    operation: ApiOperation,
    request: Request<Incoming>,
) -> Result<Written<'_>, ApiError> {
    if !api::is_json(request.headers()) {
        return Err(ApiError::UnsupportedMediaType);
    }
    let key = IdempotencyKey::from_headers(request.headers())?;
    let body = body::whole(request.into_body(), MAX_BODY_BYTES).await;
    let body = body.map_err(|unread| match unread {
        Unread::TooLarge => ApiError::BodyTooLarge,
        Unread::Lost => ApiError::BodyIncomplete,
    })?;
    Ok(Written {
        caller,
        operation,
        key,
        body,
    })
}

fn refusal(error: &ApiError, context: RequestContext) -> Response<Body> {
    let problem = error.problem(context.id.to_string());
    let mut answer = plain(error.status(), PROBLEM_JSON, problem.to_json());
    let headers = answer.headers_mut();
    match error {
        ApiError::MethodNotAllowed { allow } => {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        ApiError::KeyMissing => {
            headers.insert(header::WWW_AUTHENTICATE, CHALLENGE);
        }
        // RFC 6750 § 3.1.
        ApiError::KeyUnknown => {
            headers.insert(header::WWW_AUTHENTICATE, CHALLENGE_AGAIN);
        }
        ApiError::TooManyRequests { wait } => {
            // A whole second at least, or clients come back at once.
            let seconds = wait.as_secs().max(1);
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        ApiError::StoreUnavailable => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        // What follows on the connection may be the rest of the body.
        ApiError::BodyTooLarge | ApiError::BodyIncomplete => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
    answer
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and numbers always serialize")
}

/// Asked for by anybody, so it is made once.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(format!("{:#}\n", api::openapi())));

const JSON: &str = "application/json";

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

const CHALLENGE: HeaderValue = HeaderValue::from_static(r#"Bearer realm="api""#);

const CHALLENGE_AGAIN: HeaderValue =
    HeaderValue::from_static(r#"Bearer realm="api", error="invalid_token""#);

/// `2027-01-11T09:30`.
const MINUTES: usize = 16;
