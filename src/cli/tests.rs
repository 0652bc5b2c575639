//! Whole command lines, against the configuration of the demonstration.

use super::*;
use devkit::demo::{Demo, DemoPorts};
use model::{clock::Clock, random::Random};

async fn parts() -> Demo {
    Demo::prepare(DemoPorts::Free, None, Clock::system(), Random::system())
        .await
        .unwrap()
}

/// The configuration file of the demonstration.
fn config_file(parts: &Demo) -> String {
    let certificate = &parts.config.server.tls.as_ref().unwrap().certificates[0].certificate;
    certificate
        .with_file_name("gateway.toml")
        .display()
        .to_string()
}

/// Runs a command line; returns the exit code, standard output and standard error.
pub(in crate::cli) fn command(words: &[&str], input: &str) -> (Exit, String, String) {
    let (mut output, mut error) = (Vec::new(), Vec::new());
    let mut terminal = Terminal {
        input: &mut input.as_bytes(),
        output: &mut output,
        error: &mut error,
    };
    let commands = Commands {
        run: |_, _| Ok(()),
        #[cfg(feature = "demo")]
        demo: |_| Ok(()),
    };
    let all = ["gateway"].iter().chain(words);
    let environment = Environment::from_variables::<&str, &str>([]);
    let exit = run(all, &environment, commands, &mut terminal);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (exit, text(output), text(error))
}

/// Ids of sessions are random, and one of 64 begins with a hyphen; rooms and accounts have any name.
#[test]
fn names_and_ids_may_begin_with_a_hyphen() {
    for words in [
        &["sessions", "show", "-gR7"][..],
        &["sessions", "list", "--room", "-x", "--subject", "-y"],
        &["sessions", "revoke", "--session", "-gR7"],
        &["sessions", "revoke", "--subject", "-y"],
        &["sessions", "revoke", "--link", "-gR7"],
        &["sessions", "revoke", "--room", "-x"],
        &["rooms", "show", "-x"],
        &["explain", "--room", "-x"],
        &["token", "mint", "--room", "-x"],
        &["token", "inspect", "--room", "-x", "a.b.c"],
    ] {
        let line = ["gateway"].iter().chain(words);
        let parsed = CommandLine::try_parse_from(line.chain(&["--help"]));
        // Help is asked for, so that nothing else is required.
        let kind = parsed.map(drop).unwrap_err().kind();
        assert_eq!(kind, clap::error::ErrorKind::DisplayHelp, "{words:?}");
    }
}

#[tokio::test]
async fn token_mint_prints_a_link_and_a_token_for_each_user() {
    let parts = parts().await;
    let file = config_file(&parts);
    let mint = [
        "token", "mint", "--config", &file, "--room", "plan", "--count", "3",
    ];
    let (exit, output, _) = command(&mint, "");
    assert_eq!(exit, Exit::Done, "{output}");
    let heads: Vec<_> = output
        .lines()
        .filter(|line| !line.starts_with(' '))
        .collect();
    assert_eq!(
        heads,
        [
            "Test 1 (moderator)",
            "Test 2 (participant)",
            "Test 3 (participant)"
        ]
    );
    let link = format!("  link   {}/plan?jwt=eyJ", parts.config.public_url);
    assert_eq!(
        output
            .lines()
            .filter(|line| line.starts_with(&link))
            .count(),
        3
    );
    let (_, output, _) = command(&[&mint[..], &["--print", "tokens"]].concat(), "");
    assert!(
        output.lines().all(|line| line.starts_with("eyJ")),
        "{output}"
    );
}

#[tokio::test]
async fn explain_prints_the_conditions_and_the_decision_without_a_token() {
    let parts = parts().await;
    let file = config_file(&parts);
    let directory = tempfile::tempdir().unwrap();
    let claims = directory.path().join("claims.json");
    std::fs::write(&claims, r#"{"sub": "7", "name": "Zoë"}"#).unwrap();
    let claims = claims.display().to_string();
    let words = [
        "explain", "--config", &file, "--room", "plan", "--claims", &claims, "--open",
    ];
    let (exit, output, error) = command(&words, "");
    assert_eq!(exit, Exit::Done, "{error}");
    assert!(output.starts_with("room     plan\nrule     "), "{output}");
    assert!(output.contains(" (match \""), "{output}");
    assert!(
        output.contains("answer   enters as participant (rule "),
        "{output}"
    );
    assert!(
        output.contains(": not met") && output.contains(": met"),
        "{output}"
    );
    assert!(!output.contains("eyJ"), "no token is shown: {output}");

    std::fs::write(directory.path().join("claims.json"), "[]").unwrap();
    assert_eq!(command(&words, "").0, Exit::Refused);
}

#[test]
fn doctor_explain_reads_standard_input() {
    let (exit, output, _) = command(&["doctor", "explain"], "'app_id' must not be empty\n");
    assert_eq!(exit, Exit::Failed);
    assert!(output.contains("JWT_APP_ID"), "{output}");
    let (exit, output, _) = command(&["doctor", "explain"], "all is well\n");
    assert_eq!(exit, Exit::Done, "{output}");
}

#[test]
fn a_doctor_without_configuration_or_checks_is_refused() {
    let (exit, _, error) = command(&["doctor", "--config", "/nonexistent"], "");
    assert_eq!(exit, Exit::Refused, "{error}");
    let (exit, _, error) = command(&["doctor", "--only", "Z"], "");
    assert_eq!(exit, Exit::Refused);
    assert!(error.contains("there is no check"), "{error}");
}

#[tokio::test]
async fn the_audit_file_is_reopened_on_sighup_and_not_at_each_poll() {
    let parts = parts().await;
    let file = config_file(&parts);
    let directory = tempfile::tempdir().unwrap();
    let audit_file = directory.path().join("audit.json");
    let environment =
        Environment::from_variables([("GATEWAY__LOG__AUDIT_FILE", audit_file.to_str().unwrap())]);
    let commands = Commands {
        run: |config, reload| {
            let path = config.log.audit_file.as_ref().expect("an audit file");
            std::fs::remove_file(path)?;
            // As at each poll of `reload_every`.
            (reload.read)()?;
            anyhow::ensure!(!path.exists(), "reopened by a poll");
            // As on SIGHUP.
            (reload.reopen_logs)();
            anyhow::ensure!(path.exists(), "not reopened on SIGHUP");
            Ok(())
        },
        #[cfg(feature = "demo")]
        demo: |_| Ok(()),
    };
    let (mut output, mut error) = (Vec::new(), Vec::new());
    let mut terminal = Terminal {
        input: &mut &b""[..],
        output: &mut output,
        error: &mut error,
    };
    let exit = run(
        ["gateway", "run", "--config", &file],
        &environment,
        commands,
        &mut terminal,
    );
    assert_eq!(exit, Exit::Done, "{}", String::from_utf8_lossy(&error));
}

/// The options of `demo` name a Jitsi only together with its secret.
#[cfg(feature = "demo")]
#[test]
fn the_demonstration_may_be_in_front_of_another_jitsi() {
    use anyhow::Context as _;
    use secrecy::ExposeSecret as _;

    let file = std::env::temp_dir().join(format!("demo-secret-{}", Random::system().text::<8>()));
    std::fs::write(&file, "a secret of the other Prosody\n").unwrap();
    let file = file.display().to_string();
    let run_demo = |demo, words: &[&str]| {
        let (mut output, mut error) = (Vec::new(), Vec::new());
        let mut terminal = Terminal {
            input: &mut io::empty(),
            output: &mut output,
            error: &mut error,
        };
        let commands = Commands {
            run: |_, _| Ok(()),
            demo,
        };
        let all = ["gateway", "demo"].iter().chain(words);
        let environment = Environment::from_variables::<&str, &str>([]);
        run(all, &environment, commands, &mut terminal)
    };
    let is_stand_in: fn(Option<ExternalJitsi>) -> anyhow::Result<()> = |jitsi| {
        anyhow::ensure!(jitsi.is_none());
        Ok(())
    };
    assert_eq!(run_demo(is_stand_in, &[]), Exit::Done);
    let web = ["--jitsi", "http://10.0.0.9:8000"];
    assert_eq!(run_demo(is_stand_in, &web), Exit::Refused);
    let with_path = [
        "--jitsi",
        "http://10.0.0.9:8000/x",
        "--app-secret-file",
        &file,
    ];
    assert_eq!(run_demo(is_stand_in, &with_path), Exit::Refused);
    let whole = [web[0], web[1], "--app-secret-file", &file];
    let is_theirs: fn(Option<ExternalJitsi>) -> anyhow::Result<()> = |jitsi| {
        let jitsi = jitsi.context("none")?;
        anyhow::ensure!(jitsi.web.as_str() == "http://10.0.0.9:8000/");
        anyhow::ensure!(jitsi.xmpp.as_str() == "http://10.0.0.9:5280/");
        anyhow::ensure!(jitsi.xmpp_domain == "meet.jitsi" && jitsi.app_id == "gateway");
        anyhow::ensure!(jitsi.app_secret.expose_secret() == "a secret of the other Prosody");
        Ok(())
    };
    assert_eq!(run_demo(is_theirs, &whole), Exit::Done);
    std::fs::remove_file(file).unwrap();
}
