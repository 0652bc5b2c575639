//! The API for other systems: who asks, what for, and what is done about it.

mod once;

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use serde::{Serialize, de::DeserializeOwned};
use url::form_urlencoded;

use super::{
    Body, Facts, Failure, Gateway, Worker, audit,
    body::{self, Unread},
    failure::plain,
};
use crate::api::{
    self, ApiError, Call, IdempotencyKey, LinkAnswer, LinkRequest, MAX_BODY_BYTES, MeetingAnswer,
    MeetingRequest, PROBLEM_JSON, RoomAnswer, Time, link,
};
use cluster::revocation::Selector;
use model::{
    clock::Timestamp,
    headers::X_REQUEST_ID,
    integration::{Bearer, Caller, Integration, Integrations},
    invitation::Link,
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
    pub(super) async fn api(
        &self,
        path: &str,
        request: Request<Incoming>,
        facts: Facts,
    ) -> Result<Response<Body>, Failure> {
        let rules = self.rules();
        let call = if rules.integrations.has_api() {
            Call::of(request.method(), path)
        } else {
            Err(ApiError::NotFound)
        };
        let operation = call.as_ref().map_or(ApiOperation::Unknown, Call::operation);
        let result = match call {
            Ok(call) => self.call(&rules.integrations, call, request, facts).await,
            Err(error) => Err(error),
        };
        let outcome = result
            .as_ref()
            .map_or_else(ApiError::outcome, |_| ApiOutcome::Ok);
        self.metrics.count_api_request(operation, outcome);
        let mut answer = result.unwrap_or_else(|error| {
            self.count_refusal(&error);
            refusal(&error, facts)
        });
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, NO_STORE);
        headers.insert(X_REQUEST_ID, facts.id.header_value());
        Ok(answer)
    }

    fn count_refusal(&self, error: &ApiError) {
        match error {
            ApiError::TooMany { .. } => self.metrics.count_limit(LimitKind::Api),
            ApiError::TooLarge => self.metrics.count_limit(LimitKind::Body),
            ApiError::BodyLost => self.metrics.count_limit(LimitKind::BodyTime),
            _ => {}
        }
    }

    async fn call(
        &self,
        integrations: &Integrations,
        call: Call,
        request: Request<Incoming>,
        facts: Facts,
    ) -> Result<Response<Body>, ApiError> {
        if call == Call::Document {
            return Ok(plain(StatusCode::OK, JSON, DOCUMENT.clone()));
        }
        let operation = call.operation();
        let Some(caller) = integrations.caller(&bearer(request.headers())?) else {
            self.audit_refusal(&ApiError::UnknownKey, operation, None, &facts);
            return Err(ApiError::UnknownKey);
        };
        let now = self.gateway.clock.now();
        caller
            .take(now)
            .map_err(|wait| ApiError::TooMany { wait })?;
        let performed = self.perform(call, caller, request, now).await;
        let (answer, about) = performed.inspect_err(|error| {
            self.audit_refusal(error, operation, Some(&caller), &facts);
        })?;
        audit::called(operation, &about, &caller, &facts);
        Ok(answer)
    }

    /// Answers a caller; gives the room or link that it was about, too.
    async fn perform(
        &self,
        call: Call,
        caller: Caller<'_>,
        request: Request<Incoming>,
        now: Timestamp,
    ) -> Result<(Response<Body>, String), ApiError> {
        let operation = call.operation();
        match call {
            Call::CreateMeeting => {
                let written = written(caller, operation, request).await?;
                self.create_meeting(&written, now).await
            }
            Call::CreateLink => {
                let written = written(caller, operation, request).await?;
                self.create_link(&written, now).await
            }
            Call::RevokeLink(id) => Ok((self.revoke_link(caller.integration, &id)?, id)),
            Call::Room(room) => Ok((self.room(caller.integration, &room)?, room.to_string())),
            Call::Document => Err(ApiError::NotFound),
        }
    }

    /// Audits a wrong key, and a right one used for another integration's room or link.
    fn audit_refusal(
        &self,
        error: &ApiError,
        operation: ApiOperation,
        caller: Option<&Caller<'_>>,
        facts: &Facts,
    ) {
        let outcome = error.outcome();
        if matches!(outcome, ApiOutcome::KeyUnknown | ApiOutcome::Foreign)
            && let Some(suppressed) = self.permit_line(facts)
        {
            audit::api_refused(outcome, operation, caller, suppressed, facts);
        }
    }

    async fn create_meeting(
        &self,
        written: &Written<'_>,
        now: Timestamp,
    ) -> Result<(Response<Body>, String), ApiError> {
        let gateway = &self.gateway;
        let integration = written.caller.integration;
        let meeting = written.read::<MeetingRequest>()?.check(now)?;
        let room = meeting.room(&gateway.owners, integration, &gateway.random)?;
        let link = |host: bool| Link {
            id: link::new_id(integration, &gateway.random),
            room: room.clone(),
            host,
            name: None,
            email: None,
            begins: meeting.begins,
            expires: meeting.expires,
            uses: None,
            by: integration.id().to_owned(),
        };
        let (host, guest) = (link(true), meeting.guests.then(|| link(false)));
        let answer = MeetingAnswer {
            room: room.to_string(),
            url: gateway.address(&room),
            host_url: gateway.link_address(&host),
            host_link_id: host.id,
            guest_url: guest.as_ref().map(|link| gateway.link_address(link)),
            guest_link_id: guest.map(|link| link.id),
            ics_url: gateway.ics_address(&room, &meeting, now),
            expires_at: Time(meeting.expires),
        };
        let answer = self.answer_once(written, &answer).await?;
        Ok((answer, room.to_string()))
    }

    async fn create_link(
        &self,
        written: &Written<'_>,
        now: Timestamp,
    ) -> Result<(Response<Body>, String), ApiError> {
        let gateway = &self.gateway;
        let integration = written.caller.integration;
        let wanted = written.read::<LinkRequest>()?.check(integration, now)?;
        let about = wanted.room.to_string();
        let link = Link {
            id: link::new_id(integration, &gateway.random),
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
            url: gateway.link_address(&link),
            expires_at: Time(link.expires),
            id: link.id,
        };
        Ok((self.answer_once(written, &answer).await?, about))
    }

    /// Whatever came of the link: that it is revoked twice, or has expired, makes no difference.
    fn revoke_link(&self, integration: &Integration, id: &str) -> Result<Response<Body>, ApiError> {
        if !link::is_of(integration, id) {
            return Err(ApiError::ForeignLink);
        }
        self.gateway
            .revocations
            .revoke(Selector::Link(id.to_owned()));
        let mut answer = Response::new(Body::EMPTY);
        *answer.status_mut() = StatusCode::NO_CONTENT;
        Ok(answer)
    }

    fn room(&self, integration: &Integration, room: &RoomKey) -> Result<Response<Body>, ApiError> {
        if !integration.has_room(room) {
            return Err(ApiError::ForeignRoom);
        }
        let presence = &self.gateway.presence;
        let answer = RoomAnswer {
            room: room.to_string(),
            open: presence.is_open(room),
            host_present: presence.host_is_here(room),
            people: presence.people(room),
        };
        Ok(plain(StatusCode::OK, JSON, to_json(&answer)))
    }
}

// === impl Gateway ===

impl Gateway {
    fn address(&self, room: &RoomKey) -> String {
        format!("{}{}", self.origin, room.page_path())
    }

    fn link_address(&self, link: &Link) -> String {
        let token = self.links.issue(link);
        format!("{}?invite={token}", self.address(&link.room))
    }

    fn ics_address(&self, room: &RoomKey, meeting: &api::Meeting, now: Timestamp) -> String {
        let start = Time(meeting.begins.unwrap_or(now)).text();
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
        format!("{}/_gateway/meeting.ics?{}", self.origin, query.finish())
    }
}

// === impl Written ===

impl Written<'_> {
    fn read<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        api::read_body(&self.body)
    }
}

/// The one key that a request shows.
fn bearer(headers: &HeaderMap) -> Result<Bearer, ApiError> {
    let mut shown = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(one), None) = (shown.next(), shown.next()) else {
        return Err(ApiError::NoKey);
    };
    one.to_str()
        .ok()
        .and_then(Bearer::parse)
        .ok_or(ApiError::NoKey)
}

async fn written(
    caller: Caller<'_>,
    operation: ApiOperation,
    request: Request<Incoming>,
) -> Result<Written<'_>, ApiError> {
    if !api::is_json(request.headers()) {
        return Err(ApiError::MediaType);
    }
    let key = IdempotencyKey::of(request.headers())?;
    let body = body::whole(request.into_body(), MAX_BODY_BYTES).await;
    let body = body.map_err(|unread| match unread {
        Unread::TooLarge => ApiError::TooLarge,
        Unread::Lost => ApiError::BodyLost,
    })?;
    Ok(Written {
        caller,
        operation,
        key,
        body,
    })
}

fn refusal(error: &ApiError, facts: Facts) -> Response<Body> {
    let problem = error.problem(facts.id.to_string());
    let mut answer = plain(error.status(), PROBLEM_JSON, problem.to_json());
    let headers = answer.headers_mut();
    match error {
        ApiError::Method { allow } => {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        ApiError::NoKey => {
            headers.insert(header::WWW_AUTHENTICATE, CHALLENGE);
        }
        // RFC 6750 § 3.1.
        ApiError::UnknownKey => {
            headers.insert(header::WWW_AUTHENTICATE, CHALLENGE_AGAIN);
        }
        ApiError::TooMany { wait } => {
            // A whole second at least, or clients come back at once.
            let seconds = wait.as_secs().max(1);
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        ApiError::StoreAway => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        // What follows on the connection may be the rest of the body.
        ApiError::TooLarge | ApiError::BodyLost => {
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
static DOCUMENT: LazyLock<Bytes> =
    LazyLock::new(|| Bytes::from(format!("{:#}\n", api::document())));

const JSON: &str = "application/json";

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

const CHALLENGE: HeaderValue = HeaderValue::from_static(r#"Bearer realm="api""#);

const CHALLENGE_AGAIN: HeaderValue =
    HeaderValue::from_static(r#"Bearer realm="api", error="invalid_token""#);

/// `2027-01-11T09:30`.
const MINUTES: usize = 16;
