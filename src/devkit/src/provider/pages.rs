//! HTML pages of the provider.

use askama::Template;
use http::{HeaderValue, StatusCode, header};

use super::DevAccount;
use crate::http::{self as server, HttpResponse};

/// The page to choose an account.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Sign in</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 26rem; margin: 12vh auto; padding: 0 1rem }
button { display: block; width: 100%; margin: .5rem 0; padding: .7rem 1rem; font: inherit;
  text-align: left; border: 1px solid #888; border-radius: .5rem; background: none; cursor: pointer }
button:hover, button:focus { background: #8882 }
small { color: #777 }
</style>
<h1>Who are you?</h1>
<p>This is the development sign-in of <code>jitsi-auth-gateway</code>. The accounts are fictional and
have no passwords; a real deployment asks your OpenID provider here.</p>
<form method="post" action="/sign-in">
<input type="hidden" name="request" value="{{ request }}">
{% for account in accounts %}<button name="account" value="{{ account.id }}">{{ account.name }}<br>
<small>{{ account.email }}{% for group in account.groups %} · group “{{ group }}”{% endfor %}</small>
</button>
{% endfor %}</form>
<p><small>Requested by {{ client }}</small></p>
</html>
"#
)]
pub(super) struct SignInPage<'p> {
    /// The raw query of the authorization request, for a hidden field.
    pub(super) request: &'p str,
    pub(super) client: &'p str,
    pub(super) accounts: &'p [DevAccount],
}

/// A page with one message, and a button if there is a logout to confirm.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{ title }}</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 26rem; margin: 12vh auto; padding: 0 1rem }
</style>
<h1>{{ title }}</h1>
<p>{{ text }}</p>
{% if let Some(logout) = logout %}<form method="post" action="/logout">
{% for (name, value) in logout %}<input type="hidden" name="{{ name }}" value="{{ value }}">
{% endfor %}<button>Sign out</button>
</form>{% endif %}
</html>
"#
)]
pub(super) struct Notice<'p> {
    pub(super) title: &'p str,
    pub(super) text: &'p str,
    pub(super) logout: Option<&'p [(String, String)]>,
}

/// A response with the page, which other sites cannot frame.
pub(super) fn html(status: StatusCode, page: &impl Template) -> HttpResponse {
    let Ok(body) = page.render() else {
        return server::text(StatusCode::INTERNAL_SERVER_ERROR, "cannot render the page");
    };
    let mut response = server::response(status, "text/html; charset=utf-8", body);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    // `no-referrer` would make browsers send the form with the origin `null`.
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    );
    response
}

/// Without `form-action`: browsers apply it to redirects after the form, too, and this one leads to
/// the client.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
