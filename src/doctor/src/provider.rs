//! The OpenID provider: discovery, and whether it accepts the client, its secret and its redirect
//! URI, as far as that shows without a user.

mod logout;

use http::{Response, StatusCode, header};
use model::random::Random;
use oidc::{Description, DescriptionError, FetchError, Probe, Settings, SignInFailure};
use url::Url;

use super::{
    Check, DoctorReport, Finding, FindingKind,
    client::single_line,
    clocks::{ClockOffsets, ClockSource},
    options::Progress,
};

/// The response to an authorization request with `prompt=none`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum AuthorizationResponse {
    /// A redirect to the client with this error.
    Error(String),
    /// A sign-in page, or a redirect to one.
    SignIn,
    /// An error page of the provider.
    Page(String),
    /// No usable response: the endpoint may be reachable by browsers only.
    Unknown,
}

/// Runs the checks C4 and C5.
pub(super) async fn examine(
    settings: &Settings,
    random: &Random,
    progress: &Progress<'_>,
    report: &mut DoctorReport,
    offsets: &mut ClockOffsets,
) {
    progress.begins(Check::Provider);
    let described = match Probe::new(settings) {
        Ok(probe) => match probe.describe().await {
            Ok(described) => Ok((probe, described)),
            Err(error) => Err(discovery_failed(settings, &error)),
        },
        Err(error) => Err(
            found(FindingKind::ProviderSettings, "nothing", error.to_string()).with_remedy(
                "[oidc] cannot be used",
                "correct oidc.issuer, oidc.internal_url and oidc.ca_file",
            ),
        ),
    };
    let (probe, described) = match described {
        Ok(described) => described,
        Err(finding) => {
            report.fail(finding);
            report.skip_dependents(Check::Provider);
            return;
        }
    };
    offsets.add(ClockSource::Provider, &described.headers);
    let result = examine_client(&probe, &described, settings, random).await;
    if !report.record(Check::Provider, result) {
        report.skip_dependents(Check::Provider);
    } else if progress.begins(Check::ProviderLogout) {
        logout::examine(&probe, &described, settings, report).await;
    }
}

async fn examine_client(
    probe: &Probe,
    described: &Description,
    settings: &Settings,
    random: &Random,
) -> Result<(), Finding> {
    let text = || random.text::<32>();
    let authorization = match probe.ask(described, &text(), &text(), &text()).await {
        Ok(response) => classify(&response, &settings.redirect_uri),
        Err(_) => AuthorizationResponse::Unknown,
    };
    let redeemed = probe.redeem(described, text().into(), &text()).await;
    evaluate_client(settings, &authorization, redeemed.as_ref().err())
}

fn found(kind: FindingKind, sent: impl Into<String>, got: impl Into<String>) -> Finding {
    Finding::error(kind).with_exchange(sent, got)
}

fn discovery_failed(settings: &Settings, error: &DescriptionError) -> Finding {
    let sent = format!(
        "a request for the discovery document of {}",
        settings.issuer
    );
    let reach = "check name resolution, firewalls and proxies here; oidc.internal_url sets another \
                 address of the provider, oidc.ca_file its certificate authority, oidc.http_proxy a \
                 proxy";
    match error {
        DescriptionError::Unreachable(why) => found(FindingKind::ProviderUnreached, sent, why).with_remedy(
            "the provider cannot be reached from here, so sign-in fails",
            reach,
        ),
        DescriptionError::Issuer { found: theirs } => found(FindingKind::ProviderIssuer, sent, format!("issuer {theirs:?}")).with_remedy(
            "the provider has another issuer, so its tokens are refused",
            format!(
                "set oidc.issuer = {theirs:?} exactly, with or without a trailing slash; if that is an \
                 internal name, set the provider's own public address (KC_HOSTNAME in Keycloak)"
            ),
        ),
        DescriptionError::Answer(status) => found(FindingKind::ProviderDiscovery, sent, status.to_string()).with_remedy(
            "there is no discovery document at this address",
            "correct oidc.issuer: the address before /.well-known/openid-configuration, for Keycloak \
             https://HOST/realms/REALM",
        ),
        DescriptionError::Unusable(why) => found(FindingKind::ProviderDiscovery, sent, why).with_remedy(
            "the discovery document cannot be used",
            "correct oidc.issuer, or the provider's discovery document",
        ),
        DescriptionError::Keys(why) => found(FindingKind::ProviderKeys, sent, why).with_remedy(
            "the provider's keys cannot be fetched or used, so its tokens are refused",
            reach,
        ),
    }
}

fn classify(response: &Response<Vec<u8>>, redirect_uri: &Url) -> AuthorizationResponse {
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

/// `refusal` is the token endpoint's response to an invalid code.
fn evaluate_client(
    settings: &Settings,
    authorization: &AuthorizationResponse,
    refusal: Option<&SignInFailure>,
) -> Result<(), Finding> {
    let Settings {
        client_id: client,
        redirect_uri,
        scopes,
        ..
    } = settings;
    let code = "an invalid code, to the token endpoint";
    let request = "an authorization request with prompt=none";
    if matches!(refusal, Some(SignInFailure::ClientRefused)) {
        return Err(match authorization {
            AuthorizationResponse::Page(page) => found(FindingKind::ProviderClient, request, page).with_remedy(
                format!("the provider does not know the client {client:?}"),
                "set oidc.client_id to the client id at the provider, and check that the client is enabled",
            ),
            _ => found(FindingKind::ProviderSecret, code, "invalid_client").with_remedy(
                format!("the provider knows the client {client:?}, but refuses its secret"),
                "copy the client's secret into oidc.client_secret_file again, and compare \
                 oidc.client_auth: client_secret_basic or client_secret_post",
            ),
        });
    }
    match authorization {
        AuthorizationResponse::Page(page) => {
            return Err(found(FindingKind::ProviderRedirectUri, request, page).with_remedy(
                "the provider does not accept the gateway's redirect URI for this client",
                format!(
                    "register {redirect_uri} as a redirect URI of {client:?} (Valid redirect URIs \
                     in Keycloak, Authorised redirect URIs at Google)"
                ),
            ));
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
        Some(SignInFailure::TokenEndpoint(
            error @ (FetchError::Unreachable(_) | FetchError::Timeout | FetchError::Redirected(_)),
        )) => Err(
            found(FindingKind::ProviderTokenEndpoint, code, error.to_string()).with_remedy(
                "the token endpoint cannot be reached from here, so sign-in fails",
                "set oidc.internal_url to the provider's address as seen from here",
            ),
        ),
        _ => Ok(()),
    }
}

/// Removes markup: an error page has one sentence of text.
fn without_tags(html: &str) -> String {
    let body = html.split_once("<body").map_or(html, |(_, body)| body);
    let mut text = String::new();
    let mut inside = html.len() != body.len();
    for c in body.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                text.push(' ');
            }
            c if !inside => text.push(c),
            _ => {}
        }
    }
    text
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
        let ours = Url::parse("https://meet.example.org/_gateway/callback").unwrap();
        let back = "https://meet.example.org/_gateway/callback?error=login_required&state=x";
        assert_eq!(
            classify(&response(303, back, ""), &ours),
            AuthorizationResponse::Error("login_required".to_owned())
        );
        let page = |response| matches!(classify(&response, &ours), AuthorizationResponse::Page(_));
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
            classify(&response(200, "", "<form>Password"), &ours),
            AuthorizationResponse::SignIn
        );
        assert_eq!(
            classify(&response(302, "https://sso/login", ""), &ours),
            AuthorizationResponse::SignIn
        );
        assert_eq!(
            classify(&response(503, "", ""), &ours),
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
            (page(), SignInFailure::ClientRefused, Some("C4.client")),
            (
                redirect("login_required"),
                SignInFailure::ClientRefused,
                Some("C4.secret"),
            ),
            (page(), SignInFailure::CodeRefused, Some("C4.redirect")),
            (
                redirect("invalid_scope"),
                SignInFailure::CodeRefused,
                Some("C4.scope"),
            ),
            (
                redirect("unauthorized_client"),
                SignInFailure::CodeRefused,
                Some("C4.flow"),
            ),
            (
                AuthorizationResponse::Unknown,
                SignInFailure::TokenEndpoint(FetchError::Timeout),
                Some("C4.token-endpoint"),
            ),
            (redirect("login_required"), SignInFailure::CodeRefused, None),
            (
                AuthorizationResponse::SignIn,
                SignInFailure::CodeRefused,
                None,
            ),
        ];
        for (authorization, redeemed, expected) in cases {
            assert_eq!(id(authorization, redeemed).as_deref(), expected);
        }
    }

    #[test]
    fn text_of_error_pages_is_extracted() {
        let page = "<head><style>p { color: red }</style></head><body class=x><p>Invalid <b>id</b></p></body>";
        assert_eq!(single_line(&without_tags(page)), "Invalid id");
        assert_eq!(single_line(&without_tags("plain")), "plain");
    }
}
