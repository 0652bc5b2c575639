//! Sign-outs, logouts and passes that strangers make up leave nothing in memory.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::{StreamExt, stream};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::json;
use url::Url;

use super::flood::resident;
use crate::support::{
    browser::{KeepAliveClient, encode, navigation},
    run_in_own_process,
    site::{CLIENT_ID, ORIGIN, Site, SiteOptions},
};

/// The number of credentials before the first measurement, which fill pools and caches, and after it.
const EACH_HALF: usize = 10_000;

/// The number of concurrent clients.
const CLIENTS: usize = 20;

/// The number of kinds of requests.
const KINDS: usize = 6;

/// The length of a credential, below the limits of cookies and tokens.
const BYTES: usize = 3_500;

/// The credentials of one kind in the second half would take 5.8 MB. Without a leak it is a few pages.
const MAX_GROWTH: usize = 4 * 1024 * 1024;

/// Runs in a separate process, because other tests would change its memory use.
#[test]
fn made_up_credentials_leave_nothing_in_memory() {
    let output = run_in_own_process("gateway::made_up_credentials::alone");
    let summary = output.lines().find(|line| line.contains("made-up"));
    println!("{}", summary.expect("the test ran"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by made_up_credentials_leave_nothing_in_memory"]
async fn alone() {
    let site = Site::with(SiteOptions::default().durable()).await;
    let site = site.ready().await;
    let mut max = site.signed_in("max").await;
    send_all(&site, 0..EACH_HALF).await;
    let before = resident(&site.metrics().await);
    send_all(&site, EACH_HALF..2 * EACH_HALF).await;
    let metrics = site.metrics().await;
    let growth = resident(&metrics).saturating_sub(before);
    println!(
        "{EACH_HALF} made-up credentials: {} KiB more",
        growth / 1024
    );
    assert!(growth < MAX_GROWTH, "{growth} bytes more than {before}");
    assert!(metrics.contains("jitsi_auth_gateway_journal_entries 0\n"));
    assert!(!metrics.contains("made-up"), "{metrics}");
    assert!(max.socket("room=x").await.is_ok());
}

/// Sends one credential for each number.
async fn send_all(site: &Site, numbers: std::ops::Range<usize>) {
    let share = numbers.len() / CLIENTS;
    let clients = (0..CLIENTS).map(|client| {
        let from = numbers.start + client * share;
        send(site, from..from + share)
    });
    stream::iter(clients)
        .buffer_unordered(CLIENTS)
        .collect::<Vec<()>>()
        .await;
}

async fn send(site: &Site, numbers: std::ops::Range<usize>) {
    let genuine = site.provider.logout_token(CLIENT_ID, Some("max"), None);
    let issuer = encode(site.issuer());
    let mut line = KeepAliveClient::new(site.browser());
    for number in numbers {
        let credential = format!("made-up-{number:08}-").repeat(BYTES / 17);
        let session = format!("__Host-gateway-session={credential}");
        let pass = format!("__Host-gateway-pass-t-{number:016x}={credential}");
        let logout = "/_gateway/logout".to_owned();
        let nothing = String::new;
        let (method, path, cookie, body) = match number % KINDS {
            0 => (Method::GET, logout, session, nothing()),
            1 => (Method::GET, logout, pass, nothing()),
            2 => (
                Method::POST,
                "/_gateway/backchannel-logout".to_owned(),
                nothing(),
                format!(
                    "logout_token={}",
                    forged(&genuine, site.issuer(), &credential)
                ),
            ),
            3 => (
                Method::GET,
                format!(
                    "/_gateway/frontchannel-logout?iss={issuer}&sid={}",
                    &credential[..250]
                ),
                nothing(),
                nothing(),
            ),
            4 => (
                Method::GET,
                format!("/made-up-{number}"),
                format!("{session}; {pass}"),
                nothing(),
            ),
            _ => (
                Method::GET,
                format!("/made-up-{number}?jwt={credential}"),
                pass,
                nothing(),
            ),
        };
        let mut headers = navigation();
        headers.insert(header::COOKIE, HeaderValue::try_from(cookie).unwrap());
        headers.insert(
            HeaderName::from_static("content-type"),
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        let url = Url::parse(&format!("{ORIGIN}{path}")).unwrap();
        let answer = line.send_body(method, &url, &headers, body.into()).await;
        assert!(
            answer.status < StatusCode::INTERNAL_SERVER_ERROR,
            "{path:.80}"
        );
        let is_accepted = answer.status == StatusCode::OK;
        assert!(
            !is_accepted || path.contains("/frontchannel-logout"),
            "{path:.80}"
        );
    }
}

/// A logout token with the head and the signature of another one.
fn forged(genuine: &str, issuer: &str, jti: &str) -> String {
    let claims = json!({
        "iss": issuer,
        "aud": CLIENT_ID,
        "sub": "max",
        "iat": 1_800_000_000,
        "jti": jti,
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    let mut parts = genuine.split('.');
    let (head, signature) = (parts.next().unwrap(), parts.nth(1).unwrap());
    format!(
        "{head}.{}.{signature}",
        URL_SAFE_NO_PAD.encode(claims.to_string())
    )
}
