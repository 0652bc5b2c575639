//! Jitsi's web server: its page, and the addresses in its `config.js`.

use config::PublicUrl;
use http::{HeaderValue, Request, StatusCode, header, uri::Authority};
use url::Url;

use super::{
    Check, DoctorReport, Finding, FindingKind,
    client::{Endpoint, HttpResponse},
    options::Progress,
    reachability::WEB,
};

mod conference_requests;
mod config_js;
mod encoding;
mod signalling;

pub(super) use self::config_js::ConfigJs;

/// The values that `config.js` should have, and the request that fetched it.
struct Expected<'e> {
    sent: &'e str,
    origin: &'e str,
    /// Host and port of the public URL.
    authority: &'e str,
    xmpp_domain: &'e str,
    /// Whether conference requests over HTTP reach Jicofo.
    serves_conference_requests: bool,
}

/// Checks the page and `config.js`. Returns the settings of `config.js`, if there is one.
pub(super) async fn examine(
    endpoint: &Endpoint,
    public_url: &PublicUrl,
    (xmpp_domain, jicofo): (&str, Option<&Authority>),
    progress: &Progress<'_>,
    report: &mut DoctorReport,
) -> Option<ConfigJs> {
    progress.begins(Check::WebPage);
    let get = |path: &str| {
        Request::get(path)
            .header(header::HOST, public_url.authority().as_str())
            .header(header::ACCEPT_ENCODING, "identity")
            .body(String::new())
            // Infallible: the authority of a URL is a header value.
            .expect("an authority is a header value")
    };
    let sent = |path: &str| format!("GET http://{}{path}", endpoint.address());
    let page = match endpoint.send(get("/")).await {
        Ok(response) => evaluate_page(&sent("/"), &response),
        Err(error) => Err(WEB.unreached(Check::WebPage, &sent("/"), &error)),
    };
    if !report.record(Check::WebPage, page) {
        report.skip_dependents(Check::WebPage);
        return None;
    }
    progress.begins(Check::WebSignalling);
    // Infallible: the authority of a URL is a header value.
    let host = HeaderValue::from_str(public_url.authority().as_str())
        .expect("an authority is a header value");
    match signalling::advice(endpoint, &host).await {
        Ok(Some(finding)) => report.advise(finding),
        Ok(None) => report.pass(Check::WebSignalling),
        Err(error) => report.skip([Check::WebSignalling], &error.to_string()),
    }
    progress.begins(Check::WebConfig);
    let sent = sent("/config.js");
    let response = match endpoint.send(get("/config.js")).await {
        Ok(response) => response,
        Err(error) => {
            report.fail(WEB.unreached(Check::WebConfig, &sent, &error));
            report.skip_dependents(Check::WebConfig);
            return None;
        }
    };
    if response.status != StatusCode::OK || response.is_html() {
        let finding = Finding::error(FindingKind::ConfigMissing)
            .with_exchange(sent, response.summary())
            .with_remedy(
                "there is no config.js, so clients have no address to connect to",
                "read the web container's log, and check its volume /config; set upstream.web \
                 to the web container itself",
            );
        report.fail(finding);
        report.skip_dependents(Check::WebConfig);
        return None;
    }
    let kinds = (FindingKind::ConfigEncoded, FindingKind::ConfigCharset);
    if let Err(finding) = encoding::evaluate(&sent, &response, kinds) {
        report.fail(finding);
        report.skip_dependents(Check::WebConfig);
        return None;
    }
    let config_js = ConfigJs::parse(&response.text());
    let expected = Expected {
        sent: &sent,
        origin: public_url.origin(),
        authority: public_url.authority().as_str(),
        xmpp_domain,
        serves_conference_requests: jicofo.is_some(),
    };
    let evaluated = evaluate_config(&config_js, &expected);
    if report.record(Check::WebConfig, evaluated) {
        progress.begins(Check::ConferenceRequests);
        conference_requests::examine(jicofo, &config_js, report).await;
    } else {
        report.skip_dependents(Check::WebConfig);
    }
    Some(config_js)
}

fn evaluate_page(sent: &str, response: &HttpResponse) -> Result<(), Finding> {
    let found = |kind| Finding::error(kind).with_exchange(sent, response.summary());
    if response.status != StatusCode::OK {
        return Err(found(FindingKind::PageStatus).with_remedy(
            "Jitsi's web server does not serve its page",
            "read its log; set upstream.web to the web container itself",
        ));
    }
    let kinds = (FindingKind::PageEncoded, FindingKind::PageCharset);
    encoding::evaluate(sent, response, kinds)?;
    if !response.is_html() || !response.text().to_ascii_lowercase().contains("jitsi") {
        return Err(found(FindingKind::PageForeign).with_remedy(
            "the server there is not Jitsi's web server",
            "correct upstream.web: Docker's container listens at web:80, jitsi-helm's at \
             <release>-web:80",
        ));
    }
    Ok(())
}

fn evaluate_config(config_js: &ConfigJs, expected: &Expected<'_>) -> Result<(), Finding> {
    let domain = expected.xmpp_domain;
    if let Some(found) = config_js.domain.as_deref().filter(|found| *found != domain) {
        return Err(Finding::error(FindingKind::ConfigDomain)
            .with_exchange(expected.sent, format!("hosts.domain = {found:?}"))
            .with_remedy(
                format!("clients log in at {found}, but tokens are issued for {domain}"),
                "make XMPP_DOMAIN in .env (hosts.domain in Debian's config.js) and upstream.xmpp_domain the same",
            ));
    }
    let request = &config_js.conference_request;
    let request = request
        .as_ref()
        .filter(|_| expected.serves_conference_requests);
    for (key, address) in [
        ("bosh", config_js.bosh.as_ref()),
        ("websocket", config_js.websocket.as_ref()),
        ("conferenceRequestUrl", request),
    ] {
        if let Some(address) = address {
            evaluate_address(key, address, expected)?;
        }
    }
    Ok(())
}

/// Checks that an address is relative, or has the public URL's scheme and authority.
fn evaluate_address(key: &str, address: &str, expected: &Expected<'_>) -> Result<(), Finding> {
    if address.starts_with('/') && !address.starts_with("//") {
        return Ok(());
    }
    let remedy = format!(
        "set PUBLIC_URL={} in .env (publicURL in jitsi-helm), without quotes; on Debian correct bosh and \
         websocket in /etc/jitsi/meet/*-config.js",
        expected.origin
    );
    let found = |kind, meaning: &str| {
        Err(Finding::error(kind)
            .with_exchange(expected.sent, format!("{key} = {address:?}"))
            .with_remedy(meaning, &remedy))
    };
    if address.contains(['"', '\'']) {
        return found(
            FindingKind::ConfigQuotes,
            "quotes became part of the address",
        );
    }
    let Ok(url) = Url::parse(address) else {
        return found(
            FindingKind::ConfigAddress,
            "clients cannot parse this address",
        );
    };
    if &url[url::Position::BeforeHost..url::Position::AfterPort] != expected.authority {
        return if matches!(url.host_str(), Some("localhost" | "127.0.0.1")) {
            found(
                FindingKind::ConfigLocalhost,
                "PUBLIC_URL is not set, so clients connect to their own machine",
            )
        } else {
            found(
                FindingKind::ConfigAddress,
                "clients connect past the gateway, to another address",
            )
        };
    }
    if matches!(url.scheme(), "http" | "ws") {
        return found(
            FindingKind::ConfigScheme,
            "browsers do not connect to plain HTTP from an https page",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Option<String> {
        let expected = Expected {
            sent: "",
            origin: "https://meet.example.org",
            authority: "meet.example.org",
            xmpp_domain: "meet.jitsi",
            serves_conference_requests: true,
        };
        let result = evaluate_config(&ConfigJs::parse(text), &expected);
        result.err().map(|finding| finding.id())
    }

    #[test]
    fn addresses_that_bypass_the_gateway_are_findings() {
        let good = "config.hosts.domain = 'meet.jitsi';\n\
                    config.bosh = 'https://meet.example.org/' + subdir + 'http-bind';\n\
                    config.websocket = 'wss://meet.example.org/' + subdir + 'xmpp-websocket';";
        assert_eq!(id(good), None);
        assert_eq!(id("bosh: '/http-bind'"), None);
        for (text, expected) in [
            (
                "websocket: 'wss://localhost:8443/xmpp-websocket'",
                "W2.localhost",
            ),
            ("bosh: 'https://other.example.org/http-bind'", "W2.address"),
            ("bosh: '//other.example.org/http-bind'", "W2.address"),
            (
                "bosh: 'https://\"meet.example.org\"/http-bind'",
                "W2.quotes",
            ),
            ("bosh: 'http://meet.example.org/http-bind'", "W2.scheme"),
            (
                "conferenceRequestUrl: 'https://jicofo.example.org/conference-request/v1'",
                "W2.address",
            ),
            ("domain: 'meet.example.org', bosh: 'x'", "W2.domain"),
        ] {
            assert_eq!(id(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn the_page_is_recognized_as_jitsis() {
        let response = |status, body: &str| HttpResponse {
            status,
            body: body.to_owned().into(),
            ..HttpResponse::default()
        };
        assert!(
            evaluate_page(
                "",
                &response(StatusCode::OK, "<!DOCTYPE html><title>Jitsi Meet")
            )
            .is_ok()
        );
        let id = |response| evaluate_page("", &response).unwrap_err().id();
        assert_eq!(
            id(response(StatusCode::OK, "<!DOCTYPE html>nginx")),
            "W1.other"
        );
        assert_eq!(id(response(StatusCode::BAD_GATEWAY, "")), "W1.status");
    }
}
