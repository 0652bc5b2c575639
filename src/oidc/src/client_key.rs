//! The private key of a client that authenticates by assertions, and the header of what it signs (RFC 7515 § 4.1).

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use model::clock::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use x509_cert::{Certificate, der::Decode};

/// A private key of the client, whose public key the provider knows.
pub struct ClientKey {
    header: Header,
    key: EncodingKey,
    certificate_end: Option<Timestamp>,
}

/// The text is no key that can sign an assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a private key in PEM form: RSA of 2048 bits or more, P-256, P-384 or Ed25519")]
pub struct ClientKeyError;

/// The key is of another kind than the algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key signs by {0:?}")]
pub struct AlgorithmMismatch(Algorithm);

/// The certificate is malformed, or that of another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the certificate of the private key")]
pub struct CertificateMismatch;

// === impl ClientKey ===

impl ClientKey {
    /// Reads a private key. `id` is the `kid` of the assertions, which a provider with several keys of
    /// the client needs. An RSA key signs by RS256.
    ///
    /// # Errors
    ///
    /// [`ClientKeyError`].
    pub fn from_pem(pem: &SecretString, id: Option<&str>) -> Result<Self, ClientKeyError> {
        let pem = pem.expose_secret().as_bytes();
        let keys = [
            (Algorithm::RS256, EncodingKey::from_rsa_pem(pem)),
            (Algorithm::ES256, EncodingKey::from_ec_pem(pem)),
            (Algorithm::ES384, EncodingKey::from_ec_pem(pem)),
            (Algorithm::EdDSA, EncodingKey::from_ed_pem(pem)),
        ];
        let of_kind = keys.into_iter().filter_map(|(algorithm, key)| {
            let header = Header {
                kid: id.map(ToOwned::to_owned),
                ..Header::new(algorithm)
            };
            Some((header, key.ok()?))
        });
        // The library reads the curve of a key, and the length of another, only when it signs.
        let mut usable = of_kind.filter(|(header, key)| {
            let signed = jsonwebtoken::encode(header, &(), key);
            signed.is_ok()
        });
        let (header, key) = usable.next().ok_or(ClientKeyError)?;
        Ok(Self {
            header,
            key,
            certificate_end: None,
        })
    }

    /// Signs by another algorithm of the same key: PS256 in place of RS256.
    ///
    /// # Errors
    ///
    /// [`AlgorithmMismatch`] for an algorithm of other keys.
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Result<Self, AlgorithmMismatch> {
        let earlier = self.header.alg;
        self.header.alg = algorithm;
        // The library refuses a key of another family or curve when it signs.
        match jsonwebtoken::encode(&self.header, &(), &self.key) {
            Ok(_) => Ok(self),
            Err(_) => Err(AlgorithmMismatch(earlier)),
        }
    }

    /// Names the key by the SHA-256 thumbprint of its DER certificate (`x5t#S256`, RFC 7515 § 4.1.8).
    ///
    /// # Errors
    ///
    /// [`CertificateMismatch`].
    pub fn with_certificate(mut self, certificate: &[u8]) -> Result<Self, CertificateMismatch> {
        let fields = Certificate::from_der(certificate)
            .map_err(|_| CertificateMismatch)?
            .tbs_certificate;
        let public = fields.subject_public_key_info.subject_public_key;
        if !self.is_private_key_of(public.raw_bytes()) {
            return Err(CertificateMismatch);
        }
        let end = fields.validity.not_after.to_unix_duration();
        self.certificate_end = Some(Timestamp::from_unix(end.as_secs()));
        let thumbprint = digest(&SHA256, certificate);
        self.header.x5t_s256 = Some(BASE64_URL_SAFE_NO_PAD.encode(thumbprint));
        Ok(self)
    }

    /// `notAfter` of the certificate; `None` without one.
    pub fn certificate_end(&self) -> Option<Timestamp> {
        self.certificate_end
    }

    /// Whether the public key, as a certificate has it (RFC 5280 § 4.1.2.7), verifies what the private key signs.
    fn is_private_key_of(&self, bits: &[u8]) -> bool {
        let public = match self.header.alg {
            Algorithm::ES256 | Algorithm::ES384 => DecodingKey::from_ec_der(bits),
            Algorithm::EdDSA => DecodingKey::from_ed_der(bits),
            _ => DecodingKey::from_rsa_der(bits),
        };
        let signed = self.sign(&());
        let Some((message, signature)) = signed.rsplit_once('.') else {
            return false;
        };
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &public, self.header.alg)
            .is_ok_and(|verified| verified)
    }

    /// A JWT with these claims. They are texts, numbers, or nothing.
    pub(crate) fn sign(&self, claims: &impl Serialize) -> String {
        // Infallible: the key has signed with this header, and the claims have a form in JSON.
        jsonwebtoken::encode(&self.header, claims, &self.key)
            .expect("a key that has signed signs again")
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKey")
            .field("algorithm", &self.header.alg)
            .field("id", &self.header.kid)
            .field("thumbprint", &self.header.x5t_s256)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SignatureAlgorithm};

    use super::*;

    const KINDS: [(&SignatureAlgorithm, Algorithm); 4] = [
        (&rcgen::PKCS_RSA_SHA256, Algorithm::RS256),
        (&rcgen::PKCS_ECDSA_P256_SHA256, Algorithm::ES256),
        (&rcgen::PKCS_ECDSA_P384_SHA384, Algorithm::ES384),
        (&rcgen::PKCS_ED25519, Algorithm::EdDSA),
    ];

    fn key_of(pair: &KeyPair) -> ClientKey {
        ClientKey::from_pem(&pair.serialize_pem().into(), None).unwrap()
    }

    fn certificate_of(pair: &KeyPair) -> Vec<u8> {
        let params = CertificateParams::new(["jitsi".to_owned()]).unwrap();
        params.self_signed(pair).unwrap().der().to_vec()
    }

    #[test]
    fn each_kind_of_key_signs_with_its_algorithm() {
        for (kind, algorithm) in KINDS {
            let key = key_of(&KeyPair::generate_for(kind).unwrap());
            assert_eq!(key.header.alg, algorithm);
            assert_eq!(key.header.kid, None);
            assert_eq!(key.header.x5t_s256, None);
            assert_eq!(key.certificate_end(), None);
        }
        let broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        for text in ["", "secret", broken] {
            let outcome = ClientKey::from_pem(&text.to_owned().into(), None);
            assert_eq!(outcome.unwrap_err(), ClientKeyError, "{text}");
        }
    }

    #[test]
    fn a_key_signs_by_the_algorithms_of_its_kind_only() {
        let all = [
            Algorithm::RS256,
            Algorithm::PS256,
            Algorithm::ES256,
            Algorithm::ES384,
            Algorithm::EdDSA,
        ];
        for (kind, own) in KINDS {
            let pair = KeyPair::generate_for(kind).unwrap();
            for algorithm in all {
                let is_possible =
                    algorithm == own || (own, algorithm) == (Algorithm::RS256, Algorithm::PS256);
                let outcome = key_of(&pair).with_algorithm(algorithm);
                match outcome {
                    Ok(key) => {
                        assert!(is_possible, "{own:?} {algorithm:?}");
                        let signed = key.sign(&());
                        let header = jsonwebtoken::decode_header(&signed).unwrap();
                        assert_eq!(header.alg, algorithm);
                    }
                    Err(error) => {
                        assert!(!is_possible, "{own:?} {algorithm:?}");
                        assert_eq!(error, AlgorithmMismatch(own));
                    }
                }
            }
        }
    }

    #[test]
    fn a_certificate_is_that_of_the_key() {
        for (kind, _) in KINDS {
            let pair = KeyPair::generate_for(kind).unwrap();
            let certificate = certificate_of(&pair);
            let key = key_of(&pair).with_certificate(&certificate).unwrap();
            let thumbprint = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, &certificate));
            assert_eq!(key.header.x5t_s256, Some(thumbprint), "{kind:?}");
            // 4096-01-01, the library's default.
            assert_eq!(key.certificate_end().unwrap().as_unix(), 67_090_118_400);
            for (other, _) in KINDS {
                let other = certificate_of(&KeyPair::generate_for(other).unwrap());
                let outcome = key_of(&pair).with_certificate(&other);
                assert_eq!(outcome.unwrap_err(), CertificateMismatch, "{kind:?}");
            }
            let (cut, _) = certificate.split_at(certificate.len() - 1);
            for malformed in [cut, b"", b"certificate"] {
                let outcome = key_of(&pair).with_certificate(malformed);
                assert_eq!(outcome.unwrap_err(), CertificateMismatch);
            }
        }
    }

    /// With PSS, too, and in either order.
    #[test]
    fn an_rsa_key_has_both_an_algorithm_and_a_certificate() {
        let pair = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let certificate = certificate_of(&pair);
        let first = key_of(&pair)
            .with_algorithm(Algorithm::PS256)
            .unwrap()
            .with_certificate(&certificate)
            .unwrap();
        let second = key_of(&pair)
            .with_certificate(&certificate)
            .unwrap()
            .with_algorithm(Algorithm::PS256)
            .unwrap();
        assert_eq!(first.header, second.header);
        assert_eq!(first.header.alg, Algorithm::PS256);
        assert!(first.header.x5t_s256.is_some());
    }
}
