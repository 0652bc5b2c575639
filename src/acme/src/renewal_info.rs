//! When the authority suggests a renewal (ARI, RFC 9773).

use std::time::Duration;

use instant_acme::{Account, CertificateIdentifier, Error};
use model::clock::Timestamp;
use rustls::pki_types::Der;
use x509_cert::{Certificate, der::Decode, ext::pkix::AuthorityKeyIdentifier};

use crate::schedule::RenewalWindow;

/// The name of a certificate in requests for renewal information (RFC 9773 § 4.1); `None` if it does not name
/// its issuer's key.
pub(crate) fn certificate_id(leaf: &[u8]) -> Option<CertificateIdentifier<'static>> {
    let certificate = Certificate::from_der(leaf).ok()?.tbs_certificate;
    let (_, authority) = certificate.get::<AuthorityKeyIdentifier>().ok()??;
    let issuer_key = authority.key_identifier?;
    let id = CertificateIdentifier::new(
        Der::from_slice(issuer_key.as_bytes()),
        Der::from_slice(certificate.serial_number.as_bytes()),
    );
    Some(id.into_owned())
}

/// The suggested window, and when to ask again; `Ok(None)` if the authority suggests none.
pub(crate) async fn suggested_window(
    account: &Account,
    leaf: &[u8],
) -> Result<Option<(RenewalWindow, Duration)>, Error> {
    let Some(id) = certificate_id(leaf) else {
        return Ok(None);
    };
    match account.renewal_info(&id).await {
        Ok((info, again)) => {
            let window = info.suggested_window;
            let time = |seconds: i64| Timestamp::from_unix(u64::try_from(seconds).unwrap_or(0));
            let window = RenewalWindow {
                start: time(window.start.unix_timestamp()),
                end: time(window.end.unix_timestamp()),
            };
            Ok(Some((window, again.clamp(SHORTEST_PAUSE, LONGEST_PAUSE))))
        }
        Err(Error::Unsupported(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Bounds on what an authority may ask for (RFC 9773 § 4.3.2).
const SHORTEST_PAUSE: Duration = Duration::from_mins(1);
const LONGEST_PAUSE: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, Issuer, KeyPair, SerialNumber};

    use super::*;

    #[test]
    fn a_certificate_is_named_by_its_issuer_and_its_serial_number() {
        // The example of RFC 9773 § 4.1: a serial number that begins with a zero octet.
        let serial = [0x00, 0x87, 0x65, 0x43, 0x21];
        let authority = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(
            [
                0x69, 0x88, 0x5b, 0x6b, 0x87, 0x46, 0x40, 0x41, 0xe1, 0xb3, 0x7b, 0x84, 0x7b, 0xa0,
                0xae, 0x2c, 0xde, 0x01, 0xc8, 0xd4,
            ]
            .to_vec(),
        );
        let issuer = Issuer::new(params, authority);
        let mut params = CertificateParams::new(["meet.example.org".to_owned()]).unwrap();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&KeyPair::generate().unwrap(), &issuer);
        let id = certificate_id(leaf.unwrap().der()).unwrap().to_string();
        assert_eq!(id, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
        let self_signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        assert!(certificate_id(self_signed.cert.der()).is_none());
        assert!(certificate_id(b"no certificate").is_none());
    }
}
