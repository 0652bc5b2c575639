//! The token endpoint (RFC 6749 § 4.1.3) and userinfo (OpenID Connect Core 1.0 § 5.3).

use std::{borrow::Cow, collections::HashMap, sync::atomic::Ordering};

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{
    DevClient, DevProviderState, JSON,
    grants::{ACCESS_LIFETIME, Access, Code, Refresh},
};
use crate::http::{self as server, HttpResponse};

pub(super) type Form<'f> = HashMap<Cow<'f, str>, Cow<'f, str>>;

// === impl DevProviderState ===

impl DevProviderState {
    /// Exchanges a code or refresh token for tokens. A failed attempt invalidates it, too.
    pub(super) fn exchange(&self, headers: &HeaderMap, form: &str) -> HttpResponse {
        let form: Form<'_> = form_urlencoded::parse(form.as_bytes()).collect();
        let field = |name: &str| form.get(name).map_or("", AsRef::as_ref);
        let Some(client) = self.authenticate(headers, &form) else {
            return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
        };
        match field("grant_type") {
            "authorization_code" => {}
            "refresh_token" => return self.refresh(&client, field("refresh_token")),
            _ => return refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        }
        let code = self.grants().codes.take(field("code"), self.clock.now());
        let fits = |code: &Code| {
            code.client_id == client.id
                && code.redirect_uri == field("redirect_uri")
                && code.challenge == challenge(field("code_verifier"))
        };
        match code.filter(fits) {
            Some(code) => {
                let Code {
                    client_id,
                    scope,
                    session,
                    nonce,
                    ..
                } = code;
                let right = Refresh {
                    client_id,
                    scope,
                    session,
                };
                self.issue_tokens(right, nonce)
            }
            None => refuse(StatusCode::BAD_REQUEST, "invalid_grant"),
        }
    }

    fn refresh(&self, client: &DevClient, token: &str) -> HttpResponse {
        let right = self.grants().refresh_tokens.take(token, self.clock.now());
        match right.filter(|right| right.client_id == client.id) {
            Some(right) => self.issue_tokens(right, None),
            None => refuse(StatusCode::BAD_REQUEST, "invalid_grant"),
        }
    }

    /// The claims of the access token's account.
    pub(super) fn userinfo(&self, headers: &HeaderMap) -> HttpResponse {
        let token = authorization(headers, "Bearer");
        let now = self.clock.now();
        let access = token.and_then(|token| self.grants().tokens.find(token, now).cloned());
        let claims = access.and_then(|access| {
            let account = self.account(&access.account)?;
            Some(Value::Object(account.claims(&access.scope)))
        });
        match claims {
            Some(claims) => server::response(StatusCode::OK, JSON, claims.to_string()),
            None => refuse(StatusCode::UNAUTHORIZED, "invalid_token"),
        }
    }

    /// Authenticates the client: `client_secret_basic`, `client_secret_post`, or `none` for a
    /// client without a secret.
    pub(super) fn authenticate(&self, headers: &HeaderMap, form: &Form<'_>) -> Option<DevClient> {
        let field = |name: &str| form.get(name).map(ToString::to_string);
        let (id, secret) = match authorization(headers, "Basic") {
            Some(encoded) => {
                let text = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
                let (id, secret) = text.split_once(':')?;
                (form_decode(id), Some(form_decode(secret)))
            }
            None => (field("client_id")?, field("client_secret")),
        };
        let client = self.client(&id)?;
        let proved = match (&client.secret, &secret) {
            (Some(registered), Some(secret)) => {
                verify_slices_are_equal(registered.expose_secret().as_bytes(), secret.as_bytes())
                    .is_ok()
            }
            (None, None) => true,
            _ => false,
        };
        proved.then_some(client)
    }

    fn issue_tokens(&self, right: Refresh, nonce: Option<String>) -> HttpResponse {
        let Some(account) = self.account(&right.session.account) else {
            return refuse(StatusCode::BAD_REQUEST, "invalid_grant");
        };
        let now = self.clock.now();
        let mut claims = account.claims(&right.scope);
        let required = [
            ("iss", json!(self.issuer)),
            ("aud", json!(right.client_id)),
            ("iat", json!(now)),
            ("exp", json!(now.after(ACCESS_LIFETIME))),
            ("auth_time", json!(right.session.began)),
            ("sid", json!(right.session.sid)),
            ("amr", json!(right.session.methods())),
        ];
        claims.extend(required.map(|(name, value)| (name.to_owned(), value)));
        if self.without_sid.load(Ordering::Relaxed) {
            claims.remove("sid");
        }
        let acr = right.session.acr.as_ref();
        claims.extend(acr.map(|acr| ("acr".to_owned(), json!(acr))));
        claims.extend(nonce.map(|nonce| ("nonce".to_owned(), json!(nonce))));
        let access_token = self.random.text::<32>();
        let access = Access {
            account: right.session.account.clone(),
            scope: right.scope.clone(),
        };
        let mut grants = self.grants();
        grants.tokens.put(access_token.clone(), access, now);
        let members = json!({
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": ACCESS_LIFETIME.as_secs(),
            "scope": right.scope,
            "id_token": self.key.sign("JWT", &Value::Object(claims)),
        });
        let mut tokens = members.as_object().cloned().unwrap_or_default();
        if self.refresh_tokens {
            let refresh_token = self.random.text::<32>();
            tokens.extend([("refresh_token".to_owned(), json!(refresh_token))]);
            grants.refresh_tokens.put(refresh_token, right, now);
        }
        server::response(StatusCode::OK, JSON, Value::Object(tokens).to_string())
    }
}

/// The credentials of `Authorization`, if it has this scheme.
fn authorization<'h>(headers: &'h HeaderMap, scheme: &str) -> Option<&'h str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (named, credentials) = value.split_once(' ')?;
    named.eq_ignore_ascii_case(scheme).then_some(credentials)
}

/// Decodes id or secret: both are form-encoded in Basic credentials (RFC 6749 § 2.3.1).
fn form_decode(text: &str) -> String {
    let whole = format!("={text}");
    let mut pairs = form_urlencoded::parse(whole.as_bytes());
    pairs
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

fn challenge(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}

pub(super) fn refuse(status: StatusCode, error: &'static str) -> HttpResponse {
    let mut answer = server::response(status, JSON, json!({ "error": error }).to_string());
    if status == StatusCode::UNAUTHORIZED {
        let scheme = match error {
            "invalid_token" => "Bearer error=\"invalid_token\"",
            _ => "Basic realm=\"development provider\"",
        };
        let headers = answer.headers_mut();
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
    }
    answer
}
