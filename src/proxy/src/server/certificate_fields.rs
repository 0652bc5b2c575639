//! The fields of a certificate that select, report and renew it.

use std::net::IpAddr;

use x509_cert::{
    Certificate,
    der::{Decode, Encode},
    ext::pkix::{SubjectAltName, name::GeneralName},
};

/// What a DER certificate states about itself (RFC 5280 § 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFields {
    /// `notBefore` in seconds since 1970.
    pub not_before: u64,
    /// `notAfter` in seconds since 1970.
    pub not_after: u64,
    /// The DNS names of `subjectAltName` in lower case, wildcards included. Clients ignore the common name
    /// (RFC 9525 § 2).
    pub dns_names: Vec<String>,
    /// The IP addresses of `subjectAltName`.
    pub addresses: Vec<IpAddr>,
    /// The subject's distinguished name as DER.
    pub subject: Vec<u8>,
    /// The issuer's distinguished name as DER.
    pub issuer: Vec<u8>,
    /// The issuer's distinguished name as text (RFC 4514).
    pub issuer_name: String,
    /// Whether the issuer is the subject: an authority's or a self-signed certificate.
    pub is_self_issued: bool,
}

// === impl CertificateFields ===

impl CertificateFields {
    /// Parses a certificate; `None` if it is malformed.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let certificate = Certificate::from_der(certificate).ok()?.tbs_certificate;
        let (_, names) = certificate
            .get::<SubjectAltName>()
            .ok()?
            .unwrap_or((false, SubjectAltName(Vec::new())));
        let (mut dns_names, mut addresses) = (Vec::new(), Vec::new());
        for name in names.0 {
            match name {
                GeneralName::DnsName(name) => dns_names.push(name.as_str().to_ascii_lowercase()),
                GeneralName::IpAddress(octets) => addresses.extend(address(octets.as_bytes())),
                _ => {}
            }
        }
        Some(Self {
            not_before: certificate.validity.not_before.to_unix_duration().as_secs(),
            not_after: certificate.validity.not_after.to_unix_duration().as_secs(),
            dns_names,
            addresses,
            subject: certificate.subject.to_der().ok()?,
            issuer: certificate.issuer.to_der().ok()?,
            issuer_name: certificate.issuer.to_string(),
            is_self_issued: certificate.issuer == certificate.subject,
        })
    }

    /// Whether a client that asks for the host accepts the certificate. A wildcard stands for one label
    /// (RFC 9525 § 6.3). A host that is an IP address, an IPv6 one in brackets, has to be among the addresses.
    pub fn is_for(&self, host: &str) -> bool {
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(host).parse() {
            return self.addresses.contains(&address);
        }
        let host = host.to_ascii_lowercase();
        let wildcard = wildcard_of(&host);
        self.dns_names
            .iter()
            .any(|name| *name == host || Some(name) == wildcard.as_ref())
    }
}

/// The address in an `iPAddress` (RFC 5280 § 4.2.1.6); `None` if it has another length.
fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let v6 = <[u8; 16]>::try_from(octets).map(IpAddr::from);
    v4.or(v6).ok()
}

/// The wildcard that covers a host: its first label replaced.
pub(super) fn wildcard_of(host: &str) -> Option<String> {
    let (_, parent) = host.split_once('.')?;
    Some(format!("*.{parent}"))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn fields(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> CertificateFields {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        CertificateFields::of(params.self_signed(&key).unwrap().der()).unwrap()
    }

    #[test]
    fn validity_is_read_as_utc_time_and_generalized_time() {
        for (year, seconds) in [(2027, 1_798_761_600), (2060, 2_840_140_800)] {
            let read = fields(&["localhost"], |params| {
                params.not_before = date_time_ymd(2026, 1, 1);
                params.not_after = date_time_ymd(year, 1, 1);
            });
            assert_eq!(read.not_after, seconds, "{year}");
            assert_eq!(read.not_before, 1_767_225_600);
        }
    }

    #[test]
    fn names_match_exactly_or_by_a_wildcard_of_one_label_and_addresses_exactly() {
        let names = [
            "Meet.example.org",
            "*.Example.net",
            "192.0.2.1",
            "2001:db8::1",
        ];
        let read = fields(&names, |_| {});
        assert_eq!(read.dns_names, ["meet.example.org", "*.example.net"]);
        assert!(read.is_self_issued);
        for (host, expected) in [
            ("meet.example.org", true),
            ("MEET.example.ORG", true),
            ("a.example.net", true),
            ("a.b.example.net", false),
            ("example.net", false),
            ("example.org", false),
            ("x.meet.example.org", false),
            ("localhost", false),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("[2001:db8::1]", true),
            ("[2001:DB8:0::1]", true),
            ("[2001:db8::2]", false),
        ] {
            assert_eq!(read.is_for(host), expected, "{host}");
        }
        let unnamed = fields(&[], |_| {});
        assert!(unnamed.dns_names.is_empty() && !unnamed.is_for("meet.example.org"));
    }

    #[test]
    fn a_truncated_certificate_has_no_fields() {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let whole = pair.cert.der();
        for length in 0..whole.len() {
            assert_eq!(CertificateFields::of(&whole[..length]), None, "{length}");
        }
        assert_eq!(CertificateFields::of(b"\x30\x03\x02\x01\x05"), None);
    }
}
