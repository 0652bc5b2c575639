//! Signing out: whether the provider can be told, knows where to send people then, and tells us.

use http::Response;

use super::{quoted, without_tags};
use crate::{Check, Finding, Report};
use oidc::{OidcSettings, ProviderDescription, ProviderProbe};

/// What came of signing nobody out.
enum SignOut {
    /// There is no place for that.
    Nowhere,
    /// It cannot be asked from here.
    Unknown,
    /// This.
    Answered(Response<Vec<u8>>),
}

/// Looks at what is said when somebody signs out.
pub(super) async fn examine(
    probe: &ProviderProbe,
    described: &ProviderDescription,
    settings: &OidcSettings,
    report: &mut Report,
) {
    let told = match probe.end_session(described).await {
        None => SignOut::Nowhere,
        Some(Err(_)) => SignOut::Unknown,
        Some(Ok(answer)) => SignOut::Answered(answer),
    };
    let (result, advice) = judged(&told, described.back_channel_logout, settings);
    let passed = report.settle(Check::C5, result);
    for finding in advice.into_iter().filter(|_| passed) {
        report.advise(finding);
    }
}

fn judged(
    told: &SignOut,
    back_channel: bool,
    settings: &OidcSettings,
) -> (Result<(), Finding>, Vec<Finding>) {
    let mut advice = Vec::new();
    let described = "a request for the provider's description";
    if matches!(told, SignOut::Nowhere) {
        advice.push(
            Finding::advice(Check::C5, "no-logout")
                .saw(described, "no end_session_endpoint")
                .so(
                    "who signs out here stays signed in at the provider, so the next sign-in asks \
                     for nothing",
                    "nothing can be changed here; tell people to sign out at the provider as well, \
                     above all on shared machines",
                ),
        );
    }
    if !back_channel {
        advice.push(
            Finding::advice(Check::C5, "no-back-channel")
                .saw(described, "no backchannel_logout_supported")
                .so(
                    "a sign-out or a lock at the provider ends nothing here until the session is \
                     over",
                    "keep session.absolute short, and session.idle; where the provider can do it, \
                     register <public_url>/_gateway/backchannel-logout for the client",
                ),
        );
    }
    let refused = match told {
        SignOut::Answered(answer) => refusal(answer),
        SignOut::Nowhere | SignOut::Unknown => None,
    };
    let result = refused.map_or(Ok(()), |page| {
        Err(Finding::warning(Check::C5, "redirect")
            .saw("a sign-out of nobody, with our address to return to", page)
            .so(
                "the provider does not send people back here after they sign out: they see an \
                 error page of its",
                format!(
                    "register {} as a post-logout redirect address of {:?} (Valid post logout \
                     redirect URIs in Keycloak)",
                    settings.signed_out_uri, settings.client_id
                ),
            ))
    });
    (result, advice)
}

/// The page by which a provider says that it does not know our address. That nobody is signed in is
/// no reason to complain, though some do.
fn refusal(answer: &Response<Vec<u8>>) -> Option<String> {
    let text = without_tags(&String::from_utf8_lossy(answer.body()));
    let folded = text.to_lowercase();
    let about = folded.contains("redirect") && !folded.contains("id_token_hint");
    (answer.status().is_client_error() && about)
        .then(|| format!("{} {}", answer.status().as_u16(), quoted(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(status: u16, body: &str) -> SignOut {
        let answer = Response::builder().status(status);
        SignOut::Answered(answer.body(body.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn what_a_provider_cannot_do_is_advice_and_what_it_refuses_a_warning() {
        let settings = crate::tests::oidc_settings();
        let ids = |told: SignOut, back_channel| {
            let (result, advice) = judged(&told, back_channel, &settings);
            let all = result.err().into_iter().chain(advice);
            all.map(|own| format!("{} {}", own.severity.as_str(), own.id))
                .collect::<Vec<_>>()
        };
        let done = || page(200, "You are signed out");
        assert!(ids(done(), true).is_empty());
        assert!(ids(SignOut::Unknown, true).is_empty());
        assert_eq!(ids(SignOut::Nowhere, true), ["advice C5.no-logout"]);
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
}
