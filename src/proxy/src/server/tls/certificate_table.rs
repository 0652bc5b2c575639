//! Which certificate a handshake gets: by the name that the client asks for (SNI, RFC 6066 § 3).

use std::{collections::HashMap, sync::Arc};

use rustls::{SignatureScheme, sign::CertifiedKey};

use super::super::certificate_fields::{CertificateFields, wildcard_of};

/// The certificates in use, in the order of the configuration; replaced as a whole.
#[derive(Debug)]
pub(super) struct CertificateTable {
    certificates: Vec<Arc<CertifiedKey>>,
    /// Positions in `certificates`, by DNS name or wildcard.
    by_name: HashMap<String, Vec<usize>>,
}

// === impl CertificateTable ===

impl CertificateTable {
    pub(super) fn new(certificates: Vec<Arc<CertifiedKey>>) -> Self {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (position, certified) in certificates.iter().enumerate() {
            for name in fields(certified).map(|it| it.dns_names).unwrap_or_default() {
                by_name.entry(name).or_default().push(position);
            }
        }
        Self {
            certificates,
            by_name,
        }
    }

    /// Selects the certificate for a name: one with the name, then one with the wildcard that covers
    /// it, then the first of all. Among several (RSA beside ECDSA), the first whose key the client can
    /// verify.
    pub(super) fn select(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<&Arc<CertifiedKey>> {
        let found = name.and_then(|name| {
            let name = name.to_ascii_lowercase();
            self.by_name
                .get(&name)
                .or_else(|| self.by_name.get(&wildcard_of(&name)?))
        });
        let mut candidates = found
            .into_iter()
            .flatten()
            .filter_map(|position| self.certificates.get(*position));
        let first = candidates.clone().next();
        candidates
            .find(|certified| certified.key.choose_scheme(schemes).is_some())
            .or(first)
            .or_else(|| self.certificates.first())
    }

    /// A copy with one certificate replaced.
    pub(super) fn with(&self, position: usize, certified: Arc<CertifiedKey>) -> Self {
        let mut certificates = self.certificates.clone();
        if let Some(entry) = certificates.get_mut(position) {
            *entry = certified;
        }
        Self::new(certificates)
    }

    /// The first DNS name of each certificate, and the end of its validity. Two certificates of one
    /// name have the earlier end: a label may occur once.
    pub(super) fn expiries(&self) -> Vec<(String, u64)> {
        let mut expiries: Vec<(String, u64)> = Vec::new();
        for certified in &self.certificates {
            let Some(fields) = fields(certified) else {
                continue;
            };
            let name = fields.dns_names.into_iter().next().unwrap_or_default();
            match expiries.iter_mut().find(|(known, _)| *known == name) {
                Some((_, earliest)) => *earliest = fields.not_after.min(*earliest),
                None => expiries.push((name, fields.not_after)),
            }
        }
        expiries
    }

    #[cfg(test)]
    pub(super) fn leaf(&self, position: usize) -> Vec<u8> {
        self.certificates[position].cert[0].to_vec()
    }
}

fn fields(certified: &CertifiedKey) -> Option<CertificateFields> {
    CertificateFields::of(certified.cert.first()?)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
    use rustls::{
        crypto::aws_lc_rs,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    };

    use super::*;

    fn certificate(
        names: &[&str],
        algorithm: &'static rcgen::SignatureAlgorithm,
    ) -> Arc<CertifiedKey> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let leaf = params.self_signed(&key).unwrap().der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = aws_lc_rs::default_provider();
        Arc::new(CertifiedKey::from_der(vec![leaf], key, &provider).unwrap())
    }

    fn position(table: &CertificateTable, certified: &Arc<CertifiedKey>) -> usize {
        let is_it = |known| Arc::ptr_eq(known, certified);
        table.certificates.iter().position(is_it).unwrap()
    }

    const ECDSA: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;
    const ED25519: SignatureScheme = SignatureScheme::ED25519;

    #[test]
    fn the_most_specific_name_wins_and_the_first_certificate_is_the_default() {
        let p256 = |names: &[&str]| certificate(names, &PKCS_ECDSA_P256_SHA256);
        let table = CertificateTable::new(vec![
            p256(&["meet.example.org", "*.example.net"]),
            p256(&["*.example.org", "talk.example.net"]),
            p256(&["meet.example.org"]),
        ]);
        for (name, expected) in [
            (Some("meet.example.org"), 0),
            (Some("MEET.Example.Org"), 0),
            (Some("other.example.org"), 1),
            (Some("a.example.net"), 0),
            (Some("talk.example.net"), 1),
            (Some("deep.talk.example.net"), 0),
            (Some("unknown.test"), 0),
            (Some("localhost"), 0),
            (None, 0),
        ] {
            let selected = table.select(name, &[ECDSA]).unwrap();
            assert_eq!(position(&table, selected), expected, "{name:?}");
        }
        assert!(
            CertificateTable::new(Vec::new())
                .select(None, &[])
                .is_none()
        );
    }

    #[test]
    fn of_two_certificates_for_one_name_the_client_gets_the_one_that_it_can_verify() {
        let names = ["meet.example.org"];
        let table = CertificateTable::new(vec![
            certificate(&names, &PKCS_ED25519),
            certificate(&names, &PKCS_ECDSA_P256_SHA256),
        ]);
        for (schemes, expected) in [
            (&[ECDSA][..], 1),
            (&[ED25519], 0),
            (&[ECDSA, ED25519], 0),
            (&[SignatureScheme::RSA_PSS_SHA256], 0),
        ] {
            let selected = table.select(Some("meet.example.org"), schemes).unwrap();
            assert_eq!(position(&table, selected), expected, "{schemes:?}");
        }
        assert_eq!(
            table.expiries(),
            [("meet.example.org".to_owned(), 1_893_456_000)]
        );
    }
}
