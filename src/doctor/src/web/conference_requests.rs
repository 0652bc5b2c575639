//! Conference requests over HTTP: whether clients send them, and whether Jicofo takes them.
//!
//! `conferenceRequestUrl` in `config.js` makes Jitsi's client ask Jicofo over HTTP (lib-jitsi-meet
//! `modules/xmpp/moderator.js`). The gateway forwards that to `upstream.jicofo`; without it the gateway
//! removes the option from Jitsi's page.

use http::{Method, Request, StatusCode, header, uri::Authority};
use model::route::CONFERENCE_REQUEST;

use super::ConfigJs;
use crate::{
    Check, DoctorReport, Finding, FindingKind,
    client::{Endpoint, HttpResponse},
    reachability::UPSTREAM_JICOFO,
};

/// Compares `config.js` with `upstream.jicofo`, and asks Jicofo whether it takes such requests.
pub(super) async fn examine(
    jicofo: Option<&Authority>,
    config_js: &ConfigJs,
    report: &mut DoctorReport,
) {
    let url = config_js.conference_request.as_deref();
    let Some(jicofo) = jicofo else {
        match url {
            Some(url) => report.advise(removed(url)),
            None => report.pass(Check::ConferenceRequests),
        }
        return;
    };
    let endpoint = Endpoint::plain(jicofo);
    let sent = format!("OPTIONS http://{}{CONFERENCE_REQUEST}", endpoint.address());
    let request = Request::builder()
        .method(Method::OPTIONS)
        .uri(CONFERENCE_REQUEST)
        .header(header::HOST, jicofo.as_str())
        .body(String::new())
        // Infallible: all parts are constants, or an authority, which is a header value.
        .expect("the parts of a request");
    let result = match endpoint.send(request).await {
        Ok(response) => evaluate(&sent, &response),
        Err(error) => Err(UPSTREAM_JICOFO.unreached(Check::ConferenceRequests, &sent, &error)),
    };
    match (result, url) {
        (Ok(()), None) => report.advise(unused()),
        (result, _) => {
            report.record(Check::ConferenceRequests, result);
        }
    }
}

fn removed(url: &str) -> Finding {
    Finding::advice(FindingKind::ConferenceRequestRemoved)
        .with_exchange("config.js", format!("conferenceRequestUrl = {url:?}"))
        .with_remedy(
            "the gateway removes conferenceRequestUrl from Jitsi's page, so clients ask Jicofo over XMPP",
            "nothing has to be done; to keep requests over HTTP, set upstream.jicofo to Jicofo's HTTP \
             port, as http://jicofo:8888",
        )
}

fn unused() -> Finding {
    Finding::advice(FindingKind::ConferenceRequestUnused)
        .with_exchange("config.js", "no conferenceRequestUrl")
        .with_remedy(
            "upstream.jicofo is set, but clients ask Jicofo over XMPP",
            "set conferenceRequestUrl in config.js to \
             'https://<public address>/' + subdir + 'conference-request/v1', or remove upstream.jicofo",
        )
}

/// Jicofo answers 200 without a body (jicofo `ktor/Application.kt`, `conferenceRequest`).
fn evaluate(sent: &str, response: &HttpResponse) -> Result<(), Finding> {
    if response.status == StatusCode::OK {
        return Ok(());
    }
    let finding = Finding::error(FindingKind::ConferenceRequestRefused)
        .with_exchange(sent, response.summary())
        .with_remedy(
            "the server at upstream.jicofo does not take conference requests, so no room opens",
            "set upstream.jicofo to Jicofo's own HTTP port, by default 8888 (jicofo.rest.port), and \
             jicofo.rest.conference-request.enabled to true; or remove upstream.jicofo",
        );
    Err(finding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_200_is_the_answer_of_jicofo() {
        for (status, expected) in [
            (StatusCode::OK, None),
            (StatusCode::NOT_FOUND, Some("W5.jicofo")),
            (StatusCode::METHOD_NOT_ALLOWED, Some("W5.jicofo")),
        ] {
            let response = HttpResponse {
                status,
                ..HttpResponse::default()
            };
            let id = evaluate("", &response).err().map(|finding| finding.id());
            assert_eq!(id.as_deref(), expected, "{status}");
        }
    }

    #[tokio::test]
    async fn an_option_that_the_page_loses_is_told() {
        let config_js = |text: &str| ConfigJs::parse(text);
        let url = "config.conferenceRequestUrl = 'https://x/' + subdir + 'conference-request/v1';";
        for (text, expected) in [(url, vec!["W5.removed"]), ("", vec![])] {
            let mut report = DoctorReport::default();
            examine(None, &config_js(text), &mut report).await;
            let ids: Vec<String> = report.findings().iter().map(Finding::id).collect();
            assert_eq!(ids, expected, "{text}");
        }
    }
}
