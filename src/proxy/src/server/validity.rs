//! Until when a certificate is good.

use der::{
    Decode, Reader, SliceReader, Tag, Tagged,
    asn1::{AnyRef, GeneralizedTime, UtcTime},
};

/// The end of a certificate's validity, in seconds since 1970 (RFC 5280 § 4.1); `None` for what is
/// no certificate.
pub(super) fn not_after(certificate: &[u8]) -> Option<u64> {
    let whole = AnyRef::from_der(certificate).ok()?;
    let mut parts = SliceReader::new(whole.value()).ok()?;
    let signed: AnyRef<'_> = parts.decode().ok()?;
    let mut fields = SliceReader::new(signed.value()).ok()?;
    // The version is left out in the first one.
    if fields.peek_tag().ok()?.is_context_specific() {
        fields.decode::<AnyRef<'_>>().ok()?;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        fields.decode::<AnyRef<'_>>().ok()?;
    }
    let validity: AnyRef<'_> = fields.decode().ok()?;
    let mut times = SliceReader::new(validity.value()).ok()?;
    times.decode::<AnyRef<'_>>().ok()?;
    let end: AnyRef<'_> = times.decode().ok()?;
    let since_1970 = match end.tag() {
        Tag::UtcTime => end.decode_as::<UtcTime>().ok()?.to_unix_duration(),
        _ => end.decode_as::<GeneralizedTime>().ok()?.to_unix_duration(),
    };
    Some(since_1970.as_secs())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read_in_both_forms_of_time() {
        for (year, seconds) in [(2027, 1_798_761_600), (2060, 2_840_140_800)] {
            let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
            params.not_after = date_time_ymd(year, 1, 1);
            let key = KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap();
            assert_eq!(not_after(certificate.der()), Some(seconds), "{year}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let whole = pair.cert.der();
        for length in 0..whole.len() {
            // Nothing but the end of the file may be missing; all of it is refused.
            assert_eq!(not_after(&whole[..length]), None, "{length}");
        }
        assert_eq!(not_after(b"\x30\x03\x02\x01\x05"), None);
    }
}
