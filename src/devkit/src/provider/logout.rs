//! The logout endpoint (OpenID Connect RP-Initiated Logout 1.0).

use http::{HeaderValue, StatusCode, header};
use model::session::RequestCookies;
use url::{Url, form_urlencoded};

use super::{
    DevClient, DevProviderState,
    authorization::SESSION_COOKIE,
    pages::{Notice, html},
};
use crate::http::{self as server, HttpResponse};

// === impl DevProviderState ===

impl DevProviderState {
    /// Ends the browser's session. Without a valid `id_token_hint` any site could have redirected
    /// the browser here, so the user has to confirm first.
    pub(super) fn log_out(
        &self,
        raw: &str,
        cookies: RequestCookies<'_>,
        confirmed: bool,
    ) -> HttpResponse {
        let parameters: Vec<(String, String)> = form_urlencoded::parse(raw.as_bytes())
            .into_owned()
            .collect();
        let parameter = |name: &str| {
            let mut found = parameters.iter().filter(|(key, _)| key == name);
            found.next().map(|(_, value)| value.as_str())
        };
        let hint = parameter("id_token_hint").and_then(|token| self.key.verify(token));
        if hint.is_none() && !confirmed {
            let page = Notice {
                style: ::pages::STYLE,
                title: "Sign out?",
                text: "You would be signed out of the development provider.",
                logout: Some(&parameters),
            };
            return html(StatusCode::OK, &page);
        }
        let claim = |name: &str| hint.as_ref()?.get(name)?.as_str();
        let sid = claim("sid").or_else(|| cookies.value(SESSION_COOKIE));
        if let Some(sid) = sid {
            let mut grants = self.grants();
            grants.sessions.remove_where(|session| session.sid == sid);
        }
        let client = claim("aud").or_else(|| parameter("client_id"));
        let client = client.and_then(|id| self.client(id));
        let redirect_uri = redirect_uri(client.as_ref(), parameter("post_logout_redirect_uri"));
        let mut response = if let Some(mut redirect_uri) = redirect_uri {
            let state = parameter("state").map(|state| ("state", state));
            if state.is_some() {
                redirect_uri.query_pairs_mut().extend_pairs(state);
            }
            server::redirect(redirect_uri.as_str())
        } else {
            let page = Notice {
                style: ::pages::STYLE,
                title: "Signed out",
                text: "You are signed out of the development provider.",
                logout: None,
            };
            html(StatusCode::OK, &page)
        };
        let expired = format!("{SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
        if let Ok(expired) = HeaderValue::try_from(expired) {
            response.headers_mut().insert(header::SET_COOKIE, expired);
        }
        response
    }
}

/// The requested redirect URI, if it is registered.
fn redirect_uri(client: Option<&DevClient>, wanted: Option<&str>) -> Option<Url> {
    let wanted = wanted?;
    let registered = &client?.post_logout_redirect_uris;
    registered.iter().find(|uri| *uri == wanted)?;
    Url::parse(wanted).ok()
}
