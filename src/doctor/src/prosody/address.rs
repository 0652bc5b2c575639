//! Where Prosody is, which sessions it opens, and what it offers in them.

use http::StatusCode;

use crate::{
    Check, Finding,
    bosh::{BoshError, Target},
    reach::PROSODY,
    wire::Answer,
    xml::Element,
};

/// What B1 sends.
pub(super) fn sent(target: &Target) -> String {
    format!(
        "GET http://{}/http-bind with Host: {}",
        target.wire.address(),
        target.domain
    )
}

/// What the answer to a plain GET says.
pub(super) fn judged(domain: &str, sent: &str, answer: &Answer) -> Result<(), Finding> {
    let text = answer.text();
    let found = |what| Finding::error(Check::B1, what).saw(sent, answer.brief());
    if text.contains("Unknown host") {
        return Err(found("host").so(
            format!("Prosody has no virtual host {domain}"),
            "write Prosody's own domain into upstream.xmpp_domain (XMPP_DOMAIN in .env, \
             VirtualHost in prosody.cfg.lua), not the public name",
        ));
    }
    if answer.status == StatusCode::OK && text.contains("BOSH") {
        return Ok(());
    }
    if answer.is_html() && !text.contains("BOSH") && answer.status == StatusCode::OK {
        return Err(found("web").so(
            "a web server answers, not Prosody",
            "name Prosody's own port 5280 in upstream.xmpp, not the web container",
        ));
    }
    Err(match answer.status {
        StatusCode::NOT_FOUND => found("module").so(
            "Prosody is there, but has no BOSH at /http-bind",
            "add \"bosh\" to modules_enabled of prosody.cfg.lua; Docker and jitsi-helm do so \
             themselves, so look there for XMPP_MODULES and a config volume of an old version",
        ),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            found("down").so(
                "something stands before Prosody and does not reach it",
                "name Prosody itself in upstream.xmpp, and look whether it runs",
            )
        }
        _ => found("strange").so(
            "what answers is no Prosody with BOSH",
            "correct upstream.xmpp: Prosody's HTTP port, 5280 unless http_ports says otherwise",
        ),
    })
}

/// Why no session was opened.
pub(super) fn no_session(target: &Target, error: &BoshError) -> Finding {
    let domain = &target.domain;
    let sent = format!("a BOSH session for the domain {domain}");
    let found = |what| Finding::error(Check::B2, what).saw(&*sent, error.to_string());
    match error {
        BoshError::Wire(error) => PROSODY.unreached(Check::B2, &sent, error),
        BoshError::Ended(condition)
            if matches!(condition.as_str(), "improper-addressing" | "host-unknown") =>
        {
            found("domain").so(
                format!("Prosody does not serve the XMPP domain {domain}"),
                "write Prosody's own domain into upstream.xmpp_domain (XMPP_DOMAIN in .env, \
                 VirtualHost in prosody.cfg.lua; meet.jitsi in Docker), not the public name",
            )
        }
        BoshError::Ended(condition) if condition == "bad-request" => found("rewritten").so(
            "the request's body was lost or changed on the way",
            "name Prosody itself in upstream.xmpp, without a proxy between",
        ),
        BoshError::Ended(condition) if condition == "item-not-found" => lost_session(error),
        BoshError::Http(_) => found("strange").so(
            "the address answers a GET as BOSH does, but opens no session",
            "look at Prosody's log, and at proxies on the way: POST has to pass",
        ),
        _ => found("ended").so(
            "Prosody ends the session at once",
            "look at Prosody's log at that moment",
        ),
    }
}

/// Why a session was not found again.
pub(super) fn lost_session(error: &BoshError) -> Finding {
    let sent = "a request of that session over another connection";
    match error {
        BoshError::Ended(condition) if condition == "item-not-found" => {
            Finding::error(Check::B3, "several")
                .saw(sent, error.to_string())
                .so(
                    "the next connection reached another Prosody, which does not know the session: \
                     there are two behind this address",
                    "run one (replicas: 1 of the StatefulSet; docker compose up --scale \
                     prosody=1), or name each as a shard",
                )
        }
        BoshError::Wire(error) => PROSODY.unreached(Check::B3, sent, error),
        _ => Finding::error(Check::B3, "lost")
            .saw(sent, error.to_string())
            .so(
                "the session does not go on over another connection",
                "look at Prosody's log, and at proxies on the way to upstream.xmpp",
            ),
    }
}

/// What the stream offers to log in with.
pub(super) fn mechanisms(features: Option<&Element>) -> Result<(), Finding> {
    let offered: Vec<&str> = features
        .and_then(|features| features.find("mechanisms"))
        .map(|list| list.children.iter().map(Element::text).collect())
        .unwrap_or_default();
    let sent = "a BOSH session, to see how one may log in";
    if offered.contains(&"ANONYMOUS") {
        return Ok(());
    }
    if offered.is_empty() {
        return Err(Finding::error(Check::B4, "no-mechanism")
            .saw(sent, "no SASL mechanism at all")
            .so(
                "Prosody's token module did not start: it is not there, a library of it is missing, \
                 or it has no app id. Prosody's log says which, as \"'app_id' must not be empty\"",
                "mount mod_auth_token.lua and token/util.lib.lua where plugin_paths looks (a \
                 ConfigMap that was never mounted is a frequent cause), and set JWT_APP_ID in \
                 .env (prosody.extraEnvs in jitsi-helm, app_id in prosody.cfg.lua)",
            ));
    }
    Err(Finding::error(Check::B4, "passwords")
        .saw(sent, offered.join(", "))
        .so(
            "Prosody asks for passwords instead of tokens",
            "set ENABLE_AUTH=1 and AUTH_TYPE=jwt in .env (prosody.extraEnvs in jitsi-helm), \
             authentication = \"token\" in prosody.cfg.lua; remove an old config volume",
        ))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let kind = if body.contains("<html") {
            "text/html"
        } else {
            "text/plain"
        };
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::from_iter([(
                http::header::CONTENT_TYPE,
                HeaderValue::from_static(kind),
            )]),
            body: body.to_owned().into(),
        }
    }

    #[test]
    fn an_address_is_known_by_its_answer() {
        let works = "<html><body>It works! Now point your BOSH client to this URL</body></html>";
        assert!(judged("meet.jitsi", "", &answer(200, works)).is_ok());
        for (status, body, expected) in [
            (404, "<html>Unknown host: 10.0.0.7</html>", "B1.host"),
            (404, "<html>Not found</html>", "B1.module"),
            (200, "<html><title>Jitsi Meet</title></html>", "B1.web"),
            (502, "", "B1.down"),
            (400, "?", "B1.strange"),
        ] {
            let finding = judged("meet.jitsi", "", &answer(status, body)).unwrap_err();
            assert_eq!(finding.id, expected);
        }
    }

    #[test]
    fn mechanisms_tell_what_prosody_wants() {
        let features = |list: &str| {
            Element::parse(&format!(
                "<features><mechanisms>{list}</mechanisms></features>"
            ))
        };
        let judged = |list| mechanisms(features(list).as_ref()).map_err(|finding| finding.id);
        assert_eq!(judged("<mechanism>ANONYMOUS</mechanism>"), Ok(()));
        assert_eq!(judged(""), Err("B4.no-mechanism".to_owned()));
        assert_eq!(
            judged("<mechanism>PLAIN</mechanism>"),
            Err("B4.passwords".to_owned())
        );
        assert_eq!(mechanisms(None).unwrap_err().id, "B4.no-mechanism");
    }
}
