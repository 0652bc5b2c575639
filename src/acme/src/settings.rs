//! The settings of `[tls.acme]`.

use std::{path::PathBuf, time::Duration};

use secrecy::SecretSlice;
use url::Url;

/// Which authority issues a certificate, for which names, and how it verifies them.
#[derive(Clone, Debug)]
pub struct AcmeSettings {
    /// The authority's directory (RFC 8555 § 7.1.1).
    pub directory: Url,
    /// `mailto:` URLs of the account.
    pub contact: Vec<String>,
    /// The DNS names of the certificate, in lower case.
    pub names: Vec<String>,
    /// An account at the authority that the ACME account belongs to.
    pub external_account: Option<ExternalAccount>,
    /// The directory of account, key and certificate.
    pub storage: PathBuf,
    /// How the authority verifies that the names lead here.
    pub challenge: ChallengeKind,
    /// The profile of the certificate, if the authority has several.
    pub profile: Option<String>,
    /// Authorities that verify the directory's own certificate; those of the system if `None`.
    pub ca_pem: Option<Vec<u8>>,
    /// Delays.
    pub pacing: AcmePacing,
}

/// External account binding (RFC 8555 § 7.3.4).
#[derive(Clone, Debug)]
pub struct ExternalAccount {
    /// The key identifier.
    pub id: String,
    /// The HMAC key.
    pub key: SecretSlice<u8>,
}

/// A type of challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeKind {
    /// A handshake at port 443 (RFC 8737).
    TlsAlpn01,
    /// A request at port 80 (RFC 8555 § 8.3).
    Http01,
}

/// The delays of an [`AcmeTask`](crate::AcmeTask).
#[derive(Clone, Copy, Debug)]
pub struct AcmePacing {
    /// The delay after a first failure; it doubles with each further one.
    pub first_retry: Duration,
    /// How often the other replicas' challenges are read from a shared storage.
    pub sharing: Duration,
    /// The longest time between two looks at the certificate in the storage.
    pub review: Duration,
}

impl Default for AcmePacing {
    fn default() -> Self {
        Self {
            // Five failures within the first hour: more would meet Let's Encrypt's limit.
            first_retry: Duration::from_mins(1),
            sharing: Duration::from_millis(500),
            review: Duration::from_hours(1),
        }
    }
}
