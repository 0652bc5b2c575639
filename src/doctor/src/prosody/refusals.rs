//! Findings for a valid token that Prosody refuses, by the reasons of Jitsi's `mod_auth_token`.

use super::TokenSigning;
use crate::{
    Check, Finding, FindingKind,
    client::{BoshError, Refusal},
    reachability::PROSODY,
};

/// A reason of the plugin and its cause.
struct Reason {
    /// A part of the refusal's text, in lower case.
    text: &'static str,
    kind: FindingKind,
    meaning: &'static str,
    remedy: Remedy,
}

enum Remedy {
    Fixed(&'static str),
    /// Of [`FindingKind::TokenSecret`]: the text is for a shared secret.
    Key(&'static str),
    /// Of [`FindingKind::TokenAlgorithm`].
    Algorithm,
    /// The same, if there is nothing to verify with.
    MissingKey,
}

/// The finding for a valid token that was refused.
pub(super) fn valid_token_refused(refusal: &Refusal, signing: &TokenSigning) -> Finding {
    let text = refusal.text.to_lowercase();
    let reason = REASONS.iter().find(|reason| text.contains(reason.text));
    let finding = match reason {
        Some(reason) => {
            Finding::error(reason.kind).with_remedy(reason.meaning, reason.remedy.text(signing))
        }
        None => Finding::error(FindingKind::TokenRefused).with_remedy(
            "Prosody refuses tokens of this configuration for an unknown reason",
            "read Prosody's log, and look for modules that handle pre-jitsi-authentication",
        ),
    };
    finding.with_exchange(SENT, refusal.to_string())
}

/// The finding for a login with a valid token that got no reply.
pub(super) fn valid_token_unanswered(error: &BoshError) -> Finding {
    match error {
        BoshError::Http(error) => PROSODY.unreached(Check::ValidToken, SENT, error),
        _ => Finding::error(FindingKind::TokenUnanswered)
            .with_exchange(SENT, error.to_string())
            .with_remedy(
                "the token module failed while it verified the token; with cache_keys_url alone \
                 that is an unknown key id",
                "look for a Lua error in Prosody's log; set JWT_ASAP_KEYSERVER in .env \
                 (asap_key_server in prosody.cfg.lua) to <public_url>/_gateway/asap beside cache_keys_url",
            ),
    }
}

// === impl Remedy ===

impl Remedy {
    fn text(&self, signing: &TokenSigning) -> String {
        match (self, signing) {
            (Self::Key(_), TokenSigning::Key { kid, .. }) => format!(
                "publish the key of token.key kid = {kid:?} under that id; Prosody caches the keys \
                 that it fetched, so restart it after a key was replaced under the same id"
            ),
            (Self::Fixed(text) | Self::Key(text), _) => (*text).to_owned(),
            (Self::MissingKey, TokenSigning::Secret(algorithm)) => format!(
                "set JWT_APP_SECRET in .env (prosody.jwt.secret in jitsi-helm, app_secret in \
                 prosody.cfg.lua) to the content of token.secret_file, and \
                 JWT_SIGN_TYPE={algorithm:?} (signature_algorithm)"
            ),
            (Self::Algorithm, TokenSigning::Secret(algorithm)) => format!(
                "set JWT_SIGN_TYPE={algorithm:?} in .env (signature_algorithm in prosody.cfg.lua) \
                 and unset JWT_ASAP_KEYSERVER, or use [[token.key]]"
            ),
            (Self::Algorithm | Self::MissingKey, TokenSigning::Key { algorithm, .. }) => format!(
                "set JWT_SIGN_TYPE={algorithm:?} and JWT_ASAP_KEYSERVER=<public_url>/_gateway/asap \
                 in .env (signature_algorithm, asap_key_server in prosody.cfg.lua)"
            ),
        }
    }
}

const SENT: &str = "a login with a valid token for a test room";

/// The first that matches counts.
const REASONS: &[Reason] = &[
    Reason {
        text: "invalid signature",
        kind: FindingKind::TokenSecret,
        meaning: "Prosody verifies tokens with another secret or key than the gateway signs with",
        remedy: Remedy::Key(
            "make JWT_APP_SECRET in .env (prosody.jwt.secret in jitsi-helm, app_secret in \
             prosody.cfg.lua) the same as token.secret_file, and restart Prosody; look for a \
             line break at the end of either",
        ),
    },
    Reason {
        text: "incorrect alg",
        kind: FindingKind::TokenAlgorithm,
        meaning: "Prosody accepts another signature algorithm than the gateway signs with",
        remedy: Remedy::Algorithm,
    },
    Reason {
        text: "'kid' claim",
        kind: FindingKind::TokenAlgorithm,
        meaning: "Prosody fetches public keys, but the gateway signs with a shared secret",
        remedy: Remedy::Algorithm,
    },
    Reason {
        text: "verification key is missing",
        kind: FindingKind::TokenAlgorithm,
        meaning: "Prosody has neither a secret nor a key server to verify tokens with",
        remedy: Remedy::MissingKey,
    },
    Reason {
        text: "could not obtain public key",
        kind: FindingKind::TokenKeyServer,
        meaning: "Prosody cannot fetch the public key of the token",
        remedy: Remedy::Fixed(
            "set JWT_ASAP_KEYSERVER in .env (asap_key_server in prosody.cfg.lua) to \
             <public_url>/_gateway/asap, without a trailing slash, and make sure that \
             Prosody's container resolves and trusts that address",
        ),
    },
    Reason {
        text: "iss' claim",
        kind: FindingKind::TokenIssuer,
        meaning: "Prosody accepts other issuers than the gateway's; with an empty app id, none",
        remedy: Remedy::Fixed(
            "set JWT_APP_ID and JWT_ACCEPTED_ISSUERS in .env (prosody.extraEnvs in jitsi-helm; \
             app_id, asap_accepted_issuers in prosody.cfg.lua) to token.app_id",
        ),
    },
    Reason {
        text: "invalid issuer",
        kind: FindingKind::TokenIssuer,
        meaning: "Prosody accepts other issuers than the gateway's",
        remedy: Remedy::Fixed(
            "set JWT_APP_ID and JWT_ACCEPTED_ISSUERS in .env (prosody.extraEnvs in jitsi-helm; \
             app_id, asap_accepted_issuers in prosody.cfg.lua) to token.app_id",
        ),
    },
    Reason {
        text: "aud' claim",
        kind: FindingKind::TokenAudience,
        meaning: "Prosody accepts other audiences than the one in the gateway's tokens",
        remedy: Remedy::Fixed(
            "set JWT_ACCEPTED_AUDIENCES in .env (prosody.extraEnvs in jitsi-helm, \
             asap_accepted_audiences in prosody.cfg.lua) to token.audience",
        ),
    },
    Reason {
        text: "invalid audience",
        kind: FindingKind::TokenAudience,
        meaning: "Prosody accepts other audiences than the one in the gateway's tokens",
        remedy: Remedy::Fixed(
            "set JWT_ACCEPTED_AUDIENCES in .env (prosody.extraEnvs in jitsi-helm, \
             asap_accepted_audiences in prosody.cfg.lua) to token.audience",
        ),
    },
    Reason {
        text: "not acceptable by",
        kind: FindingKind::TokenClock,
        meaning: "Prosody's clock differs from this one, and Prosody tolerates no difference",
        remedy: Remedy::Fixed(
            "let both hosts follow NTP (chronyc tracking); raise token.lifetime meanwhile",
        ),
    },
    Reason {
        text: "token required",
        kind: FindingKind::TokenLost,
        meaning: "the Authorization header with the token did not reach Prosody",
        remedy: Remedy::Fixed(
            "set upstream.xmpp to Prosody itself, without a proxy that removes the header; \
             mod_jitsi_session has to be loaded",
        ),
    },
    Reason {
        text: "invalid typ",
        kind: FindingKind::TokenType,
        meaning: "a proxy in between changed the token",
        remedy: Remedy::Fixed("set upstream.xmpp to Prosody itself"),
    },
    Reason {
        text: "banned",
        kind: FindingKind::TokenBanned,
        meaning: "mod_muc_auth_ban refuses the user of this token",
        remedy: Remedy::Fixed("check the response of muc_prosody_jitsi_access_manager_url"),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_of_the_plugin_has_its_cause() {
        let secret = TokenSigning::Secret(jsonwebtoken::Algorithm::HS256);
        for (text, expected) in [
            ("Invalid signature", "A1.secret"),
            ("invalid 'iss' claim", "A1.issuer"),
            ("'iss' claim is missing", "A1.issuer"),
            ("Invalid issuer ('iss' claim)", "A1.issuer"),
            ("invalid 'aud' claim", "A1.audience"),
            ("Invalid audience ('aud' claim)", "A1.audience"),
            ("Invalid or incorrect alg", "A1.algorithm"),
            ("'kid' claim is missing", "A1.algorithm"),
            ("'kid' claim only support with RS family", "A1.algorithm"),
            ("signature verification key is missing", "A1.algorithm"),
            ("could not obtain public key", "A1.key-server"),
            ("Not acceptable by exp (61.0 sec since expired)", "A1.clock"),
            ("Not acceptable by nbf", "A1.clock"),
            ("token required", "A1.lost"),
            ("user is banned", "A1.banned"),
            ("computer says no", "A1.refused"),
        ] {
            let refusal = Refusal {
                condition: "not-allowed".to_owned(),
                text: text.to_owned(),
                marker: String::new(),
            };
            let finding = valid_token_refused(&refusal, &secret);
            assert_eq!(finding.id(), expected, "{text}");
            assert!(!finding.remedy.is_empty(), "{text}");
        }
    }

    #[test]
    fn remedies_name_the_configured_key_and_algorithm() {
        let refusal = |text: &str| Refusal {
            text: text.to_owned(),
            ..Refusal::default()
        };
        let key = TokenSigning::Key {
            algorithm: jsonwebtoken::Algorithm::RS512,
            kid: "2026-11".to_owned(),
        };
        let finding = valid_token_refused(&refusal("Invalid signature"), &key);
        assert!(finding.remedy.contains("2026-11"), "{}", finding.remedy);
        let secret = TokenSigning::Secret(jsonwebtoken::Algorithm::HS256);
        let missing = refusal("signature verification key is missing");
        let finding = valid_token_refused(&missing, &secret);
        assert!(
            finding.remedy.contains("JWT_APP_SECRET"),
            "{}",
            finding.remedy
        );
        let finding = valid_token_refused(&missing, &key);
        assert!(
            finding.remedy.contains("JWT_ASAP_KEYSERVER"),
            "{}",
            finding.remedy
        );
        let finding = valid_token_refused(&refusal("Invalid or incorrect alg"), &key);
        assert!(
            finding.remedy.contains("JWT_SIGN_TYPE=RS512"),
            "{}",
            finding.remedy
        );
    }
}
