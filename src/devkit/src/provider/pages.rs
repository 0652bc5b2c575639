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
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in</title>
<style>{{ style|safe }}
.person { display: grid; gap: 0; inline-size: 100%; padding: 0.7rem 1rem; border: 1px solid var(--edge); border-radius: 0.6rem; background: var(--card); color: var(--text); font: inherit; text-align: start; cursor: pointer; }
.person:hover { border-color: var(--accent); }
.person small { color: var(--quiet); }
</style>
<div class="page">
<main>
<div class="card">
<h1>Who are you?</h1>
<p>This is the demonstration's sign-in. The accounts are fictional and have no passwords. A real deployment
asks your OpenID provider here.</p>
<form method="post" action="/sign-in">
<input type="hidden" name="request" value="{{ request }}">
<ul class="choices">
{% for account in accounts %}<li><button class="person" name="account" value="{{ account.id }}"><strong>{{ account.name }}</strong>
<small>{{ account.email }}{% for group in account.groups %} · group “{{ group }}”{% endfor %}</small></button></li>
{% endfor %}</ul>
</form>
<p class="note">After that you are back at the meeting. Requested by {{ client }}.</p>
</div>
</main>
</div>
</html>
"#
)]
pub(super) struct SignInPage<'p> {
    /// The style sheet, which is that of the gateway's pages.
    pub(super) style: &'static str,
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
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>{{ style|safe }}</style>
<div class="page">
<main>
<div class="card">
<h1>{{ title }}</h1>
<p>{{ text }}</p>
{% if let Some(logout) = logout %}<form method="post" action="/logout">
{% for (name, value) in logout %}<input type="hidden" name="{{ name }}" value="{{ value }}">
{% endfor %}<button class="button">Sign out</button>
</form>{% endif %}
</div>
</main>
</div>
</html>
"#
)]
pub(super) struct Notice<'p> {
    /// The style sheet, which is that of the gateway's pages.
    pub(super) style: &'static str,
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
