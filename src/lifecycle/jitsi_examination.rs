//! Faults of the Jitsi that the demonstration was started in front of.

use config::Config;
use doctor::{DoctorOptions, DoctorReport, Finding, Severity};
use model::{clock::Clock, random::Random};
use tracing::warn;

/// Examines page and Prosody of the Jitsi; the text for the terminal, if people cannot enter its rooms.
pub(super) async fn examine(config: &Config, clock: &Clock, random: &Random) -> Option<String> {
    let options = DoctorOptions {
        // Infallible: the ids are those of `docs/doctor.md`.
        selection: CHECKS.parse().expect("the ids are known"),
        deep: false,
        idle: None,
        jicofo: None,
        recorder: None,
        progress: &|_| {},
    };
    match doctor::examine(config, &options, clock, random).await {
        Ok(report) => describe(&report),
        Err(error) => {
            warn!(%error, "this Jitsi cannot be examined");
            None
        }
    }
}

fn describe(report: &DoctorReport) -> Option<String> {
    let findings = report.findings().iter();
    let faults = findings.filter(|finding| finding.severity != Severity::Advice);
    let faults: String = faults.map(describe_fault).collect();
    (!faults.is_empty()).then(|| {
        format!(
            "  Wrong  People cannot enter the rooms of this Jitsi yet.\n\n{faults}\
             \x20        Stop the demonstration, make the change, and start it again.\n\n"
        )
    })
}

fn describe_fault(finding: &Finding) -> String {
    format!(
        "         Found  {}\n         Means  {}\n         Change {}\n\n",
        finding.got,
        finding.meaning,
        in_terms_of_options(&finding.remedy)
    )
}

/// A remedy names the options of `gateway.toml`, which the demonstration writes from its own.
fn in_terms_of_options(remedy: &str) -> String {
    let replace = |text: String, (key, option): &(&str, &str)| text.replace(key, option);
    OPTIONS.iter().fold(remedy.to_owned(), replace)
}

/// Those without which no one enters a room: the page, its addresses, and a login with a valid token.
const CHECKS: &str = "W1,W2,B1,B2,B4,A1";

/// The options of `gateway.toml` and of `demo`; a longer name is before its beginning.
const OPTIONS: &[(&str, &str)] = &[
    ("upstream.xmpp_domain", "--xmpp-domain"),
    ("upstream.xmpp", "--xmpp"),
    ("upstream.web", "--jitsi"),
    (
        "the content of token.secret_file",
        "that of --app-secret-file",
    ),
    ("token.secret_file", "the content of --app-secret-file"),
    ("token.app_id", "--app-id"),
    ("token.issuer", "--app-id"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_names_the_options_of_the_demonstration() {
        for (remedy, expected) in [
            (
                "make JWT_APP_SECRET the same as token.secret_file, and restart Prosody",
                "make JWT_APP_SECRET the same as the content of --app-secret-file, and restart Prosody",
            ),
            (
                "set upstream.xmpp_domain to Prosody's, or correct upstream.xmpp",
                "set --xmpp-domain to Prosody's, or correct --xmpp",
            ),
        ] {
            assert_eq!(in_terms_of_options(remedy), expected);
        }
    }
}
