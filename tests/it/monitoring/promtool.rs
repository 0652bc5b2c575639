//! Checks by Prometheus' `promtool`, named by `GATEWAY_TEST_PROMTOOL`.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use super::after_some_traffic;

fn promtool(arguments: &[&str], input: &str) {
    let program = std::env::var_os("GATEWAY_TEST_PROMTOOL").expect("GATEWAY_TEST_PROMTOOL is set");
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/monitoring"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    println!("promtool {arguments:?}: {said}");
    assert!(output.status.success(), "{said}");
}

#[test]
#[ignore = "needs promtool, named by GATEWAY_TEST_PROMTOOL"]
fn alerts_fire_in_the_scenarios_of_alerts_test_yaml() {
    promtool(&["check", "rules", "alerts.yaml"], "");
    promtool(&["test", "rules", "alerts.test.yaml"], "");
}

/// `check metrics` reads the older text format only; a backfill uses Prometheus' `OpenMetrics`
/// parser, and wants a timestamp at each sample.
#[tokio::test]
#[ignore = "needs promtool, named by GATEWAY_TEST_PROMTOOL"]
async fn prometheus_parses_the_exposition_as_openmetrics() {
    let text = after_some_traffic().await;
    let lines = text.lines().map(|line| {
        let time = if line.starts_with('#') {
            ""
        } else {
            " 1800000000"
        };
        format!("{line}{time}\n")
    });
    let directory = tempfile::tempdir().unwrap();
    let (file, blocks) = (
        directory.path().join("metrics"),
        directory.path().join("blocks"),
    );
    std::fs::write(&file, lines.collect::<String>()).unwrap();
    let paths = [file, blocks].map(|path| path.into_os_string().into_string().unwrap());
    let [file, blocks] = paths.each_ref();
    promtool(
        &["tsdb", "create-blocks-from", "openmetrics", file, blocks],
        "",
    );
}
