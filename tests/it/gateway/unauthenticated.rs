//! Unauthenticated requests log nothing above debug, whatever their content and endpoint; metrics
//! count them.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use super::CREATE;
use crate::support::{
    logs::Logs,
    run_in_own_process, school,
    site::{ORIGIN, Site, SiteOptions},
};

/// A request without a cookie, key or token of this site.
pub(super) struct Attempt {
    pub(super) method: Method,
    pub(super) target: &'static str,
    pub(super) body: &'static str,
    pub(super) header: Option<(&'static str, &'static str)>,
}

const FORM: Option<(&str, &str)> = Some(("content-type", "application/x-www-form-urlencoded"));

const fn get(target: &'static str) -> Attempt {
    Attempt {
        method: Method::GET,
        target,
        body: "",
        header: None,
    }
}

const fn post(target: &'static str, body: &'static str) -> Attempt {
    Attempt {
        method: Method::POST,
        target,
        body,
        header: FORM,
    }
}

const fn with_key(method: Method, target: &'static str, body: &'static str) -> Attempt {
    Attempt {
        method,
        target,
        body,
        header: Some((
            "authorization",
            "Bearer 0123456789abcdef0123456789abcdef01234567",
        )),
    }
}

const JUNK_TOKEN: &str = "/x?jwt=eyJhbGciOiJub25lIn0.eyJyb29tIjoieCJ9.";

pub(super) const ATTEMPTS: [Attempt; 46] = [
    get("/"),
    get("/robots.txt"),
    get("/config.js"),
    get("/x"),
    get("/tenant/x"),
    get("/%zz"),
    get("/%252e%252e/x"),
    get(JUNK_TOKEN),
    get("/x?invite=junk"),
    get("/x?jwt=junk&jwt=junk"),
    get("/http-bind?room=x"),
    post("/http-bind?room=x", CREATE),
    post("/http-bind?room=x&token=junk", CREATE),
    post("/http-bind?room=x", "<body sid='1' rid='2'/>"),
    get("/xmpp-websocket?room=x"),
    get("/xmpp-websocket?room=x&token=junk"),
    get("/colibri-ws/default/1"),
    post("/conference-request/v1", "{}"),
    get("/etherpad/p/x"),
    post("/socket.io/?EIO=4&transport=polling", "0{}"),
    get("/rtcstats-ws"),
    get("/transcripts/x"),
    get("/_unlock"),
    get("/_gateway/login"),
    get("/_gateway/login?return_to=/x&switch=1"),
    get("/_gateway/login?state=%7B%22room%22%3A%22x%22%7D"),
    get("/_gateway/callback"),
    get("/_gateway/callback?state=x&code=y"),
    get("/_gateway/callback?state=x&error=access_denied"),
    get("/_gateway/callback?state=x&state=y&code=z"),
    get("/_gateway/logout"),
    get("/_gateway/signed-out"),
    post("/_gateway/backchannel-logout", ""),
    post("/_gateway/backchannel-logout", "logout_token=junk"),
    post(
        "/_gateway/backchannel-logout",
        "logout_token=eyJhbGciOiJSUzI1NiIsImtpZCI6InkifQ.e30.eA",
    ),
    get("/_gateway/frontchannel-logout"),
    get("/_gateway/frontchannel-logout?iss=https%3A%2F%2Fsso.example.org&sid=x"),
    get("/_gateway/jwks.json"),
    get("/_gateway/asap/0000000000000000000000000000000000000000000000000000000000000000.pem"),
    post("/_gateway/join", "room=x&name=Eve"),
    post("/_gateway/join", "room=x&invite=junk"),
    get("/_gateway/go?room=x"),
    get("/_gateway/meeting?room=x"),
    get("/_gateway/api/v1/openapi.json"),
    with_key(Method::GET, "/_gateway/api/v1/rooms/school-1", ""),
    with_key(Method::POST, "/_gateway/api/v1/links", "{}"),
];

/// Runs in a separate process, so that its log has no lines of other tests.
#[test]
fn unauthenticated_requests_log_nothing_above_debug() {
    let output = run_in_own_process("gateway::unauthenticated::alone");
    assert!(output.contains("unauthenticated requests"), "{output}");
}

#[tokio::test]
#[ignore = "run by unauthenticated_requests_log_nothing_above_debug"]
async fn alone() {
    let logs = Logs::keep();
    let site = Site::with(SiteOptions::default().rules(school::RULES));
    let site = site.await.ready().await;
    let loud = || -> Vec<String> {
        let text = logs.text();
        let lines = text.lines().filter(|line| {
            let is_loud = ["INFO", "WARN", "ERROR"]
                .iter()
                .any(|level| line.contains(level));
            // Access lines can be disabled, and lines about refused tokens and keys are rate-limited.
            let is_bounded = ["api_refused", "token_refused"]
                .iter()
                .any(|event| line.contains(&format!("audit: event=\"{event}\"")));
            is_loud && !line.contains(" access: ") && !is_bounded
        });
        lines.map(ToOwned::to_owned).collect()
    };
    let before = loud().len();
    for Attempt {
        method,
        target,
        body,
        header,
    } in &ATTEMPTS
    {
        let url = Url::parse(&format!("{ORIGIN}{target}")).unwrap();
        let headers = header.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        let headers: HeaderMap = headers.collect();
        let mut browser = site.browser();
        browser
            .send(
                method.clone(),
                &url,
                headers,
                Bytes::from_static(body.as_bytes()),
            )
            .await;
        let lines = loud().split_off(before);
        assert!(lines.is_empty(), "{method} {target} wrote {lines:#?}");
    }
    let metrics = site.metrics().await;
    for line in [
        "sign_ins_started_total{} 3",
        "sign_ins_total{outcome=\"unmatched\",reason=\"unknown_state\"} 2",
        "sign_ins_total{outcome=\"unmatched\",reason=\"invalid_callback\"} 2",
        "backchannel_logouts_total{outcome=\"invalid_request\"} 1",
        "backchannel_logouts_total{outcome=\"token_refused\"} 1",
        "backchannel_logouts_total{outcome=\"unavailable\"} 1",
        "frontchannel_logouts_total{outcome=\"invalid_request\"} 2",
        "api_requests_total{operation=\"document\",outcome=\"ok\"} 1",
        "api_requests_total{operation=\"room\",outcome=\"key_unknown\"} 1",
        "api_requests_total{operation=\"create_link\",outcome=\"key_unknown\"} 1",
    ] {
        let line = format!("jitsi_auth_gateway_{line}\n");
        assert!(metrics.contains(&line), "{line} in\n{metrics}");
    }
    let junk = Url::parse(&format!("{ORIGIN}{JUNK_TOKEN}")).unwrap();
    for _ in 0..70 {
        let headers = HeaderMap::new();
        site.browser()
            .send(Method::GET, &junk, headers, Bytes::new())
            .await;
    }
    let refused = logs.lines_with("event=\"token_refused\"");
    assert_eq!(refused.len(), 60, "lines of one address in a minute");
    println!("{} unauthenticated requests", ATTEMPTS.len());
}
