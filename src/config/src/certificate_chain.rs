//! The configured certificates as clients verify them: validity and chain.

use std::{path::PathBuf, time::Duration};

use model::{clock::Timestamp, time_format::format_rfc3339};
use proxy::server::CertificateFields;
use rustls::RootCertStore;

/// A certificate file of the configuration.
#[derive(Clone, Debug)]
pub struct CertificateChain {
    /// The key that names the file.
    pub(super) key: String,
    pub(super) file: PathBuf,
    /// The certificates in the order of the file, the server's first; without those that are malformed.
    pub(super) certificates: Vec<CertificateFields>,
}

// === impl CertificateChain ===

impl CertificateChain {
    /// The server's certificate.
    pub(super) fn leaf(&self) -> Option<&CertificateFields> {
        self.certificates.first()
    }

    /// The properties for which clients refuse the certificate now or within two weeks, in one line each.
    ///
    /// `authorities` are those that clients are assumed to trust.
    pub fn warnings(&self, now: Timestamp, authorities: &RootCertStore) -> Vec<String> {
        let faults = [
            self.validity_fault(now),
            self.order_fault(),
            self.issuer_fault(authorities),
        ];
        let line = |fault| format!("{}: {fault}", self.key);
        faults.into_iter().flatten().map(line).collect()
    }

    fn validity_fault(&self, now: Timestamp) -> Option<String> {
        let soon = now.after(EXPIRES_SOON);
        self.certificates
            .iter()
            .zip(1..)
            .find_map(|(fields, position)| {
                let certificate = match position {
                    1 => self.file.display().to_string(),
                    _ => format!("certificate {position} in {}", self.file.display()),
                };
                let (from, until) = (fields.not_before, fields.not_after);
                let (from_text, until_text) = (format_rfc3339(from), format_rfc3339(until));
                if until < now.as_unix() {
                    Some(format!(
                        "{certificate} expired at {until_text}; browsers refuse it"
                    ))
                } else if from > now.as_unix() {
                    Some(format!(
                        "{certificate} is valid from {from_text}; browsers refuse it until then"
                    ))
                } else if until < soon.as_unix() {
                    Some(format!("{certificate} expires at {until_text}; renew it"))
                } else {
                    None
                }
            })
    }

    /// TLS 1.2 has each certificate followed by that of its issuer (RFC 5246 § 7.4.2).
    fn order_fault(&self) -> Option<String> {
        let mut followed = self.certificates.windows(2).zip(1..);
        followed.find_map(|(pair, position)| {
            let [issued, next] = pair else { return None };
            (issued.issuer != next.subject).then(|| {
                format!(
                    "certificate {} in {} is not that of the issuer of certificate {position}; write each certificate \
                     before that of its issuer",
                    position + 1,
                    self.file.display()
                )
            })
        })
    }

    /// Clients have the certificates of authorities, and not those of the intermediate ones.
    fn issuer_fault(&self, authorities: &RootCertStore) -> Option<String> {
        let last = self.certificates.last()?;
        let is_known = || {
            let mut subjects = authorities.subjects().into_iter();
            subjects.any(|subject| subject.as_ref() == last.issuer)
        };
        if last.is_self_issued || is_known() {
            return None;
        }
        Some(format!(
            "{} lacks the certificate of {}, which this machine does not know as an authority; append the intermediate \
             certificates",
            self.file.display(),
            last.issuer_name,
        ))
    }
}

/// The alert about the certificate in use has the same time.
pub(super) const EXPIRES_SOON: Duration = Duration::from_hours(14 * 24);

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd,
    };
    use rustls::pki_types::CertificateDer;

    use super::*;

    /// 2027-03-01, 00:00:00 UTC.
    const NOW: u64 = 1_803_859_200;
    const DAY: u64 = 86_400;

    struct Authority {
        params: CertificateParams,
        key: KeyPair,
    }

    impl Authority {
        fn new(name: &str) -> Self {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            Self {
                params,
                key: KeyPair::generate().unwrap(),
            }
        }

        fn itself(&self) -> CertificateDer<'static> {
            self.params.self_signed(&self.key).unwrap().der().clone()
        }

        fn sign(&self, params: &CertificateParams, key: &KeyPair) -> CertificateDer<'static> {
            let issuer = Issuer::from_params(&self.params, &self.key);
            params.signed_by(key, &issuer).unwrap().der().clone()
        }
    }

    fn leaf_of(authority: &Authority) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["meet.example.org".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.not_before = date_time_ymd(2027, 1, 1);
        params.not_after = date_time_ymd(2027, 4, 1);
        authority.sign(&params, &KeyPair::generate().unwrap())
    }

    fn warnings(chain: &[&CertificateDer<'static>], trusted: &Authority, now: u64) -> Vec<String> {
        let mut authorities = RootCertStore::empty();
        authorities.add(trusted.itself()).unwrap();
        let fields = chain.iter().map(|der| CertificateFields::of(der).unwrap());
        let chain = CertificateChain {
            key: "tls.certificate".to_owned(),
            file: "tls.crt".into(),
            certificates: fields.collect(),
        };
        chain.warnings(Timestamp::from_unix(now), &authorities)
    }

    #[test]
    fn validity_is_that_at_the_given_time() {
        let root = Authority::new("Root");
        let leaf = leaf_of(&root);
        let end = NOW + 31 * DAY;
        for (now, expected) in [
            (NOW, None),
            (end - 14 * DAY, None),
            (
                end - 14 * DAY + 1,
                Some("tls.certificate: tls.crt expires at 2027-04-01T00:00:00Z; renew it"),
            ),
            (
                end,
                Some("tls.certificate: tls.crt expires at 2027-04-01T00:00:00Z; renew it"),
            ),
            (
                end + 1,
                Some(
                    "tls.certificate: tls.crt expired at 2027-04-01T00:00:00Z; browsers refuse it",
                ),
            ),
            (
                NOW - 60 * DAY,
                Some(
                    "tls.certificate: tls.crt is valid from 2027-01-01T00:00:00Z; browsers refuse it until then",
                ),
            ),
        ] {
            let expected: Vec<_> = expected.into_iter().collect();
            assert_eq!(warnings(&[&leaf], &root, now), expected, "{now}");
        }
    }

    #[test]
    fn a_chain_leads_from_the_server_to_an_authority_of_the_machine() {
        let (root, middle) = (Authority::new("Root"), Authority::new("Middle"));
        let intermediate = root.sign(&middle.params, &middle.key);
        let leaf = leaf_of(&middle);
        let other = Authority::new("Other").itself();
        let lacks = "tls.certificate: tls.crt lacks the certificate of CN=Middle, which this machine does not know as \
                     an authority; append the intermediate certificates";
        let order = "tls.certificate: certificate 2 in tls.crt is not that of the issuer of certificate 1; write each \
                     certificate before that of its issuer";
        for (chain, trusted, expected) in [
            (&[&leaf, &intermediate][..], &root, &[][..]),
            (&[&leaf, &intermediate, &root.itself()], &root, &[]),
            (&[&leaf], &root, &[lacks]),
            // A private authority that this machine trusts.
            (&[&leaf], &middle, &[]),
            (&[&leaf, &other], &root, &[order]),
            (&[&leaf, &root.itself(), &intermediate], &root, &[order]),
        ] {
            assert_eq!(warnings(chain, trusted, NOW), expected);
        }
    }

    #[test]
    fn an_expired_intermediate_certificate_is_named_by_its_position() {
        let (root, mut middle) = (Authority::new("Root"), Authority::new("Middle"));
        middle.params.not_after = date_time_ymd(2027, 2, 1);
        let intermediate = root.sign(&middle.params, &middle.key);
        let expected = "tls.certificate: certificate 2 in tls.crt expired at 2027-02-01T00:00:00Z; browsers refuse it";
        assert_eq!(
            warnings(&[&leaf_of(&middle), &intermediate], &root, NOW),
            [expected]
        );
    }
}
