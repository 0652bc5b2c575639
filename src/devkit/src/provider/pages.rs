//! The provider's pages.

use askama::Template;
use http::{HeaderValue, StatusCode, header};

use super::DevAccount;
use crate::http::{self as server, Answer};

/// The page to choose a person on.
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
<p>This is the development sign-in of <code>jitsi-auth-gateway</code>. The people are invented and
have no passwords; a real deployment asks your OpenID provider here.</p>
<form method="post" action="/sign-in">
<input type="hidden" name="request" value="{{ request }}">
{% for account in accounts %}<button name="account" value="{{ account.id }}">{{ account.name }}<br>
<small>{{ account.email }}{% for group in account.groups %} · group “{{ group }}”{% endfor %}</small>
</button>
{% endfor %}</form>
<p><small>Asked for by {{ client }}</small></p>
</html>
"#
)]
pub(super) struct SignInPage<'p> {
    /// The authorization request's raw query, to be sent along with the choice.
    pub(super) request: &'p str,
    pub(super) client: &'p str,
    pub(super) accounts: &'p [DevAccount],
}

/// A page that says one thing, with a button if there is something to confirm.
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
<p>{{ words }}</p>
{% if let Some(logout) = logout %}<form method="post" action="/logout">
{% for (name, value) in logout %}<input type="hidden" name="{{ name }}" value="{{ value }}">
{% endfor %}<button>Sign out</button>
</form>{% endif %}
</html>
"#
)]
pub(super) struct Notice<'p> {
    pub(super) title: &'p str,
    pub(super) words: &'p str,
    pub(super) logout: Option<&'p [(String, String)]>,
}

/// The page as an answer that no other page can frame.
pub(super) fn html(status: StatusCode, page: &impl Template) -> Answer {
    let Ok(body) = page.render() else {
        return server::text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the page cannot be shown",
        );
    };
    let mut answer = server::answer(status, "text/html; charset=utf-8", body);
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    // `no-referrer` would make browsers send the form with the origin `null`.
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    );
    answer
}

/// No `form-action`: browsers apply it to the redirect that follows the form, which leads to the
/// client.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
