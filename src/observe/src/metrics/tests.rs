use std::time::Duration;

use http::StatusCode;

use super::*;
use model::{
    policy::Admission,
    route::{Label, Transport},
};

fn exposition(workers: Vec<Arc<WorkerMetrics>>, control: &ControlMetrics) -> String {
    Metrics::new(workers, control, 1_800_000_000).encode()
}

fn two_workers() -> Vec<Arc<WorkerMetrics>> {
    (0..2).map(|_| Arc::default()).collect()
}

fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        let line = format!("{line}\n");
        assert!(text.contains(&line), "{line} in\n{text}");
    }
}

#[test]
fn counters_of_workers_are_summed() {
    let workers = two_workers();
    let mut open = Vec::new();
    for worker in &workers {
        worker.count_response(Label::Bosh, StatusCode::OK, Duration::from_millis(3));
        worker.count_admission(&Admission::SignIn);
        worker.count_entry(Transport::WebSocket, EntryRole::Participant);
        worker.count_cut(Transport::Bosh, CutReason::BackChannel);
        worker.count_upstream_failure(UpstreamKind::Xmpp, UpstreamFailure::InvalidResponse);
        worker.count_limit(LimitKind::Body);
        worker.count_api_request(ApiOperation::CreateLink, ApiOutcome::KeyUnknown);
        open.extend([
            worker.open_stream(StreamKind::WebSocket),
            worker.open_stream(StreamKind::WebSocket),
        ]);
    }
    open.pop();
    workers[0].add_connections(3);
    workers[1].add_connections(-1);
    let text = exposition(workers, &ControlMetrics::default());
    assert_lines(
        &text,
        &[
            "jitsi_auth_gateway_requests_total{route=\"bosh\",status=\"2xx\"} 2",
            "jitsi_auth_gateway_request_duration_seconds_bucket{le=\"0.0025\",route=\"bosh\"} 0",
            "jitsi_auth_gateway_request_duration_seconds_bucket{le=\"0.005\",route=\"bosh\"} 2",
            "jitsi_auth_gateway_request_duration_seconds_count{route=\"bosh\"} 2",
            "jitsi_auth_gateway_admissions_total{outcome=\"asked\",reason=\"sign_in\"} 2",
            "jitsi_auth_gateway_admissions_total{outcome=\"refused\",reason=\"closed\"} 0",
            "jitsi_auth_gateway_entries_total{transport=\"websocket\",role=\"participant\"} 2",
            "jitsi_auth_gateway_cuts_total{transport=\"bosh\",reason=\"back_channel\"} 2",
            "jitsi_auth_gateway_upstream_failures_total{upstream=\"xmpp\",kind=\"invalid_response\"} 2",
            "jitsi_auth_gateway_limits_total{limit=\"body_size\"} 2",
            "jitsi_auth_gateway_streams_open{kind=\"websocket\"} 3",
            "jitsi_auth_gateway_connections_open 2",
            "jitsi_auth_gateway_api_requests_total{operation=\"create_link\",outcome=\"key_unknown\"} 2",
            "jitsi_auth_gateway_bosh_sessions_total 0",
        ],
    );
}

#[test]
fn events_add_no_series() {
    let workers = two_workers();
    let providers = ProviderFamilies::default();
    let provider = providers.of(Some("school"));
    let control = ControlMetrics {
        providers: Some(providers),
        ..ControlMetrics::default()
    };
    let series = |workers: &[Arc<WorkerMetrics>]| {
        let text = exposition(workers.to_vec(), &control);
        text.lines().filter(|line| !line.starts_with('#')).count()
    };
    let before = series(&workers);
    for route in Label::ALL {
        for status in [StatusCode::OK, StatusCode::BAD_GATEWAY] {
            workers[0].count_response(route, status, Duration::from_secs(100));
        }
    }
    for reason in SignInReason::ALL {
        provider.count_sign_in(*reason);
    }
    for outcome in LogoutOutcome::ALL {
        provider.count_backchannel_logout(*outcome);
        provider.count_frontchannel_logout(*outcome);
    }
    assert_eq!(series(&workers), before);
}

#[test]
fn sign_ins_and_logouts_are_counted_by_provider() {
    let workers = two_workers();
    for ids in [&[Some("school"), Some("firm")][..], &[None]] {
        let providers = ProviderFamilies::default();
        let counted: Vec<_> = ids.iter().map(|id| providers.of(*id)).collect();
        counted[0].count_sign_in_start();
        counted[0].count_sign_in(SignInReason::None);
        counted[0].clone().count_sign_in(SignInReason::None);
        counted[0].count_sign_in(SignInReason::UnknownState);
        counted[0].count_backchannel_logout(LogoutOutcome::Ok);
        counted[0].count_frontchannel_logout(LogoutOutcome::Unmatched);
        let control = ControlMetrics {
            providers: Some(providers),
            ..ControlMetrics::default()
        };
        let text = exposition(workers.clone(), &control);
        for (n, id) in ids.iter().enumerate() {
            let first = |count: u64| if n == 0 { count } else { 0 };
            let own = id.map(|id| format!("provider=\"{id}\""));
            let labels = |others: &str| {
                let all = own.as_deref().into_iter().chain(Some(others));
                let all: Vec<_> = all.filter(|labels| !labels.is_empty()).collect();
                format!("{{{}}}", all.join(","))
            };
            for (name, others, count) in [
                ("sign_ins_started", "", first(1)),
                ("sign_ins", "outcome=\"ok\",reason=\"none\"", first(2)),
                (
                    "sign_ins",
                    "outcome=\"unmatched\",reason=\"unknown_state\"",
                    first(1),
                ),
                ("sign_ins", "outcome=\"failed\",reason=\"too_late\"", 0),
                ("backchannel_logouts", "outcome=\"ok\"", first(1)),
                ("frontchannel_logouts", "outcome=\"unmatched\"", first(1)),
                ("frontchannel_logouts", "outcome=\"ok\"", 0),
            ] {
                let sample = format!("jitsi_auth_gateway_{name}_total{} {count}", labels(others));
                assert_lines(&text, &[&sample]);
            }
        }
    }
}

#[test]
fn the_exposition_is_openmetrics() {
    let providers = ProviderFamilies::default();
    for id in ["school", "firm"] {
        let of_provider = providers.of(Some(id));
        let took = Duration::from_secs(1);
        of_provider.count_request(ProviderRequest::Tokens, ProviderOutcome::Ok, took);
    }
    let control = ControlMetrics {
        providers: Some(providers),
        certificate: Some(CertificateMetrics::default()),
        acme: Some(AcmeMetrics::default()),
        ..ControlMetrics::default()
    };
    let text = exposition(two_workers(), &control);
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    assert_eq!(text.matches("# EOF").count(), 1);
    let kinds: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect();
    assert!(kinds.len() > 30, "{kinds:?}");
    for (name, kind) in &kinds {
        let expected: &[&str] = match *kind {
            "counter" => &["_total"],
            "info" => &["_info"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => panic!("{name} is a {kind}"),
        };
        // The samples of a family follow its description.
        let (_, rest) = text.split_once(&format!("# TYPE {name} {kind}\n")).unwrap();
        let samples = rest
            .lines()
            .skip_while(|line| line.starts_with("# UNIT"))
            .take_while(|line| !line.starts_with('#'));
        for sample in samples {
            let (sample, _) = sample.split_once(['{', ' ']).unwrap();
            let suffix = sample.strip_prefix(name);
            assert!(
                suffix.is_some_and(|suffix| expected.contains(&suffix)),
                "{sample} of {kind} {name}"
            );
        }
        assert!(
            !name.ends_with("_total") && !name.ends_with("_info"),
            "{name}"
        );
    }
}

#[test]
fn expiries_have_one_series_for_each_certificate_in_use() {
    let certificate = CertificateMetrics::default();
    let expiries = |names: &[(&str, u64)]| {
        let names = names.iter().map(|(name, end)| ((*name).to_owned(), *end));
        certificate.not_after.replace(names.collect());
        let control = ControlMetrics {
            certificate: Some(certificate.clone()),
            ..ControlMetrics::default()
        };
        let text = exposition(two_workers(), &control);
        let series = text
            .lines()
            .filter(|line| line.starts_with("jitsi_auth_gateway_certificate_not_after"));
        series.map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let series = |name: &str, end: u64| {
        format!(
            "jitsi_auth_gateway_certificate_not_after_timestamp_seconds{{name=\"{name}\"}} {end}"
        )
    };
    assert_eq!(
        expiries(&[("a.example", 1), ("b.example", 2)]),
        [series("a.example", 1), series("b.example", 2)]
    );
    assert_eq!(expiries(&[("c.example", 3)]), [series("c.example", 3)]);
}

#[test]
fn names_have_the_prefix_except_for_the_standard_process_metrics() {
    let text = exposition(two_workers(), &ControlMetrics::default());
    let (mut process, mut other) = (Vec::new(), 0);
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, _) = line.split_once(' ').unwrap();
        if name.starts_with("process_") {
            process.push(name);
        } else {
            assert!(name.starts_with("jitsi_auth_gateway_"), "{name}");
            other += 1;
        }
    }
    assert!(other > 20);
    process.sort_unstable();
    assert_eq!(
        process,
        [
            "process_cpu_seconds",
            "process_max_fds",
            "process_open_fds",
            "process_resident_memory_bytes",
            "process_start_time_seconds",
            "process_threads",
            "process_virtual_memory_bytes",
        ]
    );
    assert_lines(&text, &["process_start_time_seconds 1800000000"]);
    let build = format!(
        "jitsi_auth_gateway_build_info{{version=\"{}\"}} 1",
        env!("CARGO_PKG_VERSION")
    );
    assert_lines(&text, &[&build]);
}

#[test]
fn only_the_hash_of_the_configuration_in_use_is_exposed() {
    let control = ControlMetrics::default();
    control.config_hash.set("first");
    control.config_hash.set("second");
    let text = exposition(Vec::new(), &control);
    assert_lines(
        &text,
        &["jitsi_auth_gateway_config_info{hash=\"second\"} 1"],
    );
    assert!(!text.contains("first"));
}
