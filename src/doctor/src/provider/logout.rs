//! Logout: RP-initiated logout with its redirect URI, and back-channel logout.

use http::Response;
use oidc::{OidcSettings, ProviderDescription, ProviderProbe};

use super::without_tags;
use crate::{Check, DoctorReport, Finding, FindingKind, client::single_line};

/// The response to a logout request without a session.
enum LogoutResponse {
    /// The provider has no `end_session_endpoint`.
    Unsupported,
    /// The endpoint is not reachable from here.
    Unknown,
    Received(Response<Vec<u8>>),
}

/// How the provider can report logouts to its clients.
#[derive(Clone, Copy)]
struct Channels {
    /// `backchannel_logout_supported`.
    back: bool,
    /// `frontchannel_logout_supported`.
    front: bool,
}

// === impl Channels ===

impl Channels {
    /// What to do at a provider without back-channel logout.
    fn remedy(self, settings: &OidcSettings) -> String {
        let short = "set a short session.absolute and session.idle";
        if self.front {
            let address = settings.address("frontchannel-logout");
            format!(
                "register {address} as the front-channel logout URI of the client, with iss and sid; \
                 it ends sessions when a person signs out in a browser, not when an account is locked, \
                 so {short}, too"
            )
        } else {
            let address = settings.address("backchannel-logout");
            format!("{short}; if the provider supports it, register {address} for the client")
        }
    }
}

/// Runs the check C5.
pub(super) async fn examine(
    probe: &ProviderProbe,
    described: &ProviderDescription,
    settings: &OidcSettings,
    report: &mut DoctorReport,
) {
    let logout = match probe.end_session(described).await {
        None => LogoutResponse::Unsupported,
        Some(Err(_)) => LogoutResponse::Unknown,
        Some(Ok(response)) => LogoutResponse::Received(response),
    };
    let channels = Channels {
        back: described.back_channel_logout,
        front: described.front_channel_logout,
    };
    let (result, advice) = evaluate(&logout, channels, settings);
    let passed = report.record(Check::ProviderLogout, result);
    for finding in advice.into_iter().filter(|_| passed) {
        report.advise(finding);
    }
}

/// Returns the result of the check, and advice.
fn evaluate(
    logout: &LogoutResponse,
    channels: Channels,
    settings: &OidcSettings,
) -> (Result<(), Finding>, Vec<Finding>) {
    let mut advice = Vec::new();
    let described = "a request for the discovery document";
    if matches!(logout, LogoutResponse::Unsupported) {
        advice.push(
            Finding::advice(FindingKind::LogoutUnsupported)
                .with_exchange(described, "no end_session_endpoint")
                .with_remedy(
                    "a logout here leaves the session at the provider, so the next sign-in \
                     needs no password",
                    "no setting of the gateway changes that; users of shared machines should also \
                     sign out at the provider",
                ),
        );
    }
    if !channels.back {
        advice.push(
            Finding::advice(FindingKind::BackChannelUnsupported)
                .with_exchange(described, "no backchannel_logout_supported")
                .with_remedy(
                    "after a logout or a lock at the provider, the session here continues until it \
                     expires",
                    channels.remedy(settings),
                ),
        );
    }
    let refused = match logout {
        LogoutResponse::Received(response) => refusal(response),
        LogoutResponse::Unsupported | LogoutResponse::Unknown => None,
    };
    let result = refused.map_or(Ok(()), |page| {
        Err(Finding::warning(FindingKind::LogoutRedirectUri)
            .with_exchange(
                "a logout request without a session, with the gateway's redirect URI",
                page,
            )
            .with_remedy(
                "the provider shows an error page after logout instead of redirecting back",
                format!(
                    "register {} as a post-logout redirect URI of {:?} (Valid post logout \
                     redirect URIs in Keycloak)",
                    settings.signed_out_uri, settings.client_id
                ),
            ))
    });
    (result, advice)
}

/// The text of an error page about the redirect URI. Errors about the missing session are expected
/// (`id_token_hint`).
fn refusal(response: &Response<Vec<u8>>) -> Option<String> {
    let text = without_tags(&String::from_utf8_lossy(response.body()));
    let folded = text.to_lowercase();
    let about = folded.contains("redirect") && !folded.contains("id_token_hint");
    (response.status().is_client_error() && about)
        .then(|| format!("{} {}", response.status().as_u16(), single_line(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(status: u16, body: &str) -> LogoutResponse {
        let response = Response::builder().status(status);
        LogoutResponse::Received(response.body(body.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn a_missing_feature_is_advice_and_a_refused_redirect_uri_a_warning() {
        let settings = crate::fixtures::oidc_settings();
        let ids = |logout: LogoutResponse, back| {
            let channels = Channels { back, front: false };
            let (result, advice) = evaluate(&logout, channels, &settings);
            let all = result.err().into_iter().chain(advice);
            all.map(|own| format!("{} {}", own.severity.as_str(), own.id()))
                .collect::<Vec<_>>()
        };
        let done = || page(200, "You are signed out");
        assert!(ids(done(), true).is_empty());
        assert!(ids(LogoutResponse::Unknown, true).is_empty());
        assert_eq!(
            ids(LogoutResponse::Unsupported, true),
            ["advice C5.no-logout"]
        );
        assert_eq!(ids(done(), false), ["advice C5.no-back-channel"]);
        for body in [
            "<body><p>Invalid redirect uri</p>",
            "post_logout_redirect_uri not registered",
        ] {
            assert_eq!(ids(page(400, body), true), ["warning C5.redirect"]);
        }
        let hint = page(400, "redirect needs an id_token_hint");
        assert!(ids(hint, true).is_empty());
    }

    #[test]
    fn the_advice_names_the_address_of_the_channel_that_the_provider_has() {
        let settings = crate::fixtures::oidc_settings();
        let base = settings.signed_out_uri.join(".").unwrap();
        for (front, name) in [(true, "frontchannel"), (false, "backchannel")] {
            let remedy = Channels { back: false, front }.remedy(&settings);
            let address = format!("register {base}{name}-logout ");
            assert!(remedy.contains(&address), "{remedy}");
        }
    }
}
