//! Tokens that must not log in.

use super::LoginResult;
use crate::{Check, DoctorReport, Finding, FindingKind, client::BoshError};

/// A token that must not log in, and the finding if it does.
#[derive(Clone, Copy, Debug)]
pub(super) struct BadToken {
    kind: FindingKind,
    sent: &'static str,
    meaning: &'static str,
    remedy: &'static str,
}

/// Reports the results. If a forged token is accepted, Prosody verifies no token, and the other
/// findings are consequences. Returns whether Prosody verifies tokens.
pub(super) fn evaluate(report: &mut DoctorReport, results: Vec<(BadToken, LoginResult)>) -> bool {
    let forged_accepted = results
        .iter()
        .any(|(bad, result)| bad.check() == Check::ForgedToken && matches!(result, Ok(Ok(()))));
    for (bad, result) in results {
        if forged_accepted && bad.check() != Check::ForgedToken {
            report.skip([bad.check()], NOT_VERIFIED);
            continue;
        }
        match result {
            Ok(Ok(())) => report.fail(bad.finding()),
            Ok(Err(_)) | Err(BoshError::Timeout(_) | BoshError::Terminated(_)) => {
                report.pass(bad.check());
            }
            Err(error) => report.skip([bad.check()], &error.to_string()),
        }
    }
    !forged_accepted
}

// === impl BadToken ===

impl BadToken {
    pub(super) const fn check(self) -> Check {
        self.kind.check()
    }

    fn finding(self) -> Finding {
        let finding = match self.check() {
            Check::ForeignIssuer | Check::ForeignAudience => Finding::warning(self.kind),
            _ => Finding::danger(self.kind),
        };
        finding
            .with_exchange(self.sent, "<success/>: the login was accepted")
            .with_remedy(self.meaning, self.remedy)
    }
}

/// Why other checks of tokens are skipped after A3 failed.
pub(super) const NOT_VERIFIED: &str = "A3 failed: Prosody does not verify tokens";

/// All tokens that Prosody must refuse.
pub(super) const BAD_TOKENS: [BadToken; 6] = [
    BadToken {
        kind: FindingKind::MissingTokenAccepted,
        sent: "a login without any token",
        meaning: "anyone who reaches Prosody past the gateway logs in without a token",
        remedy: "set JWT_ALLOW_EMPTY=0 in .env (prosody.extraEnvs in jitsi-helm), \
                 allow_empty_token = false in prosody.cfg.lua",
    },
    BadToken {
        kind: FindingKind::ForgedTokenAccepted,
        sent: "a login with a token that another key signed",
        meaning: "Prosody does not verify tokens: everyone logs in",
        remedy: "set ENABLE_AUTH=1 and AUTH_TYPE=jwt in .env (prosody.extraEnvs in jitsi-helm), \
                 authentication = \"token\" in prosody.cfg.lua for the XMPP domain",
    },
    BadToken {
        kind: FindingKind::ExpiredTokenAccepted,
        sent: "a login with a token that expired an hour ago",
        meaning: "a stolen token stays valid for ever, or Prosody's clock is far behind",
        remedy: "correct Prosody's clock, and use Jitsi's own mod_auth_token and luajwtjitsi",
    },
    BadToken {
        kind: FindingKind::UnsignedTokenAccepted,
        sent: "a login with a token whose algorithm is \"none\"",
        meaning: "anyone can write a token that Prosody accepts",
        remedy: "set JWT_SIGN_TYPE in .env (signature_algorithm in prosody.cfg.lua), and use \
                 Jitsi's own mod_auth_token and luajwtjitsi",
    },
    BadToken {
        kind: FindingKind::AnyIssuerAccepted,
        sent: "a login with a valid token of an issuer that does not exist",
        meaning: "Prosody accepts tokens of any issuer, so every service that shares the key or \
                  the key server can let users in",
        remedy: "set JWT_ACCEPTED_ISSUERS in .env (prosody.extraEnvs in jitsi-helm, \
                 asap_accepted_issuers in prosody.cfg.lua) to token.issuer",
    },
    BadToken {
        kind: FindingKind::AnyAudienceAccepted,
        sent: "a login with a valid token for an audience that does not exist",
        meaning: "Prosody accepts tokens that were issued for other services",
        remedy: "set JWT_ACCEPTED_AUDIENCES in .env (prosody.extraEnvs in jitsi-helm, \
                 asap_accepted_audiences in prosody.cfg.lua) to token.audience",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Refusal;

    /// The ids of the findings if these checks' tokens are accepted.
    fn ids(accepted: &[Check]) -> Vec<String> {
        let results = BAD_TOKENS.map(|bad| {
            let result: LoginResult = if accepted.contains(&bad.check()) {
                Ok(Ok(()))
            } else {
                Ok(Err(Refusal::default()))
            };
            (bad, result)
        });
        let mut report = DoctorReport::default();
        evaluate(&mut report, results.into());
        let report = report.sorted();
        report.findings().iter().map(Finding::id).collect()
    }

    #[test]
    fn each_accepted_token_is_a_finding() {
        assert!(ids(&[]).is_empty());
        assert_eq!(ids(&[Check::MissingToken]), ["A2.empty-token"]);
        assert_eq!(
            ids(&[Check::ForeignAudience, Check::UnsignedToken]),
            ["A5.unsigned", "A7.any-audience"]
        );
    }

    #[test]
    fn an_accepted_forged_token_hides_the_other_findings() {
        let all = BAD_TOKENS.map(BadToken::check);
        assert_eq!(ids(&all), ["A3.forged"]);
    }
}
