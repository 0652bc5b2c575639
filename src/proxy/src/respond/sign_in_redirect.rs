//! The redirect of a navigation to the sign-in; other requests are refused.

use http::{Request, Response, StatusCode};

use super::{RequestError, login_path, redirect};
use crate::{
    Body, Worker, authorize::AccessError, endpoints::sign_in_flow, request_context::is_reading,
};
use model::{headers, session::ReturnTo};

/// Redirects a navigation to the sign-in, which returns to the same address, or to the start page from
/// an endpoint of the gateway ([`ReturnTo`]).
pub(crate) fn redirect_to_sign_in<B>(
    worker: &Worker,
    request: &Request<B>,
) -> Result<Response<Body>, RequestError> {
    // The browser would return with GET, and the form be lost.
    if !is_reading(request.method()) {
        return Err(AccessError::SignInFirst.into());
    }
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    redirect_to_sign_in_for(worker, request, &ReturnTo::parse(target))
}

/// Redirects a navigation to the sign-in, which continues to `page`. The location has no fragment, so
/// that the browser keeps the one of the address.
pub(crate) fn redirect_to_sign_in_for<B>(
    worker: &Worker,
    request: &Request<B>,
    page: &ReturnTo,
) -> Result<Response<Body>, RequestError> {
    if !headers::is_navigation(request.headers()) {
        return Err(AccessError::SignInFirst.into());
    }
    sign_in_flow(worker)?;
    redirect(StatusCode::SEE_OTHER, &login_path(page, false))
}
