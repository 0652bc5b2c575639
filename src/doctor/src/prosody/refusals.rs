//! Why Prosody refuses a good token, by the words of Jitsi's plugin.

use super::Signing;
use crate::{
    Check, Finding,
    bosh::{BoshError, Refusal},
    reach::PROSODY,
};

/// What the plugin says, and what it means.
struct Meaning {
    /// A part of the text.
    says: &'static str,
    what: &'static str,
    meaning: &'static str,
    remedy: &'static str,
}

/// The finding for a refusal of a good token.
pub(super) fn of_good_token(refusal: &Refusal, signing: &Signing) -> Finding {
    let known = MEANINGS
        .iter()
        .find(|known| refusal.text.to_lowercase().contains(known.says));
    let (what, meaning, remedy) = match known {
        Some(known) => (known.what, known.meaning.to_owned(), remedy(known, signing)),
        None => (
            "refused",
            "Prosody refuses tokens of this configuration for a reason of its own".to_owned(),
            "look at Prosody's log, and at modules that listen to pre-jitsi-authentication"
                .to_owned(),
        ),
    };
    Finding::error(Check::A1, what)
        .saw(SENT, refusal.to_string())
        .so(meaning, remedy)
}

/// The finding for no answer to a good token.
pub(super) fn no_answer(error: &BoshError) -> Finding {
    match error {
        BoshError::Wire(error) => PROSODY.unreached(Check::A1, SENT, error),
        _ => Finding::error(Check::A1, "no-answer")
            .saw(SENT, error.to_string())
            .so(
                "the token module broke while it looked at the token; with cache_keys_url alone \
                 that is a key id it does not know yet",
                "look at Prosody's log for a Lua error; set JWT_ASAP_KEYSERVER in .env \
                 (asap_key_server) to <public_url>/_gateway/asap beside cache_keys_url",
            ),
    }
}

fn remedy(known: &Meaning, signing: &Signing) -> String {
    match (known.what, signing) {
        ("secret", Signing::Key(_, kid)) => format!(
            "publish the key of token.key kid = {kid:?} under that id; Prosody keeps keys it has \
             fetched, so restart it after a key was replaced under the same id"
        ),
        ("algorithm", Signing::Secret(algorithm)) => format!(
            "set JWT_SIGN_TYPE={algorithm:?} in .env (signature_algorithm in prosody.cfg.lua) and \
             unset JWT_ASAP_KEYSERVER, or use [[token.key]]"
        ),
        ("algorithm", Signing::Key(algorithm, _)) => format!(
            "set JWT_SIGN_TYPE={algorithm:?} and JWT_ASAP_KEYSERVER=<public_url>/_gateway/asap in \
             .env (signature_algorithm, asap_key_server in prosody.cfg.lua)"
        ),
        _ => known.remedy.to_owned(),
    }
}

const SENT: &str = "a login with a good token for a test room";

/// The first that fits counts.
const MEANINGS: &[Meaning] = &[
    Meaning {
        says: "invalid signature",
        what: "secret",
        meaning: "Prosody checks tokens with another secret or key than we sign with",
        remedy: "make JWT_APP_SECRET in .env (prosody.jwt.secret in jitsi-helm, app_secret in \
                 prosody.cfg.lua) the same as token.secret_file, and restart Prosody; look for a \
                 line break at the end of one of them",
    },
    Meaning {
        says: "incorrect alg",
        what: "algorithm",
        meaning: "Prosody accepts another signature algorithm than we sign with",
        remedy: "",
    },
    Meaning {
        says: "'kid' claim",
        what: "algorithm",
        meaning: "Prosody fetches public keys, but we sign with a shared secret",
        remedy: "",
    },
    Meaning {
        says: "verification key is missing",
        what: "algorithm",
        meaning: "Prosody has neither a secret nor a key server to check tokens with",
        remedy: "",
    },
    Meaning {
        says: "could not obtain public key",
        what: "key-server",
        meaning: "Prosody does not get the public key for our token",
        remedy: "set JWT_ASAP_KEYSERVER in .env (asap_key_server in prosody.cfg.lua) to \
                 <public_url>/_gateway/asap, without a slash at its end, and see that Prosody's \
                 container resolves and trusts that address",
    },
    Meaning {
        says: "iss' claim",
        what: "issuer",
        meaning: "Prosody accepts other issuers than the one in our tokens; if its app id is the \
                  empty text, none at all",
        remedy: "set JWT_APP_ID and JWT_ACCEPTED_ISSUERS in .env (prosody.extraEnvs in jitsi-helm; \
                 app_id, asap_accepted_issuers in prosody.cfg.lua) to token.app_id",
    },
    Meaning {
        says: "invalid issuer",
        what: "issuer",
        meaning: "Prosody accepts other issuers than the one in our tokens",
        remedy: "set JWT_APP_ID and JWT_ACCEPTED_ISSUERS in .env to token.app_id",
    },
    Meaning {
        says: "aud' claim",
        what: "audience",
        meaning: "Prosody accepts other audiences than the one in our tokens",
        remedy: "set JWT_ACCEPTED_AUDIENCES in .env (prosody.extraEnvs in jitsi-helm, \
                 asap_accepted_audiences in prosody.cfg.lua) to token.audience",
    },
    Meaning {
        says: "invalid audience",
        what: "audience",
        meaning: "Prosody accepts other audiences than the one in our tokens",
        remedy: "set JWT_ACCEPTED_AUDIENCES in .env to token.audience",
    },
    Meaning {
        says: "not acceptable by",
        what: "clock",
        meaning: "Prosody's clock and ours are apart, and it allows for no difference",
        remedy: "let both hosts follow NTP (chronyc tracking); token.lifetime may be longer meanwhile",
    },
    Meaning {
        says: "token required",
        what: "lost",
        meaning: "Prosody did not see the token that was sent in the Authorization header",
        remedy: "name Prosody itself in upstream.xmpp, without a proxy that removes the header; \
                 mod_jitsi_session has to be loaded",
    },
    Meaning {
        says: "invalid typ",
        what: "type",
        meaning: "something between changed the token",
        remedy: "name Prosody itself in upstream.xmpp",
    },
    Meaning {
        says: "banned",
        what: "banned",
        meaning: "mod_muc_auth_ban refuses whoever this token is for",
        remedy: "look at what muc_prosody_jitsi_access_manager_url answers",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_the_plugins_words_has_its_cause() {
        let secret = Signing::Secret(jsonwebtoken::Algorithm::HS256);
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
            let finding = of_good_token(&refusal, &secret);
            assert_eq!(finding.id, expected, "{text}");
            assert!(!finding.remedy.is_empty(), "{text}");
        }
    }

    #[test]
    fn remedies_name_our_own_key_and_algorithm() {
        let refusal = |text: &str| Refusal {
            text: text.to_owned(),
            ..Refusal::default()
        };
        let key = Signing::Key(jsonwebtoken::Algorithm::RS512, "2026-11".to_owned());
        let finding = of_good_token(&refusal("Invalid signature"), &key);
        assert!(finding.remedy.contains("2026-11"), "{}", finding.remedy);
        let finding = of_good_token(&refusal("Invalid or incorrect alg"), &key);
        assert!(
            finding.remedy.contains("JWT_SIGN_TYPE=RS512"),
            "{}",
            finding.remedy
        );
    }
}
