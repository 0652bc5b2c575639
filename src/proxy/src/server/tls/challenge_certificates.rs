//! Answers to the challenges of a certificate authority: `tls-alpn-01` (RFC 8737) and `http-01`
//! (RFC 8555 § 8.3).

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use rustls::sign::CertifiedKey;

/// The challenges that an authority may verify now. Requests and handshakes read them without a lock.
#[derive(Debug, Default)]
pub struct ChallengeAnswers(ArcSwap<PendingChallenges>);

/// A set of challenges; replaced as a whole.
#[derive(Clone, Debug, Default)]
pub struct PendingChallenges {
    /// For `tls-alpn-01`: the certificate of each name, in lower case.
    pub certificates: HashMap<String, Arc<CertifiedKey>>,
    /// For `http-01`: the key authorization of each token.
    pub key_authorizations: HashMap<String, String>,
}

// === impl ChallengeAnswers ===

impl ChallengeAnswers {
    /// Replaces the challenges.
    pub fn replace(&self, pending: PendingChallenges) {
        self.0.store(Arc::new(pending));
    }

    /// The certificate for a handshake with [`ACME_TLS_ALPN`].
    pub(super) fn certificate(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let name = name?.to_ascii_lowercase();
        self.0.load().certificates.get(&name).map(Arc::clone)
    }

    /// The body for a request to `/.well-known/acme-challenge/<token>`.
    pub(crate) fn key_authorization(&self, token: &str) -> Option<String> {
        self.0.load().key_authorizations.get(token).cloned()
    }
}

/// The protocol of `tls-alpn-01`: a handshake with it carries no data (RFC 8737 § 3).
pub const ACME_TLS_ALPN: &[u8] = b"acme-tls/1";
