//! Evaluates Prosody's BOSH endpoint, its sessions and its SASL mechanisms.

use http::StatusCode;
use model::xml::Element;

use crate::{
    Check, Finding, FindingKind,
    client::{BoshError, HttpResponse, XmppServer},
    reachability::PROSODY,
};

/// Evaluates the response to a plain GET.
pub(super) fn evaluate_endpoint(
    domain: &str,
    sent: &str,
    response: &HttpResponse,
) -> Result<(), Finding> {
    let text = response.text();
    let found = |kind| Finding::error(kind).with_exchange(sent, response.summary());
    if text.contains("Unknown host") {
        return Err(found(FindingKind::BoshHost).with_remedy(
            format!("Prosody has no virtual host {domain}"),
            "set upstream.xmpp_domain to Prosody's own domain (XMPP_DOMAIN in .env, \
             VirtualHost in prosody.cfg.lua), not the public name",
        ));
    }
    if response.status == StatusCode::OK && text.contains("BOSH") {
        return Ok(());
    }
    if response.is_html() && !text.contains("BOSH") && response.status == StatusCode::OK {
        return Err(found(FindingKind::BoshWebServer).with_remedy(
            "a web server answers, not Prosody",
            "set upstream.xmpp to Prosody's own port 5280, not to the web container",
        ));
    }
    Err(match response.status {
        StatusCode::NOT_FOUND => found(FindingKind::BoshModule).with_remedy(
            "Prosody has no BOSH at /http-bind",
            "add \"bosh\" to modules_enabled of prosody.cfg.lua; Docker and jitsi-helm do so by \
             default, so look there for XMPP_MODULES and a config volume of an old version",
        ),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            found(FindingKind::BoshProxyDown).with_remedy(
                "a proxy before Prosody does not reach it",
                "set upstream.xmpp to Prosody itself, and check that it runs",
            )
        }
        _ => found(FindingKind::BoshForeign).with_remedy(
            "the server there is not a Prosody with BOSH",
            "correct upstream.xmpp: Prosody's HTTP port, by default 5280 (http_ports)",
        ),
    })
}

/// The finding for a session that was not opened.
pub(super) fn open_failed(server: &XmppServer, error: &BoshError) -> Finding {
    let domain = &server.domain;
    let sent = format!("a BOSH session for the domain {domain}");
    let found = |kind| Finding::error(kind).with_exchange(&*sent, error.to_string());
    match error {
        BoshError::Http(error) => PROSODY.unreached(Check::BoshSession, &sent, error),
        BoshError::Terminated(condition) if XmppServer::is_absence(condition) => {
            found(FindingKind::SessionDomain).with_remedy(
                format!("Prosody does not serve the XMPP domain {domain}"),
                "set upstream.xmpp_domain to Prosody's own domain (XMPP_DOMAIN in .env, \
                 VirtualHost in prosody.cfg.lua; meet.jitsi in Docker), not the public name",
            )
        }
        BoshError::Terminated(condition) if condition == "bad-request" => {
            found(FindingKind::SessionRewritten).with_remedy(
                "a proxy on the way lost or changed the request's body",
                "set upstream.xmpp to Prosody itself, without a proxy in between",
            )
        }
        BoshError::Terminated(condition) if condition == "item-not-found" => session_lost(error),
        BoshError::NotBosh(_) => found(FindingKind::SessionForeign).with_remedy(
            "the endpoint responds to GET as BOSH does, but opens no session",
            "read Prosody's log, and check that proxies on the way forward POST",
        ),
        _ => found(FindingKind::SessionTerminated).with_remedy(
            "Prosody ends the session at once",
            "read Prosody's log of that moment",
        ),
    }
}

/// The finding for a session that does not continue on another connection.
pub(super) fn session_lost(error: &BoshError) -> Finding {
    let sent = "a request of that session over another connection";
    match error {
        BoshError::Terminated(condition) if condition == "item-not-found" => {
            Finding::error(FindingKind::SessionSeveralServers)
                .with_exchange(sent, error.to_string())
                .with_remedy(
                    "the next connection reached another Prosody, which does not have the session: \
                     there are two behind this address",
                    "run one (replicas: 1 of the StatefulSet; docker compose up --scale \
                     prosody=1), or configure each as a shard",
                )
        }
        BoshError::Http(error) => PROSODY.unreached(Check::BoshAffinity, sent, error),
        _ => Finding::error(FindingKind::SessionLost)
            .with_exchange(sent, error.to_string())
            .with_remedy(
                "the session does not continue over another connection",
                "read Prosody's log, and look for proxies on the way to upstream.xmpp",
            ),
    }
}

/// Evaluates the SASL mechanisms that the stream features offer.
pub(super) fn evaluate_mechanisms(features: Option<&Element>) -> Result<(), Finding> {
    let offered: Vec<String> = features
        .and_then(|features| features.find("mechanisms"))
        .map(|list| list.children().map(Element::text).collect())
        .unwrap_or_default();
    let sent = "a BOSH session, for its SASL mechanisms";
    if offered.iter().any(|mechanism| mechanism == "ANONYMOUS") {
        return Ok(());
    }
    if offered.is_empty() {
        return Err(Finding::error(FindingKind::SaslNone)
            .with_exchange(sent, "no SASL mechanism at all")
            .with_remedy(
                "Prosody's token module did not start: the module or a library of it is \
                 missing, or it has no app id, or neither a secret nor a key server. Prosody's log \
                 has the reason, as \"'app_id' must not be empty\"",
                "mount mod_auth_token.lua and token/util.lib.lua where plugin_paths looks (a \
                 ConfigMap that was never mounted is a frequent cause), and set JWT_APP_ID and \
                 JWT_APP_SECRET in .env (prosody.jwt in jitsi-helm; app_id and app_secret in \
                 prosody.cfg.lua) to token.app_id and the content of token.secret_file; with \
                 [[token.key]], JWT_ASAP_KEYSERVER instead of the secret",
            ));
    }
    Err(Finding::error(FindingKind::SaslPasswords)
        .with_exchange(sent, offered.join(", "))
        .with_remedy(
            "Prosody asks for passwords instead of tokens",
            "set ENABLE_AUTH=1 and AUTH_TYPE=jwt in .env (prosody.extraEnvs in jitsi-helm), \
             authentication = \"token\" in prosody.cfg.lua; remove an old config volume",
        ))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn response(status: u16, body: &str) -> HttpResponse {
        let kind = if body.contains("<html") {
            "text/html"
        } else {
            "text/plain"
        };
        HttpResponse {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::from_iter([(
                http::header::CONTENT_TYPE,
                HeaderValue::from_static(kind),
            )]),
            body: body.to_owned().into(),
        }
    }

    #[test]
    fn the_endpoint_is_recognized_by_its_response() {
        let works = "<html><body>It works! Now point your BOSH client to this URL</body></html>";
        assert!(evaluate_endpoint("meet.jitsi", "", &response(200, works)).is_ok());
        for (status, body, expected) in [
            (404, "<html>Unknown host: 10.0.0.7</html>", "B1.host"),
            (404, "<html>Not found</html>", "B1.module"),
            (200, "<html><title>Jitsi Meet</title></html>", "B1.web"),
            (502, "", "B1.down"),
            (400, "?", "B1.strange"),
        ] {
            let finding = evaluate_endpoint("meet.jitsi", "", &response(status, body)).unwrap_err();
            assert_eq!(finding.id(), expected);
        }
    }

    #[test]
    fn sasl_mechanisms_show_how_prosody_authenticates() {
        let features = |list: &str| {
            Element::parse(&format!(
                "<features><mechanisms>{list}</mechanisms></features>"
            ))
            .ok()
        };
        let evaluate =
            |list| evaluate_mechanisms(features(list).as_ref()).map_err(|finding| finding.id());
        assert_eq!(evaluate("<mechanism>ANONYMOUS</mechanism>"), Ok(()));
        assert_eq!(evaluate(""), Err("B4.no-mechanism".to_owned()));
        assert_eq!(
            evaluate("<mechanism>PLAIN</mechanism>"),
            Err("B4.passwords".to_owned())
        );
        assert_eq!(
            evaluate_mechanisms(None).unwrap_err().id(),
            "B4.no-mechanism"
        );
    }
}
