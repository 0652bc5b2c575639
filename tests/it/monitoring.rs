//! The exposition, docs/metrics.md, dashboard, alerts and pages agree on metrics.

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
    expressions::{Expression, Matcher, alerts, panels},
};
use crate::support::site::Site;

/// Metrics of deployments with ACME, a login probe, several shards, a directory or a client with a certificate, which
/// the test site has not.
const ELSEWHERE: [&str; 5] = [
    "jitsi_auth_gateway_acme_",
    "jitsi_auth_gateway_journal_",
    "jitsi_auth_gateway_backend_probe_",
    "jitsi_auth_gateway_shard_",
    "jitsi_auth_gateway_provider_client_certificate_",
];

/// Metrics that have a label in a deployment with several providers.
const BY_PROVIDER: [&str; 5] = [
    "jitsi_auth_gateway_provider_",
    "jitsi_auth_gateway_session_revalidations",
    "jitsi_auth_gateway_sign_ins",
    "jitsi_auth_gateway_backchannel_logouts",
    "jitsi_auth_gateway_frontchannel_logouts",
];

/// The label of a deployment with several providers, which the test site has not.
const OF_SEVERAL_PROVIDERS: &str = "provider";

/// Labels that Prometheus adds.
const OF_PROMETHEUS: [&str; 6] = ["job", "namespace", "pod", "instance", "le", "alertname"];

#[tokio::test]
async fn docs_metrics_md_lists_exactly_the_exposed_metrics() {
    let exported = Exported::of(&after_some_traffic().await);
    let documented = documented();
    for (name, family) in &exported.0 {
        assert_eq!(
            documented.get(name),
            Some(family),
            "docs/metrics.md on {name}"
        );
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
        let free = ["le", "hash", "name", "version", "backend", "shard"].contains(&&*label);
        // The page has `1xx` to `5xx` as a range.
        let known = free || label == "status" || words.contains(&format!("`{value}`"));
        assert!(known, "{label}={value} is in no list of docs/metrics.md");
    }
    println!("{} families are documented", exported.0.len());
}

#[tokio::test]
async fn dashboard_and_alerts_use_exposed_metrics_labels_and_values() {
    let text = after_some_traffic().await;
    let mut there = Exported::of(&text).0;
    let known_values = exported::values(&text);
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
        for (name, matchers) in names {
            let family = family_of(&there, &name);
            let family = family.unwrap_or_else(|| panic!("{place}: there is no {name}"));
            for Matcher { label, values } in matchers {
                let known = family.labels.contains(&label) || OF_PROMETHEUS.contains(&&*label);
                assert!(known, "{place}: {name} has no label {label}");
                for value in values.iter().filter(|_| family.labels.contains(&label)) {
                    // Shard states are exposed only with shards.
                    let exposed =
                        label == "state" || known_values.contains(&(label.clone(), value.clone()));
                    assert!(exposed, "{place}: {label} of {name} is never {value}");
                }
            }
            labels.extend(family.labels.iter().cloned());
            if BY_PROVIDER.iter().any(|prefix| name.starts_with(prefix)) {
                labels.insert(OF_SEVERAL_PROVIDERS.to_owned());
            }
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
fn every_alert_has_texts_a_runbook_and_a_test() {
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
fn other_pages_and_tests_name_documented_metrics_only() {
    let documented = documented();
    let mut named = 0;
    let pages = [
        "README.md",
        "CONTRIBUTING.md",
        "deploy/monitoring/alerts.test.yaml",
        "deploy/helm/jitsi-auth-gateway/values.yaml",
        "deploy/helm/jitsi-auth-gateway/values.schema.json",
    ];
    let docs = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).unwrap();
    let docs = docs.filter_map(|entry| {
        let path = entry.unwrap().path();
        let is_page = path.extension().is_some_and(|extension| extension == "md");
        is_page.then(|| format!("docs/{}", path.file_name().unwrap().display()))
    });
    for page in docs.chain(pages.map(ToOwned::to_owned)) {
        let text = repository(&page);
        for (at, _) in text.match_indices("jitsi_auth_gateway_") {
            let name: String = text[at..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            assert!(family_of(&documented, &name).is_some(), "{page}: {name}");
            named += 1;
        }
        let old = text.match_indices("gateway_").filter(|(at, _)| {
            let before = text[..*at].chars().next_back();
            before.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
        });
        assert_eq!(old.count(), 0, "{page} names a metric without its prefix");
    }
    assert!(named > 50, "{named}");
}

#[test]
fn the_chart_has_copies_of_alerts_and_dashboard() {
    for name in ["alerts.yaml", "dashboard.json"] {
        let ours = repository(&format!("deploy/monitoring/{name}"));
        let charts = repository(&format!("deploy/helm/jitsi-auth-gateway/files/{name}"));
        assert!(
            ours == charts,
            "copy deploy/monitoring/{name} to the chart's files"
        );
    }
}

/// The exposition of a gateway after a sign-in, a BOSH session and a WebSocket, so that every family
/// has a sample.
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
