//! The expiry time of a certificate, for metrics.

use x509_cert::{Certificate, der::Decode};

/// The `notAfter` of a DER certificate (RFC 5280 § 4.1.2.5) in seconds since 1970; `None` if the
/// certificate cannot be parsed.
pub(super) fn not_after(certificate: &[u8]) -> Option<u64> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let not_after = certificate.tbs_certificate.validity.not_after;
    Some(not_after.to_unix_duration().as_secs())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn not_after_is_read_as_utc_time_and_generalized_time() {
        for (year, seconds) in [(2027, 1_798_761_600), (2060, 2_840_140_800)] {
            let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
            params.not_after = date_time_ymd(year, 1, 1);
            let key = KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap();
            assert_eq!(not_after(certificate.der()), Some(seconds), "{year}");
        }
    }

    #[test]
    fn a_truncated_certificate_has_no_expiry() {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let whole = pair.cert.der();
        for length in 0..whole.len() {
            assert_eq!(not_after(&whole[..length]), None, "{length}");
        }
        assert_eq!(not_after(b"\x30\x03\x02\x01\x05"), None);
    }
}
