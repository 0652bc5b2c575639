//! The `PromQL` expressions of dashboard and alerts.

use std::collections::BTreeSet;

use super::repository;

/// An expression and its location.
pub(super) struct Expression {
    pub(super) place: String,
    pub(super) text: String,
}

/// The expressions of `deploy/monitoring/alerts.yaml`.
pub(super) fn alerts() -> Vec<Expression> {
    let text = repository("deploy/monitoring/alerts.yaml");
    let alerts = text.split("- alert: ").skip(1);
    alerts
        .map(|alert| {
            let (_, rest) = alert.split_once("expr: ").unwrap();
            let (expression, _) = rest.split_once("\n        for: ").unwrap();
            Expression {
                place: alert.lines().next().unwrap().to_owned(),
                text: expression.trim_start_matches('|').to_owned(),
            }
        })
        .collect()
}

/// The expressions of `deploy/monitoring/dashboard.json`, with variables and annotations.
pub(super) fn panels() -> Vec<Expression> {
    let dashboard: serde_json::Value =
        serde_json::from_str(&repository("deploy/monitoring/dashboard.json")).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let mut found = Vec::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(
            ids.insert(panel["id"].as_u64()),
            "an id is there twice: {panel}"
        );
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{panel}");
            found.push(Expression {
                place: text(&panel["title"]),
                text: text(&target["expr"]),
            });
        }
    }
    for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
        found.push(Expression {
            place: text(&annotation["name"]),
            text: text(&annotation["expr"]),
        });
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<_> = variables
        .iter()
        .map(|variable| text(&variable["name"]))
        .collect();
    assert_eq!(names, ["datasource", "namespace", "pod"]);
    for variable in variables
        .iter()
        .filter(|variable| variable["type"] == "query")
    {
        found.push(Expression {
            place: text(&variable["name"]),
            text: text(&variable["definition"]),
        });
    }
    found
}

/// The metrics of an expression, each with its label matchers.
pub(super) fn metrics(expression: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = ["gateway_", "process_"]
        .iter()
        .filter_map(|begin| rest.find(begin))
        .min()
    {
        let name: String = rest[at..].chars().take_while(|c| is_word(*c)).collect();
        rest = &rest[at + name.len()..];
        let mut labels = Vec::new();
        if let Some(selectors) = rest.strip_prefix('{') {
            let (selectors, after) = selectors.split_once('}').unwrap();
            rest = after;
            labels = selectors
                .split(", ")
                .map(|selector| selector.chars().take_while(|c| is_word(*c)).collect())
                .collect();
        }
        found.push((name, labels));
    }
    found
}

/// The labels that results are grouped by or matched on.
pub(super) fn grouped_by(expression: &str) -> Vec<String> {
    let mut found = Vec::new();
    for keyword in [" by (", " on ("] {
        for part in expression.split(keyword).skip(1) {
            let (labels, _) = part.split_once(')').unwrap();
            found.extend(labels.split(", ").map(ToOwned::to_owned));
        }
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
