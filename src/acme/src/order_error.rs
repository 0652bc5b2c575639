//! Why no certificate was issued.

use std::time::Duration;

use model::{clock::Timestamp, time_format::format_rfc3339};

use crate::storage::AcmeStorageError;

/// Why no certificate was issued.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The authority answered with a problem document.
    #[error("the authority refuses: {0}")]
    Refused(instant_acme::Problem),
    /// The authority does not know the account, or deactivated it (RFC 8555 § 7.3.6).
    #[error("the authority refuses the account: {0}")]
    Account(instant_acme::Problem),
    /// The exchange with the authority failed.
    #[error("the exchange with the authority failed")]
    Exchange(#[source] instant_acme::Error),
    /// The authority requires an external account.
    #[error("the authority requires an external account; add tls.acme.external_account")]
    ExternalAccountRequired,
    /// The authority could not verify a name.
    #[error("the authority could not verify {name}: {detail}")]
    Unverified {
        /// The name.
        name: String,
        /// The authority's explanation.
        detail: String,
    },
    /// The authority offers other challenges only.
    #[error("the authority offers no challenge of type {0}; write another tls.acme.challenge")]
    NoChallenge(&'static str),
    /// The whole order took too long.
    #[error("the authority took longer than {} minutes", .0.as_secs() / 60)]
    Timeout(Duration),
    /// The certificate is not the one that was ordered.
    #[error("the authority's certificate cannot be used: {0}")]
    Certificate(&'static str),
    /// The certificate has expired at the machine's time.
    #[error("the new certificate expired at {}; correct the clock of this machine", format_rfc3339(.0.as_unix()))]
    Expired(Timestamp),
    /// A file cannot be written.
    #[error(transparent)]
    Storage(#[from] AcmeStorageError),
    /// A key or a certificate cannot be created.
    #[error("cannot create a key or a request")]
    Create(#[from] rcgen::Error),
    /// The TLS library refuses a key or certificate authorities.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

// === impl OrderError ===

impl OrderError {
    /// Whether the authority's problem is of this type (RFC 8555 § 6.7).
    pub(crate) fn is(&self, kind: &str) -> bool {
        matches!(self, Self::Refused(problem) | Self::Account(problem) if is_of(problem, kind))
    }

    /// The error of a request that the authority refuses as such if it refuses the account.
    pub(crate) fn of_new_order(error: instant_acme::Error) -> Self {
        match Self::from(error) {
            Self::Refused(problem) if is_about_account(&problem) => Self::Account(problem),
            other => other,
        }
    }
}

fn is_about_account(problem: &instant_acme::Problem) -> bool {
    ["accountDoesNotExist", "unauthorized"]
        .iter()
        .any(|kind| is_of(problem, kind))
}

pub(crate) fn is_of(problem: &instant_acme::Problem, kind: &str) -> bool {
    let known = problem.r#type.as_deref().unwrap_or_default();
    known.strip_prefix("urn:ietf:params:acme:error:") == Some(kind)
}

impl From<instant_acme::Error> for OrderError {
    fn from(error: instant_acme::Error) -> Self {
        match error {
            instant_acme::Error::Api(problem) => {
                let refused = Self::Refused(problem);
                if refused.is("externalAccountRequired") {
                    return Self::ExternalAccountRequired;
                }
                refused
            }
            other => Self::Exchange(other),
        }
    }
}
