//! `[token]`: the tokens for Prosody.

use std::path::Path;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    problem::{Fault, Section},
    secret::{RawSecret, SecretReader},
    values::{DurationText, name, seconds},
};
use model::token::{KeySettings, PublishedKeys, SignerError, SigningSettings, TokenSettings};

/// The tokens for Prosody: the same as its `app_id`, `app_secret` and the like. Needs `secret_file`
/// (or `secret`), or at least one `[[token.key]]`.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["app_id"]))]
pub(super) struct RawToken {
    /// Prosody's `app_id`.
    #[schemars(example = &"gateway")]
    app_id: Option<String>,
    /// The issuer in tokens, one of Prosody's `asap_accepted_issuers`; unless set, the `app_id`.
    issuer: Option<String>,
    /// Prosody's `app_secret`, no shorter than the algorithm's hash (32 bytes for HS256). Better
    /// kept in `secret_file`.
    #[schemars(with = "Option<String>")]
    secret: Option<SecretString>,
    /// The file of Prosody's `app_secret`.
    #[schemars(example = "config/prosody.secret")]
    secret_file: Option<String>,
    /// What tokens are signed with; unless set, HS256 with a secret and RS256 with keys.
    #[schemars(example = &"HS256")]
    algorithm: Option<Algorithm>,
    /// The audience in tokens, one of Prosody's `asap_accepted_audiences`.
    audience: String,
    /// The subject of tokens for rooms without a tenant; unless set, `upstream.xmpp_domain`.
    #[schemars(example = "meet.jitsi")]
    subject: Option<String>,
    /// How long a token is good for. It is needed while connecting only.
    lifetime: DurationText,
    /// RSA keys instead of a secret: the first signs, all are published.
    key: Vec<RawKey>,
}

/// An RSA key. Prosody finds its public half at `/_gateway/asap/` or in `/_gateway/jwks.json`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["kid", "file"]))]
pub(super) struct RawKey {
    /// The key's id.
    #[schemars(example = "2026-11")]
    kid: Option<String>,
    /// The file of the private key: PEM, RSA, 2048 bits or more.
    #[schemars(example = "config/token.key")]
    file: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq)]
#[schemars(inline)]
enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
}

// === impl RawToken ===

impl RawToken {
    /// `xmpp_domain` is the subject unless one is written.
    pub(super) fn resolve(
        self,
        xmpp_domain: Option<&str>,
        secrets: SecretReader,
        section: &mut Section<'_>,
    ) -> Option<TokenSettings> {
        let mut text = |key: &str, text: String| section.keep(key, name(&text));
        let app_id = self.app_id.and_then(|id| text("app_id", id));
        let issuer = match self.issuer {
            Some(issuer) => text("issuer", issuer),
            None => app_id.clone(),
        };
        let audience = text("audience", self.audience);
        let subject = match self.subject {
            Some(subject) => text("subject", subject),
            None => xmpp_domain.map(ToOwned::to_owned),
        };
        let lifetime = self
            .lifetime
            .within(seconds(10)..=seconds(3600), section, "lifetime");
        let raw = RawSecret {
            inline: self.secret,
            file: self.secret_file,
        };
        let signing = signing(self.algorithm, raw, self.key, secrets, section);
        app_id?;
        Some(TokenSettings {
            issuer: issuer?,
            audience: audience?,
            subject: subject?,
            lifetime: lifetime?,
            signing: signing?,
        })
    }
}

impl Default for RawToken {
    fn default() -> Self {
        Self {
            app_id: None,
            issuer: None,
            secret: None,
            secret_file: None,
            algorithm: None,
            audience: "jitsi".to_owned(),
            subject: None,
            lifetime: "2m".into(),
            key: Vec::new(),
        }
    }
}

// === impl Algorithm ===

impl Algorithm {
    /// How long a secret has to be: no shorter than the hash (RFC 7518 § 3.2). `None` if the
    /// algorithm takes a key pair.
    fn secret_bytes(self) -> Option<usize> {
        match self {
            Self::HS256 => Some(32),
            Self::HS384 => Some(48),
            Self::HS512 => Some(64),
            Self::RS256 | Self::RS384 | Self::RS512 => None,
        }
    }
}

impl From<Algorithm> for jsonwebtoken::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::HS256 => Self::HS256,
            Algorithm::HS384 => Self::HS384,
            Algorithm::HS512 => Self::HS512,
            Algorithm::RS256 => Self::RS256,
            Algorithm::RS384 => Self::RS384,
            Algorithm::RS512 => Self::RS512,
        }
    }
}

fn signing(
    algorithm: Option<Algorithm>,
    secret: RawSecret,
    keys: Vec<RawKey>,
    secrets: SecretReader,
    section: &mut Section<'_>,
) -> Option<SigningSettings> {
    match (secret.is_absent(), keys.is_empty()) {
        (true, true) => {
            let told = ["secret", "secret_file", "key"];
            if !told.iter().any(|key| section.is_settled(key)) {
                let remedy = "add secret_file = \"config/prosody.secret\", the same as Prosody's \
                              app_secret";
                section.reject("secret_file", "missing", remedy);
            }
            None
        }
        (false, false) => {
            let remedy = "remove the secret or every [[token.key]]";
            section.reject("key", "stands beside a secret", remedy);
            None
        }
        (false, true) => shared_secret(algorithm, secret, secrets, section),
        (true, false) => key_pairs(algorithm, keys, secrets, section),
    }
}

fn shared_secret(
    algorithm: Option<Algorithm>,
    raw: RawSecret,
    secrets: SecretReader,
    section: &mut Section<'_>,
) -> Option<SigningSettings> {
    let algorithm = algorithm.unwrap_or(Algorithm::HS256);
    let key = if raw.inline.is_some() {
        "secret"
    } else {
        "secret_file"
    };
    let secret = secrets.read(section, "secret", raw);
    let Some(least) = algorithm.secret_bytes() else {
        let remedy = "write HS256, HS384 or HS512, or use [[token.key]]";
        section.reject(
            "algorithm",
            format!("{algorithm:?} takes no secret"),
            remedy,
        );
        return None;
    };
    let secret = secret?;
    let length = secret.expose_secret().len();
    if length < least {
        let what = format!("{length} bytes are too few for {algorithm:?}, which wants {least}");
        section.reject(
            key,
            what,
            "write one with openssl rand -hex 32, and give it to Prosody too",
        );
        return None;
    }
    Some(SigningSettings::Secret {
        algorithm: algorithm.into(),
        secret,
    })
}

fn key_pairs(
    algorithm: Option<Algorithm>,
    raw: Vec<RawKey>,
    secrets: SecretReader,
    section: &mut Section<'_>,
) -> Option<SigningSettings> {
    let algorithm = algorithm.unwrap_or(Algorithm::RS256);
    let fits = algorithm.secret_bytes().is_none();
    if !fits {
        let what = format!("{algorithm:?} takes a secret, not keys");
        section.reject("algorithm", what, "write RS256, RS384 or RS512");
    }
    let mut kids: Vec<String> = Vec::new();
    let mut keys = Vec::new();
    let mut complete = true;
    for (position, key) in (1..).zip(raw) {
        let entry = &mut section.entry("key", position);
        let kid = key.kid.and_then(|kid| entry.keep("kid", name(&kid)));
        if kid.as_ref().is_some_and(|kid| kids.contains(kid)) {
            entry.reject("kid", "the id of another key", "write another id");
        }
        kids.extend(kid.clone());
        let pem = key
            .file
            .and_then(|file| entry.keep("file", key_file(&file, secrets)));
        match kid.zip(pem) {
            Some((kid, pem)) => keys.push(KeySettings { kid, pem }),
            None => complete = false,
        }
    }
    (complete && fits).then(|| SigningSettings::Keys {
        algorithm: algorithm.into(),
        keys,
    })
}

/// The PEM text of an RSA key that can sign.
pub(super) fn key_file(file: &str, secrets: SecretReader) -> Result<SecretString, Fault> {
    let pem = SecretString::from(secrets.read_file(Path::new(file))?.as_str());
    // Publishing is what looks at a key most closely.
    let probe = SigningSettings::Keys {
        algorithm: jsonwebtoken::Algorithm::RS256,
        keys: vec![KeySettings {
            kid: file.to_owned(),
            pem: pem.clone(),
        }],
    };
    PublishedKeys::new(&probe).map_err(|error| {
        let what = match error {
            SignerError::NotRsa { .. } => format!("{file} is not an RSA private key in PEM form"),
            // The library takes no shorter key in hand.
            _ => format!("{file} cannot sign: fewer than 2048 bits, or broken"),
        };
        Fault::new(what, "make one with openssl genrsa 2048")
    })?;
    Ok(pem)
}
