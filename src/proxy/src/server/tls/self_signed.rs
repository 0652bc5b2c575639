//! A certificate that stands in until an authority has issued one.

use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::{
    crypto::CryptoProvider,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};

use super::ServerCertificateError;

/// Creates a self-signed certificate: the listener is up and can answer a challenge, and a browser's
/// warning names the reason.
pub(super) fn self_signed(
    names: &[String],
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, ServerCertificateError> {
    let (leaf, key) = create(names).map_err(ServerCertificateError::SelfSigned)?;
    CertifiedKey::from_der(vec![leaf], key, provider)
        .map(Arc::new)
        .map_err(ServerCertificateError::Tls)
}

type Pair = (
    rustls::pki_types::CertificateDer<'static>,
    PrivateKeyDer<'static>,
);

fn create(names: &[String]) -> Result<Pair, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    let subject = "no certificate was issued yet";
    params.distinguished_name.push(DnType::CommonName, subject);
    let leaf = params.self_signed(&key)?.der().clone();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    Ok((leaf, PrivateKeyDer::Pkcs8(key)))
}
