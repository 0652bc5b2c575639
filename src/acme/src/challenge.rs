//! What the listeners answer while an authority verifies the names.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use proxy::server::{ChallengeAnswers, PendingChallenges};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::{
    crypto::aws_lc_rs as crypto,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};
use serde::{Deserialize, Serialize};

use crate::{
    order_error::OrderError,
    settings::ChallengeKind,
    storage::{AcmeStorage, AcmeStorageError},
};

/// A challenge, as replicas show it to each other: the authority may reach any of them. A key authorization is no
/// secret, but what anybody may fetch.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct SharedChallenge {
    pub(crate) name: String,
    pub(crate) token: String,
    pub(crate) key_authorization: String,
}

/// The challenges of one order, in this process and in the storage; they end when it is dropped.
pub(crate) struct PublishedChallenges<'p> {
    answers: &'p ChallengeAnswers,
    storage: &'p AcmeStorage,
}

// === impl PublishedChallenges ===

impl<'p> PublishedChallenges<'p> {
    pub(crate) fn publish(
        challenges: &[SharedChallenge],
        kind: ChallengeKind,
        answers: &'p ChallengeAnswers,
        storage: &'p AcmeStorage,
    ) -> Result<Self, OrderError> {
        answers.replace(pending(challenges, kind)?);
        let published = Self { answers, storage };
        storage.write_challenges(challenges)?;
        Ok(published)
    }
}

impl Drop for PublishedChallenges<'_> {
    fn drop(&mut self) {
        self.answers.replace(PendingChallenges::default());
        // The next order overwrites them.
        let _: Result<(), AcmeStorageError> = self.storage.write_challenges(&[]);
    }
}

/// The answers to the challenges.
pub(crate) fn pending(
    challenges: &[SharedChallenge],
    kind: ChallengeKind,
) -> Result<PendingChallenges, OrderError> {
    let mut pending = PendingChallenges::default();
    for challenge in challenges {
        let SharedChallenge {
            name,
            token,
            key_authorization,
        } = challenge.clone();
        match kind {
            ChallengeKind::TlsAlpn01 => {
                let certified = verification_certificate(&name, &key_authorization)?;
                pending.certificates.insert(name, Arc::new(certified));
            }
            ChallengeKind::Http01 => {
                pending.key_authorizations.insert(token, key_authorization);
            }
        }
    }
    Ok(pending)
}

/// The self-signed certificate with the critical extension `acmeIdentifier` (RFC 8737 § 3).
fn verification_certificate(
    name: &str,
    key_authorization: &str,
) -> Result<CertifiedKey, OrderError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    let hash = digest(&SHA256, key_authorization.as_bytes());
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(hash.as_ref())];
    let leaf = params.self_signed(&key)?.der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = crypto::default_provider().key_provider;
    let key = provider.load_private_key(key).map_err(OrderError::Tls)?;
    // Not `from_der`, which refuses a critical extension that it does not know.
    Ok(CertifiedKey::new(vec![leaf], key))
}

#[cfg(test)]
mod tests {
    use x509_cert::{Certificate, der::Decode};

    use super::*;

    #[test]
    fn the_certificate_of_a_challenge_has_the_critical_digest_of_its_key_authorization() {
        let challenge = SharedChallenge {
            name: "meet.example.org".to_owned(),
            token: "token".to_owned(),
            key_authorization: "token.thumbprint".to_owned(),
        };
        let pending = pending(&[challenge], ChallengeKind::TlsAlpn01).unwrap();
        let leaf = &pending.certificates["meet.example.org"].cert[0];
        let certificate = Certificate::from_der(leaf).unwrap().tbs_certificate;
        let extensions = certificate.extensions.unwrap();
        // id-pe-acmeIdentifier (RFC 8737 § 6.1).
        let is_it = |id: String| id == "1.3.6.1.5.5.7.1.31";
        let found = extensions.iter().find(|it| is_it(it.extn_id.to_string()));
        let found = found.unwrap();
        let hash = digest(&SHA256, b"token.thumbprint");
        let expected = [&[0x04, 0x20], hash.as_ref()].concat();
        assert!(found.critical);
        assert_eq!(found.extn_value.as_bytes(), expected);
    }
}
