//! Invalid answers of the provider: no session, a readable page, a log line with the reason.

use http::StatusCode;
use model::clock::{Clock, Timestamp};

use crate::support::{
    faulty_provider::{CLIENT_SECRET, FaultyProvider},
    logs::Logs,
    provider_fault::{ProviderFault, SIGN_IN_FAULTS},
    site::{Site, SiteOptions},
};

#[tokio::test]
async fn invalid_provider_responses_create_no_session_and_log_no_secret() {
    let logs = Logs::keep();
    let (clock, clock_control) = Clock::manual(Timestamp::from_unix(1_800_000_000));
    let provider = FaultyProvider::builder(&clock)
        .start(ProviderFault::None)
        .await;
    let issuer = provider.issuer().to_owned();
    let options = SiteOptions::default()
        .issuer(&issuer)
        .client_secret(CLIENT_SECRET)
        .clock(clock, clock_control);
    let site = Site::with(options).await.ready().await;

    let mut tried = 0;
    let mut secrets = Vec::new();
    for &(fault, code) in SIGN_IN_FAULTS {
        if matches!(
            fault,
            ProviderFault::TokenHang
                | ProviderFault::UserinfoHang
                | ProviderFault::KidAbsentMultipleJwks
        ) {
            continue;
        }
        provider.behaviour().fault = fault;
        let mut browser = site.browser();
        let url = browser.begin("/room").await;
        let answer = provider.authorize(&url);
        secrets.extend(browser.cookie_values());
        let page = browser
            .navigate(&format!("/_gateway/callback?{answer}"))
            .await;
        assert!(
            browser.cookie("__Host-gateway-session").is_none(),
            "{fault:?}"
        );
        assert!(
            page.status.is_client_error() || page.status.is_server_error(),
            "{fault:?}"
        );
        let text = page.text();
        assert!(text.contains("Sign-in failed"), "{fault:?} {text}");
        let id = request_id(&text);
        let lines = logs.lines_with(&format!("request={id}"));
        let reason = format!("reason=\"{code}\"");
        assert!(
            lines.iter().any(|line| line.contains(&reason)),
            "{fault:?} {lines:?}"
        );
        secrets.extend(
            answer
                .split('&')
                .filter_map(|pair| pair.strip_prefix("code="))
                .map(ToOwned::to_owned),
        );
        tried += 1;
    }
    assert!(tried >= 15, "{tried}");

    provider.behaviour().fault = ProviderFault::None;
    let mut browser = site.browser();
    let url = browser.begin("/room").await;
    let answer = provider.authorize(&url);
    let page = browser
        .navigate(&format!("/_gateway/callback?{answer}"))
        .await;
    assert_eq!((page.status, page.url.path()), (StatusCode::OK, "/room"));

    let text = logs.text();
    secrets.extend(browser.cookie_values());
    secrets.push(CLIENT_SECRET.to_owned());
    for secret in secrets.iter().filter(|secret| secret.len() > 8) {
        assert!(!text.contains(secret.as_str()), "a secret is in the log");
    }
    assert!(!text.contains("eyJ"), "no token is in the log");
}

fn request_id(page: &str) -> &str {
    let (_, rest) = page
        .split_once("Request ID")
        .unwrap_or_else(|| panic!("{page}"));
    rest.split(['<', '>', ' ', '\n'])
        .find(|word| word.len() > 9 && word.chars().nth(8) == Some('-'))
        .unwrap_or_else(|| panic!("{rest}"))
}
