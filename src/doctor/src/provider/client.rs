//! Evaluates whether the provider accepts the client, its secret and its redirect URI.

use http::{Response, StatusCode, header};
use oidc::{AuthenticationError, ClientAuth, FetchError, OidcSettings};
use url::Url;

use super::{found, without_tags};
use crate::{Finding, FindingKind, client::single_line};

/// The response to an authorization request with `prompt=none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AuthorizationResponse {
    /// A redirect to the client with this error.
    Error(String),
    /// A sign-in page, or a redirect to one.
    SignIn,
    /// An error page of the provider.
    Page(String),
    /// No usable response: the endpoint may be reachable by browsers only.
    Unknown,
}

/// Classifies the response to the authorization request.
pub(super) fn classify(response: &Response<Vec<u8>>, redirect_uri: &Url) -> AuthorizationResponse {
    let location = response.headers().get(header::LOCATION);
    let location = location
        .and_then(|location| location.to_str().ok())
        .unwrap_or_default();
    let body = String::from_utf8_lossy(response.body());
    if response.status().is_redirection() {
        let error = Url::parse(location).ok().and_then(|url| {
            let mut pairs = url.query_pairs();
            pairs
                .find(|(name, _)| name == "error")
                .map(|(_, error)| error.into_owned())
        });
        return match error {
            Some(error) if location.starts_with(redirect_uri.as_str()) => {
                AuthorizationResponse::Error(error)
            }
            Some(error) => AuthorizationResponse::Page(single_line(&error)),
            None if location.contains("/error") => {
                AuthorizationResponse::Page(single_line(location))
            }
            None => AuthorizationResponse::SignIn,
        };
    }
    let brief = format!(
        "{} {}",
        response.status().as_u16(),
        single_line(&without_tags(&body))
    );
    let folded = body.to_lowercase();
    let complains = [
        "redirect_uri",
        "redirect uri",
        "client not found",
        "invalid_client",
    ]
    .iter()
    .any(|part| folded.contains(part));
    match response.status() {
        StatusCode::OK if !complains => AuthorizationResponse::SignIn,
        status if status.is_server_error() => AuthorizationResponse::Unknown,
        _ => AuthorizationResponse::Page(brief),
    }
}

/// Evaluates both responses. `refusal` is that of the token endpoint to an invalid code.
pub(super) fn evaluate_client(
    settings: &OidcSettings,
    authorization: &AuthorizationResponse,
    refusal: Option<&AuthenticationError>,
) -> Result<(), Finding> {
    let OidcSettings {
        client_id: client,
        redirect_uri,
        scopes,
        ..
    } = settings;
    let code = "an invalid code, to the token endpoint";
    let request = "an authorization request with prompt=none";
    if matches!(refusal, Some(AuthenticationError::ClientRefused)) {
        return Err(match authorization {
            AuthorizationResponse::Page(page) => found(FindingKind::ProviderClient, request, page)
                .with_remedy(
                    format!("the provider does not know the client {client:?}"),
                    "set oidc.client_id to the client id at the provider, and check \
                     that the client is enabled",
                ),
            _ if matches!(settings.client_auth, ClientAuth::Key(_)) => {
                found(FindingKind::ProviderSecret, code, "invalid_client").with_remedy(
                    format!("the provider knows the client {client:?}, but refuses its assertion"),
                    "give the provider the public key of oidc.client_key_file, and the method \
                     private_key_jwt; with several keys set oidc.client_key_id; if it finds keys by \
                     their certificates, as Entra ID does, set oidc.client_certificate_file and \
                     oidc.client_key_algorithm; if it demands its token endpoint as audience, \
                     set oidc.assertion_audience; compare the clocks",
                )
            }
            _ => found(FindingKind::ProviderSecret, code, "invalid_client").with_remedy(
                format!("the provider knows the client {client:?}, but refuses its secret"),
                "copy the client's secret into oidc.client_secret_file again, and \
                 compare oidc.client_auth: client_secret_basic or \
                 client_secret_post",
            ),
        });
    }
    match authorization {
        AuthorizationResponse::Page(page) => {
            return Err(
                found(FindingKind::ProviderRedirectUri, request, page).with_remedy(
                    "the provider does not accept the gateway's redirect URI for this \
                     client",
                    format!(
                        "register {redirect_uri} as a redirect URI of {client:?} (Valid \
                         redirect URIs in Keycloak, Authorised redirect URIs at Google)"
                    ),
                ),
            );
        }
        AuthorizationResponse::Error(error) if error == "invalid_scope" => {
            return Err(
                found(FindingKind::ProviderScope, request, error).with_remedy(
                    "the provider refuses a scope of oidc.scopes",
                    format!(
                        "remove it from oidc.scopes, or allow it at the provider: {}",
                        scopes.join(" ")
                    ),
                ),
            );
        }
        AuthorizationResponse::Error(error)
            if matches!(
                error.as_str(),
                "unauthorized_client" | "unsupported_response_type" | "invalid_request"
            ) =>
        {
            return Err(
                found(FindingKind::ProviderFlow, request, error).with_remedy(
                    "the provider refuses the authorization code flow for this client",
                    "enable the code flow (Standard flow in Keycloak) with PKCE by S256",
                ),
            );
        }
        _ => {}
    }
    match refusal {
        Some(AuthenticationError::TokenEndpoint(
            error @ (FetchError::Unreachable(_)
            | FetchError::Certificate(_)
            | FetchError::Timeout
            | FetchError::Redirected(_)),
        )) => Err(
            found(FindingKind::ProviderTokenEndpoint, code, error.to_string()).with_remedy(
                "the token endpoint cannot be reached from here, so sign-in fails",
                "set oidc.internal_url to the provider's address as seen from here",
            ),
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, location: &str, body: &str) -> Response<Vec<u8>> {
        let response = Response::builder()
            .status(status)
            .header(header::LOCATION, location);
        response.body(body.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn responses_of_many_providers_are_classified() {
        let redirect_uri = Url::parse("https://meet.example.org/_gateway/callback").unwrap();
        let back = "https://meet.example.org/_gateway/callback?error=login_required&state=x";
        assert_eq!(
            classify(&response(303, back, ""), &redirect_uri),
            AuthorizationResponse::Error("login_required".to_owned())
        );
        let page = |response| {
            matches!(
                classify(&response, &redirect_uri),
                AuthorizationResponse::Page(_)
            )
        };
        // Keycloak, oidc-provider, Google.
        assert!(page(response(
            400,
            "",
            "<p>Invalid parameter: redirect_uri</p>"
        )));
        assert!(page(response(400, "", "<pre>invalid_client</pre>")));
        assert!(page(response(
            302,
            "https://sso/signin/oauth/error?authError=Cg",
            ""
        )));
        // A sign-in page, and a redirect to one.
        assert_eq!(
            classify(&response(200, "", "<form>Password"), &redirect_uri),
            AuthorizationResponse::SignIn
        );
        assert_eq!(
            classify(&response(302, "https://sso/login", ""), &redirect_uri),
            AuthorizationResponse::SignIn
        );
        assert_eq!(
            classify(&response(503, "", ""), &redirect_uri),
            AuthorizationResponse::Unknown
        );
    }

    #[test]
    fn client_secret_and_redirect_uri_have_their_own_findings() {
        let settings = crate::fixtures::oidc_settings();
        let id = |authorization, redeemed| {
            evaluate_client(&settings, &authorization, Some(&redeemed))
                .err()
                .map(|finding| finding.id())
        };
        let page = || AuthorizationResponse::Page("no".to_owned());
        let redirect = |error: &str| AuthorizationResponse::Error(error.to_owned());
        let cases = [
            (
                page(),
                AuthenticationError::ClientRefused,
                Some("C4.client"),
            ),
            (
                redirect("login_required"),
                AuthenticationError::ClientRefused,
                Some("C4.secret"),
            ),
            (
                page(),
                AuthenticationError::CodeRefused,
                Some("C4.redirect"),
            ),
            (
                redirect("invalid_scope"),
                AuthenticationError::CodeRefused,
                Some("C4.scope"),
            ),
            (
                redirect("unauthorized_client"),
                AuthenticationError::CodeRefused,
                Some("C4.flow"),
            ),
            (
                AuthorizationResponse::Unknown,
                AuthenticationError::TokenEndpoint(FetchError::Timeout),
                Some("C4.token-endpoint"),
            ),
            (
                redirect("login_required"),
                AuthenticationError::CodeRefused,
                None,
            ),
            (
                AuthorizationResponse::SignIn,
                AuthenticationError::CodeRefused,
                None,
            ),
        ];
        for (authorization, redeemed, expected) in cases {
            assert_eq!(id(authorization, redeemed).as_deref(), expected);
        }
    }
}
