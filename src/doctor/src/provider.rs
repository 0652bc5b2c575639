//! Checks of the OpenID provider: discovery, and whether it accepts the client, its secret and its
//! redirect URI, as far as this can be tested without a user.

use model::{clock::Clock, policy::Policy, random::Random};
use oidc::{OidcSettings, ProviderDescription, ProviderProbe, ProviderProbeError};

use self::client::{AuthorizationResponse, classify, evaluate_client};
use super::{
    Check, DoctorReport, Finding, FindingKind,
    clocks::{ClockOffsets, ClockSource},
    options::Progress,
};

mod client;
mod groups;
mod logout;
mod rules;

/// Runs the checks C4, C5 and C6.
pub(super) async fn examine(
    settings: &OidcSettings,
    policy: &Policy,
    (clock, random): (&Clock, &Random),
    progress: &Progress<'_>,
    report: &mut DoctorReport,
    offsets: &mut ClockOffsets,
) {
    progress.begins(Check::Provider);
    let described = match ProviderProbe::new(settings, clock.clone(), random.clone()) {
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
        return;
    }
    // Sign-ins work without the directory, and so do the other checks.
    if let Err(finding) = groups::examine(&probe, settings).await {
        report.fail(finding);
    }
    if progress.begins(Check::ProviderLogout) {
        logout::examine(&probe, &described, settings, report).await;
    }
    if progress.begins(Check::ProviderRules) {
        rules::examine(&described.supported, settings, policy, report);
    }
}

async fn examine_client(
    probe: &ProviderProbe,
    described: &ProviderDescription,
    settings: &OidcSettings,
    random: &Random,
) -> Result<(), Finding> {
    let text = || random.text::<32>();
    let authorization = match probe.authorize(described, &text(), &text(), &text()).await {
        Ok(response) => classify(&response, &settings.redirect_uri),
        Err(_) => AuthorizationResponse::Unknown,
    };
    let redeemed = probe.redeem(described, text().into(), &text()).await;
    evaluate_client(settings, &authorization, redeemed.as_ref().err())
}

fn found(kind: FindingKind, sent: impl Into<String>, got: impl Into<String>) -> Finding {
    Finding::error(kind).with_exchange(sent, got)
}

fn discovery_failed(settings: &OidcSettings, error: &ProviderProbeError) -> Finding {
    let sent = format!(
        "a request for the discovery document of {}",
        settings.issuer
    );
    let reach = "check name resolution, firewalls and proxies here; oidc.internal_url sets \
                 another address of the provider, oidc.ca_file its certificate authority, \
                 oidc.http_proxy a proxy";
    match error {
        ProviderProbeError::Unreachable(why) => found(FindingKind::ProviderUnreached, sent, why)
            .with_remedy(
                "the provider cannot be reached from here, so sign-in fails",
                reach,
            ),
        ProviderProbeError::Certificate(why) => found(FindingKind::ProviderUnreached, sent, why)
            .with_remedy(
                "no client can verify the provider's certificate, so sign-in fails",
                "give the provider a certificate for its own name that an authority signed; \
                 oidc.ca_file has the authority's, not the provider's",
            ),
        ProviderProbeError::Issuer { found: issuer } => found(
            FindingKind::ProviderIssuer,
            sent,
            format!("issuer {issuer:?}"),
        )
        .with_remedy(
            "the provider has another issuer, so its tokens are refused",
            format!(
                "set oidc.issuer = {issuer:?} exactly, with or without a trailing slash; if \
                 that is an internal name, set the provider's own public address (KC_HOSTNAME \
                 in Keycloak)"
            ),
        ),
        ProviderProbeError::Status(status) => {
            found(FindingKind::ProviderDiscovery, sent, status.to_string()).with_remedy(
                "there is no discovery document at this address",
                "correct oidc.issuer: the address before /.well-known/openid-configuration, for \
                 Keycloak https://HOST/realms/REALM",
            )
        }
        ProviderProbeError::Unusable(why) => found(FindingKind::ProviderDiscovery, sent, why)
            .with_remedy(
                "the discovery document cannot be used",
                "correct oidc.issuer, or the provider's discovery document",
            ),
        ProviderProbeError::Keys(why) => found(FindingKind::ProviderKeys, sent, why).with_remedy(
            "the provider's keys cannot be fetched or used, so its tokens are refused",
            reach,
        ),
    }
}

/// Removes markup: the text of an error page is one sentence.
fn without_tags(html: &str) -> String {
    let body = html.split_once("<body").map_or(html, |(_, body)| body);
    let mut text = String::new();
    let mut inside = html.len() != body.len();
    // The tag of the body may be absent, and styles and scripts may stand anywhere.
    let body = UNSEEN_ELEMENTS
        .iter()
        .fold(body.to_owned(), |body, element| {
            without_element(&body, element)
        });
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

/// Removes an element with its content, up to the end of the page if it is not closed.
fn without_element(html: &str, (begin, end): &(&str, &str)) -> String {
    let lower = html.to_ascii_lowercase();
    let mut kept = String::with_capacity(html.len());
    let mut position = 0;
    while let Some(start) = lower[position..].find(begin) {
        kept.push_str(&html[position..position + start]);
        let content = position + start + begin.len();
        match lower[content..].find(end) {
            Some(length) => position = content + length + end.len(),
            None => return kept,
        }
    }
    kept.push_str(&html[position..]);
    kept
}

/// The elements that browsers do not show.
const UNSEEN_ELEMENTS: [(&str, &str); 2] = [("<style", "</style>"), ("<script", "</script>")];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::single_line;

    #[test]
    fn text_of_error_pages_is_extracted() {
        let page = "<head><style>p { color: red }</style></head><body class=x><p>Invalid <b>id</b></p></body>";
        assert_eq!(single_line(&without_tags(page)), "Invalid id");
        assert_eq!(single_line(&without_tags("plain")), "plain");
        let page = "<title>Error</title><STYLE nonce=x>a > b { }</Style><script>f('<p>')</script>\
                    <h1>Invalid ü</h1><script>open";
        assert_eq!(single_line(&without_tags(page)), "Error Invalid ü");
    }
}
