//! The OpenID provider: its description, and whether it knows this client, its secret and its
//! redirect address, as far as that shows without a person.

mod logout;

use http::{Response, StatusCode, header};
use url::Url;

use super::{
    Check, Finding, Report, Watch,
    clocks::{Dates, Neighbour},
    wire::quoted,
};
use model::random::Random;
use oidc::{
    AuthenticationError, FetchError, OidcSettings, ProviderDescription, ProviderProbe,
    ProviderProbeError,
};

/// How the provider took an authorization request that asks for nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    /// It sent the browser back with this error.
    Back(String),
    /// It would have somebody sign in.
    SignIn,
    /// It showed an error of its own.
    Page(String),
    /// It was not to be asked from here.
    Unknown,
}

/// Looks at the provider.
pub(super) async fn examine(
    settings: &OidcSettings,
    random: &Random,
    watch: &Watch<'_>,
    report: &mut Report,
    dates: &mut Dates,
) {
    watch.begins(Check::C4);
    let described = match ProviderProbe::new(settings) {
        Ok(probe) => match probe.describe().await {
            Ok(described) => Ok((probe, described)),
            Err(error) => Err(description(settings, &error)),
        },
        Err(error) => Err(found("settings", "nothing", error.to_string()).so(
            "[oidc] cannot be used",
            "look at oidc.issuer, oidc.internal_url and oidc.ca_file",
        )),
    };
    let (probe, described) = match described {
        Ok(described) => described,
        Err(finding) => {
            report.find(finding);
            report.skip(&[Check::C5], "C4 failed");
            return;
        }
    };
    dates.note(Neighbour::Provider, &described.headers);
    let known = look(&probe, &described, settings, random).await;
    if !report.settle(Check::C4, known) {
        report.skip(&[Check::C5], "C4 failed");
    } else if watch.begins(Check::C5) {
        logout::examine(&probe, &described, settings, report).await;
    }
}

async fn look(
    probe: &ProviderProbe,
    described: &ProviderDescription,
    settings: &OidcSettings,
    random: &Random,
) -> Result<(), Finding> {
    let text = || random.text::<32>();
    let asked = match probe.authorize(described, &text(), &text(), &text()).await {
        Ok(answer) => read(&answer, &settings.redirect_uri),
        Err(_) => Asked::Unknown,
    };
    let redeemed = probe.redeem(described, text().into(), &text()).await;
    judged(settings, &asked, redeemed.as_ref().err())
}

fn found(what: &str, sent: impl Into<String>, got: impl Into<String>) -> Finding {
    Finding::error(Check::C4, what).saw(sent, got)
}

fn description(settings: &OidcSettings, error: &ProviderProbeError) -> Finding {
    let sent = format!("a request for the description of {}", settings.issuer);
    let reach = "look at name resolution, firewalls and proxies here; oidc.internal_url names another \
                 way to the provider, oidc.ca_file its authority, oidc.http_proxy a proxy";
    match error {
        ProviderProbeError::Unreachable(why) => found("unreached", sent, why).so(
            "the provider cannot be reached from here, so nobody signs in",
            reach,
        ),
        ProviderProbeError::Issuer { found: theirs } => found("issuer", sent, format!("issuer {theirs:?}")).so(
            "the provider calls itself something else, so its tokens are not believed",
            format!(
                "write oidc.issuer = {theirs:?} exactly so, slash at the end or not; if that is an \
                 internal name, set the provider's own public address (KC_HOSTNAME in Keycloak)"
            ),
        ),
        ProviderProbeError::Status(status) => found("description", sent, status.to_string()).so(
            "there is no description of a provider at this address",
            "look at oidc.issuer: the address before /.well-known/openid-configuration, for Keycloak \
             https://HOST/realms/REALM",
        ),
        ProviderProbeError::Unusable(why) => found("description", sent, why).so(
            "the provider's description cannot be used",
            "look at oidc.issuer, and at what it describes",
        ),
        ProviderProbeError::Keys(why) => found("keys", sent, why).so(
            "the provider's keys cannot be fetched or used, so its tokens are not believed",
            reach,
        ),
    }
}

fn read(answer: &Response<Vec<u8>>, redirect_uri: &Url) -> Asked {
    let location = answer.headers().get(header::LOCATION);
    let location = location
        .and_then(|location| location.to_str().ok())
        .unwrap_or_default();
    let body = String::from_utf8_lossy(answer.body());
    if answer.status().is_redirection() {
        let error = Url::parse(location).ok().and_then(|url| {
            let mut pairs = url.query_pairs();
            pairs
                .find(|(name, _)| name == "error")
                .map(|(_, error)| error.into_owned())
        });
        return match error {
            Some(error) if location.starts_with(redirect_uri.as_str()) => Asked::Back(error),
            Some(error) => Asked::Page(quoted(&error)),
            None if location.contains("/error") => Asked::Page(quoted(location)),
            None => Asked::SignIn,
        };
    }
    let brief = format!(
        "{} {}",
        answer.status().as_u16(),
        quoted(&without_tags(&body))
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
    match answer.status() {
        StatusCode::OK if !complains => Asked::SignIn,
        status if status.is_server_error() => Asked::Unknown,
        _ => Asked::Page(brief),
    }
}

fn judged(
    settings: &OidcSettings,
    asked: &Asked,
    refusal: Option<&AuthenticationError>,
) -> Result<(), Finding> {
    let OidcSettings {
        client_id: client,
        redirect_uri,
        scopes,
        ..
    } = settings;
    let code = "a code that nobody issued, to the token endpoint";
    let request = "an authorization request that asks for nobody (prompt=none)";
    if matches!(refusal, Some(AuthenticationError::ClientRefused)) {
        return Err(match asked {
            Asked::Page(page) => found("client", request, page).so(
                format!("the provider does not know the client {client:?}"),
                "write the client id as the provider has it into oidc.client_id, and see that the \
                 client is enabled",
            ),
            _ => found("secret", code, "invalid_client").so(
                format!("the provider knows the client {client:?}, but refuses its secret"),
                "copy the client's secret into oidc.client_secret_file again, and look at \
                 oidc.client_auth: client_secret_basic or client_secret_post",
            ),
        });
    }
    match asked {
        Asked::Page(page) => {
            return Err(found("redirect", request, page).so(
                "the provider does not accept our redirect address for this client",
                format!(
                    "register {redirect_uri} as a redirect address of {client:?} (Valid redirect URIs \
                     in Keycloak, Authorised redirect URIs at Google)"
                ),
            ));
        }
        Asked::Back(error) if error == "invalid_scope" => {
            return Err(found("scope", request, error).so(
                "the provider refuses a scope that we ask for",
                format!(
                    "take it out of oidc.scopes, or allow it: {}",
                    scopes.join(" ")
                ),
            ));
        }
        Asked::Back(error)
            if matches!(
                error.as_str(),
                "unauthorized_client" | "unsupported_response_type" | "invalid_request"
            ) =>
        {
            return Err(found("flow", request, error).so(
                "the provider refuses the authorization code flow for this client",
                "enable the code flow (Standard flow in Keycloak) with PKCE by S256",
            ));
        }
        _ => {}
    }
    match refusal {
        Some(AuthenticationError::TokenEndpoint(
            error @ (FetchError::Unreachable(_) | FetchError::Timeout | FetchError::Redirected(_)),
        )) => Err(found("token-endpoint", code, error.to_string()).so(
            "the token endpoint cannot be reached from here, so nobody signs in",
            "set oidc.internal_url to the provider's address as seen from here",
        )),
        _ => Ok(()),
    }
}

/// Error pages are full of markup and hold one sentence.
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

    fn answer(status: u16, location: &str, body: &str) -> Response<Vec<u8>> {
        let answer = Response::builder()
            .status(status)
            .header(header::LOCATION, location);
        answer.body(body.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn answers_of_many_providers_are_read() {
        let ours = Url::parse("https://meet.example.org/_gateway/callback").unwrap();
        let back = "https://meet.example.org/_gateway/callback?error=login_required&state=x";
        assert_eq!(
            read(&answer(303, back, ""), &ours),
            Asked::Back("login_required".to_owned())
        );
        let page = |answer| matches!(read(&answer, &ours), Asked::Page(_));
        // Keycloak, oidc-provider, Google.
        assert!(page(answer(
            400,
            "",
            "<p>Invalid parameter: redirect_uri</p>"
        )));
        assert!(page(answer(400, "", "<pre>invalid_client</pre>")));
        assert!(page(answer(
            302,
            "https://sso/signin/oauth/error?authError=Cg",
            ""
        )));
        // A page to sign in on, and a way to one.
        assert_eq!(
            read(&answer(200, "", "<form>Password"), &ours),
            Asked::SignIn
        );
        assert_eq!(
            read(&answer(302, "https://sso/login", ""), &ours),
            Asked::SignIn
        );
        assert_eq!(read(&answer(503, "", ""), &ours), Asked::Unknown);
    }

    #[test]
    fn client_secret_and_redirect_are_told_apart() {
        let settings = crate::tests::oidc_settings();
        let id = |asked, redeemed| {
            judged(&settings, &asked, Some(&redeemed))
                .err()
                .map(|finding| finding.id)
        };
        let page = || Asked::Page("no".to_owned());
        let back = |error: &str| Asked::Back(error.to_owned());
        let cases = [
            (
                page(),
                AuthenticationError::ClientRefused,
                Some("C4.client"),
            ),
            (
                back("login_required"),
                AuthenticationError::ClientRefused,
                Some("C4.secret"),
            ),
            (
                page(),
                AuthenticationError::CodeRefused,
                Some("C4.redirect"),
            ),
            (
                back("invalid_scope"),
                AuthenticationError::CodeRefused,
                Some("C4.scope"),
            ),
            (
                back("unauthorized_client"),
                AuthenticationError::CodeRefused,
                Some("C4.flow"),
            ),
            (
                Asked::Unknown,
                AuthenticationError::TokenEndpoint(FetchError::Timeout),
                Some("C4.token-endpoint"),
            ),
            (
                back("login_required"),
                AuthenticationError::CodeRefused,
                None,
            ),
            (Asked::SignIn, AuthenticationError::CodeRefused, None),
        ];
        for (asked, redeemed, expected) in cases {
            assert_eq!(id(asked, redeemed).as_deref(), expected);
        }
    }

    #[test]
    fn sentences_are_found_in_pages() {
        let page = "<head><style>p { color: red }</style></head><body class=x><p>Invalid <b>id</b></p></body>";
        assert_eq!(quoted(&without_tags(page)), "Invalid id");
        assert_eq!(quoted(&without_tags("plain")), "plain");
    }
}
