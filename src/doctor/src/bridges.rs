//! Whether Jicofo has a bridge for media, as its own numbers say.

use http::{Request, StatusCode, header, uri::Authority};
use serde_json::Value;

use super::{
    Check, Finding, Report,
    reach::JICOFO,
    wire::{Answer, Wire},
};

/// Asks Jicofo. Media are not the gateway's, so this is never more than a warning.
pub(super) async fn examine(jicofo: &Authority, report: &mut Report) {
    let wire = Wire::plain(jicofo);
    let sent = format!("GET http://{}{STATS}", wire.address());
    let request = Request::get(STATS)
        .header(header::HOST, jicofo.as_str())
        .body(String::new())
        .expect("an address from the command line is a host");
    let result = match wire.send(request).await {
        Ok(answer) => judged(&sent, &answer),
        Err(error) => {
            let mut finding = JICOFO.unreached(Check::J5, &sent, &error);
            finding.severity = super::Severity::Warning;
            Err(finding)
        }
    };
    report.settle(Check::J5, result);
}

fn judged(sent: &str, answer: &Answer) -> Result<(), Finding> {
    let numbers: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let count = |name: &str| {
        let selector = numbers.as_ref()?.get("bridge_selector")?;
        selector.get(name)?.as_u64()
    };
    let found = |what, got: String| Finding::warning(Check::J5, what).saw(sent, got);
    let remedy = "look whether the bridge runs and is logged in: JVB_AUTH_PASSWORD has to be the \
                  same for Prosody and the bridge, JVB_BREWERY_MUC for Jicofo and the bridge";
    // Since 2020 Jicofo tells of those that it would use; before, of all.
    let usable = count("operational_bridge_count").or_else(|| count("bridge_count"));
    match (answer.status, usable) {
        (StatusCode::OK, Some(0)) => Err(found(
            "none",
            format!(
                "0 bridges in operation of {}",
                count("bridge_count").unwrap_or_default()
            ),
        )
        .so("people meet, but see and hear nobody", remedy)),
        (StatusCode::OK, Some(_)) => Ok(()),
        _ => Err(found("strange", answer.brief()).so(
            "what answers does not say how many bridges Jicofo has",
            "name Jicofo's own HTTP port in --jicofo, 8888 unless jicofo.rest.port says otherwise",
        )),
    }
}

const STATS: &str = "/stats";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bridges_in_operation_count() {
        let id = |status, body: &str| {
            let answer = Answer {
                status,
                body: body.to_owned().into(),
                ..Answer::default()
            };
            judged("", &answer).err().map(|own| own.id)
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
