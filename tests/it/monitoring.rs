//! Exported metrics, their documentation, the dashboard and the alerts agree.

mod audit;
mod counted;
pub(crate) mod exported;
mod expressions;
mod promtool;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use self::{
    exported::{Exported, Family},
    expressions::{Expression, alerts, panels},
};
use crate::support::site::Site;

/// Metrics of deployments with a login probe or several shards only.
const ELSEWHERE: [&str; 2] = ["gateway_backend_probe_", "gateway_shard_"];

/// Labels that Prometheus adds.
const OF_PROMETHEUS: [&str; 6] = ["job", "namespace", "pod", "instance", "le", "alertname"];

#[tokio::test]
async fn exported_metrics_match_the_documentation() {
    let exported = Exported::of(&after_some_traffic().await);
    let documented = documented();
    for (name, family) in &exported.0 {
        let said = documented.get(name);
        assert_eq!(said, Some(family), "docs/metrics.md on {name}");
    }
    for name in documented.keys() {
        let elsewhere = ELSEWHERE.iter().any(|prefix| name.starts_with(prefix));
        assert!(
            exported.0.contains_key(name) || elsewhere,
            "{name} is documented and not exported"
        );
    }
    let words = repository("docs/metrics.md");
    let text = after_some_traffic().await;
    for (label, value) in exported::values(&text) {
        let free = ["le", "hash", "version", "backend", "shard"].contains(&&*label);
        // `1xx` to `5xx` are documented as a range.
        let known = free || label == "status" || words.contains(&format!("`{value}`"));
        assert!(known, "{label}={value} is in no list of docs/metrics.md");
    }
    println!("{} families are documented", exported.0.len());
}

#[tokio::test]
async fn dashboard_and_alerts_use_existing_metrics() {
    let mut there = Exported::of(&after_some_traffic().await).0;
    for (name, family) in documented() {
        if ELSEWHERE.iter().any(|prefix| name.starts_with(prefix)) {
            there.entry(name).or_insert(family);
        }
    }
    let (alerts, panels) = (alerts(), panels());
    assert!(alerts.len() > 10 && panels.len() > 30);
    let mut asked = BTreeSet::new();
    for Expression { place, text } in alerts.iter().chain(&panels) {
        let names = expressions::metrics(text);
        assert!(!names.is_empty(), "{place} asks for nothing: {text}");
        let mut labels: BTreeSet<_> = OF_PROMETHEUS.map(str::to_owned).into();
        for (name, selected) in names {
            let family = family_of(&there, &name);
            let family = family.unwrap_or_else(|| panic!("{place}: there is no {name}"));
            for label in selected {
                let known = family.labels.contains(&label) || OF_PROMETHEUS.contains(&&*label);
                assert!(known, "{place}: {name} has no label {label}");
            }
            labels.extend(family.labels.iter().cloned());
            asked.insert(name);
        }
        for label in expressions::grouped_by(text) {
            assert!(
                labels.contains(&label),
                "{place}: nothing has a label {label}"
            );
        }
    }
    println!(
        "{} alerts and {} panels ask for {} metrics",
        alerts.len(),
        panels.len(),
        asked.len()
    );
}

#[test]
fn every_alert_links_to_its_documentation() {
    let text = repository("deploy/monitoring/alerts.yaml");
    let remedies = repository("docs/alerts.md");
    let mut headings = remedies.matches("\n## ").count();
    for alert in text.split("- alert: ").skip(1) {
        let name = alert.lines().next().unwrap();
        for key in [
            "severity: ",
            "summary: ",
            "description: ",
            "expr: ",
            "for: ",
        ] {
            assert!(alert.contains(key), "{name} has no {key}");
        }
        let runbook = format!("runbook_url: docs/alerts.md#{}\n", name.to_lowercase());
        assert!(alert.contains(&runbook), "{name}");
        assert!(remedies.contains(&format!("\n## {name}\n")), "{name}");
        let tests = repository("deploy/monitoring/alerts.test.yaml");
        assert!(
            tests.contains(&format!("\"{name}\"")),
            "{name} is not tested"
        );
        headings -= 1;
    }
    assert_eq!(headings, 0, "docs/alerts.md has headings of no alert");
}

#[test]
fn the_chart_has_the_same_alerts_and_dashboard() {
    for name in ["alerts.yaml", "dashboard.json"] {
        let ours = repository(&format!("deploy/monitoring/{name}"));
        let charts = repository(&format!("deploy/helm/jitsi-auth-gateway/files/{name}"));
        assert!(
            ours == charts,
            "copy deploy/monitoring/{name} to the chart's files"
        );
    }
}

/// The metrics of a gateway after some traffic, so that every family has a sample.
async fn after_some_traffic() -> String {
    let site = Site::start().await.ready().await;
    let mut max = site.signed_in("max").await;
    max.bosh("room=x", crate::gateway::CREATE).await;
    assert!(max.socket("room=x").await.is_ok());
    site.metrics().await
}

/// The rows of the tables in `docs/metrics.md`.
fn documented() -> BTreeMap<String, Family> {
    let text = repository("docs/metrics.md");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let name = cells.next().unwrap().trim_matches('`').to_owned();
        let kind = cells.next().unwrap().to_owned();
        let labels = cells.next().unwrap().split(", ");
        let labels = labels.map(|label| label.trim_matches('`').to_owned());
        let labels = labels.filter(|label| !label.is_empty()).collect();
        assert!(
            cells.next().is_some_and(|meaning| meaning.len() > 5),
            "{name}"
        );
        (name, Family { kind, labels })
    })
    .collect()
}

/// A family by its name or the name of one of its samples.
fn family_of<'f>(families: &'f BTreeMap<String, Family>, name: &str) -> Option<&'f Family> {
    let of_samples = || {
        let ends = ["_bucket", "_sum", "_count"];
        let family = ends.iter().find_map(|end| name.strip_suffix(end))?;
        families
            .get(family)
            .filter(|family| family.kind == "histogram")
    };
    families.get(name).or_else(of_samples)
}

fn repository(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}
