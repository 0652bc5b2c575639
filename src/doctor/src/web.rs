//! Jitsi's web server: its page, and what its `config.js` tells clients.

mod config_js;

use http::{Request, StatusCode, header};
use url::Url;

pub(super) use self::config_js::Told;
use super::{
    Check, Finding, Report, Watch,
    reach::WEB,
    wire::{Answer, Wire},
};
use config::PublicUrl;

/// Looks at the page and at `config.js`; what that tells, if it is there.
pub(super) async fn examine(
    wire: &Wire,
    public_url: &PublicUrl,
    xmpp_domain: &str,
    watch: &Watch<'_>,
    report: &mut Report,
) -> Option<Told> {
    watch.begins(Check::W1);
    let get = |path: &str| {
        Request::get(path)
            .header(header::HOST, public_url.authority().as_str())
            .body(String::new())
            .expect("the public address is a host")
    };
    let sent = |path: &str| format!("GET http://{}{path}", wire.address());
    let page = match wire.send(get("/")).await {
        Ok(answer) => page(&sent("/"), &answer),
        Err(error) => Err(WEB.unreached(Check::W1, &sent("/"), &error)),
    };
    if !report.settle(Check::W1, page) {
        report.skip(&[Check::W2], "W1 failed");
        return None;
    }
    watch.begins(Check::W2);
    let sent = sent("/config.js");
    let answer = match wire.send(get("/config.js")).await {
        Ok(answer) => answer,
        Err(error) => {
            report.find(WEB.unreached(Check::W2, &sent, &error));
            return None;
        }
    };
    if answer.status != StatusCode::OK || answer.is_html() {
        let finding = Finding::error(Check::W2, "missing")
            .saw(sent, answer.brief())
            .so(
                "there is no config.js, so clients do not know where to connect",
                "look at the web container's log and at its volume /config; name the web container \
             itself in upstream.web",
            );
        report.find(finding);
        return None;
    }
    let told = Told::read(&answer.text());
    let public = (public_url.origin(), public_url.authority().as_str());
    report.settle(Check::W2, judged(&told, &sent, public, xmpp_domain));
    Some(told)
}

fn page(sent: &str, answer: &Answer) -> Result<(), Finding> {
    let found = |what| Finding::error(Check::W1, what).saw(sent, answer.brief());
    if answer.status != StatusCode::OK {
        return Err(found("status").so(
            "Jitsi's web server does not show its page",
            "look at its log; name the web container itself in upstream.web",
        ));
    }
    if !answer.is_html() || !answer.text().to_ascii_lowercase().contains("jitsi") {
        return Err(found("other").so(
            "what answers is not Jitsi's web server",
            "correct upstream.web: Docker's container listens at web:80, jitsi-helm's at \
             <release>-web:80",
        ));
    }
    Ok(())
}

/// `public` is the deployment's origin, and its host and port.
fn judged(told: &Told, sent: &str, public: (&str, &str), domain: &str) -> Result<(), Finding> {
    if let Some(theirs) = told.domain.as_deref().filter(|theirs| *theirs != domain) {
        return Err(Finding::error(Check::W2, "domain")
            .saw(sent, format!("hosts.domain = {theirs:?}"))
            .so(
                format!("clients log in at {theirs}, but tokens are made for {domain}"),
                "make XMPP_DOMAIN in .env and upstream.xmpp_domain the same",
            ));
    }
    for (key, address) in [("bosh", &told.bosh), ("websocket", &told.websocket)] {
        if let Some(address) = address {
            address_of_clients(key, address, sent, public)?;
        }
    }
    Ok(())
}

/// Clients have to come back to the public address.
fn address_of_clients(
    key: &str,
    address: &str,
    sent: &str,
    (origin, authority): (&str, &str),
) -> Result<(), Finding> {
    if address.starts_with('/') && !address.starts_with("//") {
        return Ok(());
    }
    let found = |what| Finding::error(Check::W2, what).saw(sent, format!("{key} = {address:?}"));
    let remedy =
        format!("set PUBLIC_URL={origin} in .env (publicURL in jitsi-helm), without quotes");
    if address.contains(['"', '\'']) {
        return Err(found("quotes").so("quotes became part of the address", remedy));
    }
    let Ok(url) = Url::parse(address) else {
        return Err(found("address").so("clients cannot read this address", remedy));
    };
    if &url[url::Position::BeforeHost..url::Position::AfterPort] != authority {
        let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1"));
        return Err(if local {
            found("localhost").so(
                "PUBLIC_URL is not set, so clients connect to themselves",
                remedy,
            )
        } else {
            found("address").so(
                "clients connect past the gateway, to another address",
                remedy,
            )
        });
    }
    if matches!(url.scheme(), "http" | "ws") {
        return Err(found("scheme").so(
            "browsers connect to no plain address from a https page",
            remedy,
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Option<String> {
        let public = ("https://meet.example.org", "meet.example.org");
        let judged = judged(&Told::read(text), "", public, "meet.jitsi");
        judged.err().map(|finding| finding.id)
    }

    #[test]
    fn addresses_lead_back_to_the_gateway() {
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
            ("domain: 'meet.example.org', bosh: 'x'", "W2.domain"),
        ] {
            assert_eq!(id(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_page_is_jitsis() {
        let answer = |status, body: &str| Answer {
            status,
            body: body.to_owned().into(),
            ..Answer::default()
        };
        assert!(
            page(
                "",
                &answer(StatusCode::OK, "<!DOCTYPE html><title>Jitsi Meet")
            )
            .is_ok()
        );
        let id = |answer| page("", &answer).unwrap_err().id;
        assert_eq!(
            id(answer(StatusCode::OK, "<!DOCTYPE html>nginx")),
            "W1.other"
        );
        assert_eq!(id(answer(StatusCode::BAD_GATEWAY, "")), "W1.status");
    }
}
