//! Tokens that must not log in: each that does is a door that stands open.

use crate::{
    Check, Finding, Report,
    bosh::{BoshError, Refusal},
};
use model::token::SigningSettings;

/// How we sign, for what is said of it.
#[derive(Clone, Debug)]
pub(crate) enum Signing {
    /// With a shared secret.
    Secret(jsonwebtoken::Algorithm),
    /// With a key of this id.
    Key(jsonwebtoken::Algorithm, String),
}

/// A token that must not log in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bad {
    pub(super) check: Check,
    what: &'static str,
    sent: &'static str,
    meaning: &'static str,
    remedy: &'static str,
}

/// What became of trying.
pub(super) type Tried = Result<Result<(), Refusal>, BoshError>;

// === impl Signing ===

impl From<&SigningSettings> for Signing {
    fn from(settings: &SigningSettings) -> Self {
        match settings {
            SigningSettings::Secret { algorithm, .. } => Self::Secret(*algorithm),
            SigningSettings::Keys { algorithm, keys } => {
                let kid = keys.first().map(|key| key.kid.clone());
                Self::Key(*algorithm, kid.unwrap_or_default())
            }
        }
    }
}

/// Notes what came of the bad tokens. If a forged one is good, no token is looked at, and the
/// others say nothing more. Whether tokens are looked at.
pub(super) fn judge_bad(report: &mut Report, tried: Vec<(Bad, Tried)>) -> bool {
    let forged_is_good = tried
        .iter()
        .any(|(bad, tried)| bad.check == Check::A3 && matches!(tried, Ok(Ok(()))));
    for (bad, tried) in tried {
        if forged_is_good && bad.check != Check::A3 {
            report.skip(&[bad.check], "A3 failed: tokens are not looked at");
            continue;
        }
        match tried {
            Ok(Ok(())) => report.find(bad.finding()),
            Ok(Err(_)) | Err(BoshError::Silence(_) | BoshError::Ended(_)) => {
                report.pass(bad.check);
            }
            Err(error) => report.skip(&[bad.check], &error.to_string()),
        }
    }
    !forged_is_good
}

// === impl Bad ===

impl Bad {
    fn finding(self) -> Finding {
        let finding = match self.check {
            Check::A6 | Check::A7 => Finding::warning(self.check, self.what),
            _ => Finding::danger(self.check, self.what),
        };
        finding
            .saw(self.sent, "<success/>: it was let in")
            .so(self.meaning, self.remedy)
    }
}

/// All that must be refused.
pub(super) const BAD: [Bad; 6] = [
    Bad {
        check: Check::A2,
        what: "empty-token",
        sent: "a login without any token",
        meaning: "whoever reaches Prosody past the gateway is let in without a token",
        remedy: "set JWT_ALLOW_EMPTY=0 in .env (prosody.extraEnvs in jitsi-helm), \
                 allow_empty_token = false in prosody.cfg.lua",
    },
    Bad {
        check: Check::A3,
        what: "forged",
        sent: "a login with a token that another key signed",
        meaning: "Prosody does not look at tokens: everybody is let in",
        remedy: "set ENABLE_AUTH=1 and AUTH_TYPE=jwt in .env (prosody.extraEnvs in jitsi-helm), \
                 authentication = \"token\" in prosody.cfg.lua for the XMPP domain",
    },
    Bad {
        check: Check::A4,
        what: "expired",
        sent: "a login with a token that expired an hour ago",
        meaning: "a token that was once stolen is good for ever, or Prosody's clock is far behind",
        remedy: "set Prosody's clock, and use Jitsi's own mod_auth_token and luajwtjitsi",
    },
    Bad {
        check: Check::A5,
        what: "unsigned",
        sent: "a login with a token whose algorithm is \"none\"",
        meaning: "anybody can write a token",
        remedy: "set JWT_SIGN_TYPE in .env (signature_algorithm in prosody.cfg.lua), and use Jitsi's \
                 own mod_auth_token and luajwtjitsi",
    },
    Bad {
        check: Check::A6,
        what: "any-issuer",
        sent: "a login with a good token of an issuer that does not exist",
        meaning: "Prosody takes tokens of any issuer, so whoever shares the key or its server can \
                  let people in",
        remedy: "set JWT_ACCEPTED_ISSUERS in .env (prosody.extraEnvs in jitsi-helm, \
                 asap_accepted_issuers in prosody.cfg.lua) to token.issuer",
    },
    Bad {
        check: Check::A7,
        what: "any-audience",
        sent: "a login with a good token for an audience that does not exist",
        meaning: "Prosody takes tokens that were made for other services",
        remedy: "set JWT_ACCEPTED_AUDIENCES in .env (prosody.extraEnvs in jitsi-helm, \
                 asap_accepted_audiences in prosody.cfg.lua) to token.audience",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(let_in: &[Check]) -> Vec<String> {
        let tried = BAD.map(|bad| {
            let tried: Tried = if let_in.contains(&bad.check) {
                Ok(Ok(()))
            } else {
                Ok(Err(Refusal::default()))
            };
            (bad, tried)
        });
        let mut report = Report::default();
        judge_bad(&mut report, tried.into());
        let report = report.sorted();
        report.findings().iter().map(|own| own.id.clone()).collect()
    }

    #[test]
    fn whoever_must_not_come_in_and_does_is_found() {
        assert!(ids(&[]).is_empty());
        assert_eq!(ids(&[Check::A2]), ["A2.empty-token"]);
        assert_eq!(
            ids(&[Check::A7, Check::A5]),
            ["A5.unsigned", "A7.any-audience"]
        );
    }

    #[test]
    fn a_door_without_a_lock_is_one_finding() {
        let all = BAD.map(|bad| bad.check);
        assert_eq!(ids(&all), ["A3.forged"]);
    }
}
