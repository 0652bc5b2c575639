//! The number of bridges that Jicofo knows.

use http::{Request, StatusCode, header, uri::Authority};
use serde_json::Value;

use super::{
    Check, DoctorReport, Finding, FindingKind, Severity,
    client::{Endpoint, HttpResponse},
    reachability::JICOFO,
};

/// Queries Jicofo. Findings are warnings: the gateway does not carry media.
pub(super) async fn examine(jicofo: &Authority, report: &mut DoctorReport) {
    let endpoint = Endpoint::plain(jicofo);
    let sent = format!("GET http://{}{STATS}", endpoint.address());
    let request = Request::get(STATS)
        .header(header::HOST, jicofo.as_str())
        .body(String::new())
        // Infallible: an `Authority` is a header value.
        .expect("an authority is a header value");
    let result = match endpoint.send(request).await {
        Ok(response) => evaluate(&sent, &response),
        Err(error) => {
            let mut finding = JICOFO.unreached(Check::Bridges, &sent, &error);
            finding.severity = Severity::Warning;
            Err(finding)
        }
    };
    report.record(Check::Bridges, result);
}

fn evaluate(sent: &str, response: &HttpResponse) -> Result<(), Finding> {
    let statistics: Option<Value> = serde_json::from_slice(&response.body).ok();
    let count = |name: &str| {
        let selector = statistics.as_ref()?.get("bridge_selector")?;
        selector.get(name)?.as_u64()
    };
    let found = |kind, got: String| Finding::warning(kind).with_exchange(sent, got);
    let remedy = "check that the bridge runs and is logged in: JVB_AUTH_PASSWORD has to be the \
                  same for Prosody and the bridge, JVB_BREWERY_MUC for Jicofo and the bridge";
    // Before 2020 Jicofo reported the number of all bridges only.
    let usable = count("operational_bridge_count").or_else(|| count("bridge_count"));
    match (response.status, usable) {
        (StatusCode::OK, Some(0)) => Err(found(
            FindingKind::BridgesNone,
            format!(
                "0 bridges in operation of {}",
                count("bridge_count").unwrap_or_default()
            ),
        )
        .with_remedy(
            "participants enter rooms, but see and hear no other",
            remedy,
        )),
        (StatusCode::OK, Some(_)) => Ok(()),
        _ => Err(
            found(FindingKind::BridgesUnknown, response.summary()).with_remedy(
                "the response has no number of bridges",
                "set --jicofo to Jicofo's own HTTP port, by default 8888 (jicofo.rest.port)",
            ),
        ),
    }
}

/// Jicofo's statistics (`jicofo.rest.enabled`).
const STATS: &str = "/stats";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operational_bridges_are_counted() {
        let id = |status, body: &str| {
            let response = HttpResponse {
                status,
                body: body.to_owned().into(),
                ..HttpResponse::default()
            };
            evaluate("", &response).err().map(|own| own.id())
        };
        let of = |body| id(StatusCode::OK, body);
        let some = r#"{"bridge_selector": {"bridge_count": 2, "operational_bridge_count": 1}}"#;
        assert_eq!(of(some), None);
        assert_eq!(of(r#"{"bridge_selector": {"bridge_count": 1}}"#), None);
        let none = r#"{"bridge_selector": {"bridge_count": 2, "operational_bridge_count": 0}}"#;
        assert_eq!(of(none).as_deref(), Some("J5.none"));
        assert_eq!(of("{}").as_deref(), Some("J5.strange"));
        assert_eq!(
            id(StatusCode::NOT_FOUND, some).as_deref(),
            Some("J5.strange")
        );
    }
}
