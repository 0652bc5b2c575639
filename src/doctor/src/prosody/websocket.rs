//! Evaluates a login over Prosody's WebSocket endpoint.

use http::StatusCode;

use crate::{Finding, FindingKind, client::WebSocketError};

/// Evaluates a login; `None` if there is no endpoint and `config.js` names none (`is_advertised`).
pub(super) fn evaluate(
    result: Result<(), WebSocketError>,
    is_advertised: bool,
) -> Option<Result<(), Finding>> {
    let error = match result {
        Ok(()) => return Some(Ok(())),
        Err(error) => error,
    };
    let found = |kind| {
        Finding::error(kind).with_exchange(
            "a WebSocket at /xmpp-websocket, and a login",
            error.to_string(),
        )
    };
    let finding = match &error {
        WebSocketError::Http(..) if !is_advertised => return None,
        WebSocketError::Http(StatusCode::NOT_FOUND, _) => found(FindingKind::WebSocketOff)
            .with_remedy(
                "config.js names a WebSocket, but Prosody has none",
                "add \"websocket\" to modules_enabled of prosody.cfg.lua, or set \
                 ENABLE_XMPP_WEBSOCKET=0 in .env for web and Prosody alike (websockets.xmpp in \
                 jitsi-helm)",
            ),
        WebSocketError::Http(StatusCode::FORBIDDEN, _) => found(FindingKind::WebSocketOrigin)
            .with_remedy(
                "an old Prosody (0.11) refuses by Origin",
                "update Prosody, or set cross_domain_websocket = true and PUBLIC_URL",
            ),
        WebSocketError::Http(StatusCode::NOT_IMPLEMENTED, _) | WebSocketError::Protocol => {
            found(FindingKind::WebSocketProtocol).with_remedy(
                "a proxy on the way removes the header Sec-WebSocket-Protocol",
                "set upstream.xmpp to Prosody itself, without a proxy in between",
            )
        }
        WebSocketError::Http(..) => found(FindingKind::WebSocketUpgrade).with_remedy(
            "a proxy on the way does not forward WebSocket upgrades",
            "set upstream.xmpp to Prosody itself, without a proxy in between",
        ),
        _ => found(FindingKind::WebSocketLogin).with_remedy(
            "a token that logs in over BOSH does not log in over WebSocket",
            "read Prosody's log, and look for a proxy in between",
        ),
    };
    Some(Err(finding))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_the_upgrade_have_their_causes() {
        let http = |status| Err(WebSocketError::Http(status, String::new()));
        for (result, expected) in [
            (http(StatusCode::NOT_FOUND), "S1.off"),
            (http(StatusCode::FORBIDDEN), "S1.origin"),
            (http(StatusCode::NOT_IMPLEMENTED), "S1.protocol"),
            (http(StatusCode::OK), "S1.upgrade"),
            (Err(WebSocketError::Protocol), "S1.protocol"),
            (Err(WebSocketError::Timeout), "S1.login"),
        ] {
            assert_eq!(evaluate(result, true).unwrap().unwrap_err().id(), expected);
        }
        assert_eq!(evaluate(Ok(()), true), Some(Ok(())));
    }

    #[test]
    fn an_absent_endpoint_is_no_finding_where_config_js_names_none() {
        let absent = Err(WebSocketError::Http(StatusCode::NOT_FOUND, String::new()));
        assert!(evaluate(absent, false).is_none());
    }
}
