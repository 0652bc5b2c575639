//! The API for other systems: authenticates the caller, performs the operation, audits it.

mod idempotency;
mod integration_api;

pub(crate) use self::{idempotency::IdempotentAnswers, integration_api::IntegrationApi};

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};

use crate::api::{self, ApiError, ApiRoute, IdempotencyKey, MAX_BODY_BYTES, PROBLEM_JSON};
use crate::{
    Body, RequestContext, RequestError, Worker, audit,
    body::{self, Unread},
    instrumentation::AuditQuota,
    respond::plain,
    server::ClientBody,
};
use model::{
    headers::X_REQUEST_ID,
    integration::{Bearer, Caller, Integrations},
    room::RoomKey,
};
use observe::metrics::{ApiOperation, ApiOutcome, LimitKind, WorkerMetrics};

/// A request with a body, before anybody looks into it.
struct Written<'r> {
    caller: Caller<'r>,
    operation: ApiOperation,
    key: Option<IdempotencyKey>,
    body: Bytes,
}

/// Answers a request to the API; `path` is the part below `api/v1/`.
pub(crate) async fn answer(
    worker: &Worker,
    path: &str,
    request: Request<ClientBody>,
    context: RequestContext,
) -> Result<Response<Body>, RequestError> {
    let rules = worker.rules();
    let route = if rules.integrations.has_api() {
        ApiRoute::parse(request.method(), path)
    } else {
        Err(ApiError::NotFound)
    };
    let operation = route
        .as_ref()
        .map_or(ApiOperation::Unknown, ApiRoute::operation);
    let result = match route {
        Ok(route) => call(worker, &rules.integrations, route, request, context).await,
        Err(error) => Err(error),
    };
    let outcome = result
        .as_ref()
        .map_or_else(ApiError::outcome, |_| ApiOutcome::Ok);
    worker.metrics.count_api_request(operation, outcome);
    let mut answer = result.unwrap_or_else(|error| {
        count_refusal(&worker.metrics, &error);
        refusal(&error, context)
    });
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(X_REQUEST_ID, context.id.header_value());
    Ok(answer)
}

fn count_refusal(metrics: &WorkerMetrics, error: &ApiError) {
    match error {
        ApiError::TooManyRequests { .. } => metrics.count_limit(LimitKind::Api),
        ApiError::BodyTooLarge => metrics.count_limit(LimitKind::Body),
        ApiError::BodyIncomplete => metrics.count_limit(LimitKind::BodyTime),
        _ => {}
    }
}

async fn call(
    worker: &Worker,
    integrations: &Integrations,
    route: ApiRoute,
    request: Request<ClientBody>,
    context: RequestContext,
) -> Result<Response<Body>, ApiError> {
    if route == ApiRoute::OpenApi {
        return Ok(plain(StatusCode::OK, JSON, DOCUMENT.clone()));
    }
    let operation = route.operation();
    let Some(caller) = integrations.caller(&bearer(request.headers())?) else {
        audit_refusal(
            &worker.state.audit_quota,
            &ApiError::KeyUnknown,
            operation,
            None,
            &context,
        );
        // Guesses use up the rate of their address, right keys do not.
        if let Some(client) = worker.state.limited_client(&context.client)
            && !worker.rates.sign_ins.take(client, Instant::now())
        {
            let wait = Duration::from_secs(5);
            return Err(ApiError::TooManyRequests { wait });
        }
        return Err(ApiError::KeyUnknown);
    };
    let now = worker.state.clock.now();
    caller
        .take(now)
        .map_err(|wait| ApiError::TooManyRequests { wait })?;
    let performed = worker.state.api.perform(route, caller, request, now).await;
    let (answer, about) = performed.inspect_err(|error| {
        audit_refusal(
            &worker.state.audit_quota,
            error,
            operation,
            Some(&caller),
            &context,
        );
    })?;
    audit::called(operation, &about, &caller, &context);
    Ok(answer)
}

/// Audits a wrong key, and a right one used for another integration's room or link.
fn audit_refusal(
    quota: &AuditQuota,
    error: &ApiError,
    operation: ApiOperation,
    caller: Option<&Caller<'_>>,
    context: &RequestContext,
) {
    let outcome = error.outcome();
    if matches!(outcome, ApiOutcome::KeyUnknown | ApiOutcome::Foreign)
        && let Some(suppressed) = quota.permit_refused_key(context)
    {
        audit::api_refused(outcome, operation, caller, suppressed, context);
    }
}

// === impl Written ===

impl Written<'_> {
    fn read<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        api::parse_body(&self.body)
    }
}

/// Whether a request shows a key of an integration that has the room, within the rate of that key.
pub(crate) fn has_key_to(worker: &Worker, headers: &HeaderMap, room: &RoomKey) -> bool {
    let rules = worker.rules();
    let Some(caller) = bearer(headers)
        .ok()
        .and_then(|bearer| rules.integrations.caller(&bearer))
    else {
        return false;
    };
    caller.take(worker.state.clock.now()).is_ok() && caller.integration.has_room(room)
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
    request: Request<ClientBody>,
) -> Result<Written<'_>, ApiError> {
    if !api::is_json(request.headers()) {
        return Err(ApiError::UnsupportedMediaType);
    }
    let key = IdempotencyKey::from_headers(request.headers())?;
    let body = body::whole(request.into_body(), MAX_BODY_BYTES).await;
    let body = body.map_err(|unread| match unread {
        Unread::TooLarge => ApiError::BodyTooLarge,
        Unread::Lost | Unread::Busy => ApiError::BodyIncomplete,
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
        ApiError::StoreUnavailable | ApiError::RevocationNotKept => {
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
