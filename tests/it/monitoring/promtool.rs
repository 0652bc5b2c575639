//! Checks by `promtool`, if `GATEWAY_TEST_PROMTOOL` names one.

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
fn alerts_fire_on_their_test_series() {
    promtool(&["check", "rules", "alerts.yaml"], "");
    promtool(&["test", "rules", "alerts.test.yaml"], "");
}

#[tokio::test]
#[ignore = "needs promtool, named by GATEWAY_TEST_PROMTOOL"]
async fn metric_names_pass_promtool() {
    promtool(&["check", "metrics"], &after_some_traffic().await);
}
