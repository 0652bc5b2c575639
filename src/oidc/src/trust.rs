//! Certificate authorities for outgoing TLS connections.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::OidcSetupError;

/// The system's certificate authorities, or Mozilla's list as of the build if the system has none
/// (container images without `ca-certificates`).
#[must_use]
pub fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// TLS settings that trust only the authorities in `ca_pem`, or those of the system if it is
/// `None`.
pub(crate) fn client_config(ca_pem: Option<&[u8]>) -> Result<ClientConfig, OidcSetupError> {
    let roots = match ca_pem {
        Some(pem) => roots_from_pem(pem)?,
        None => system_roots(),
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(OidcSetupError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn roots_from_pem(pem: &[u8]) -> Result<RootCertStore, OidcSetupError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(OidcSetupError::AuthorityPem)?;
        roots.add(certificate).map_err(OidcSetupError::Tls)?;
    }
    if roots.is_empty() {
        return Err(OidcSetupError::NoAuthority);
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ca_file_without_certificates_is_refused() {
        assert!(matches!(
            roots_from_pem(b""),
            Err(OidcSetupError::NoAuthority)
        ));
        let broken = b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        assert!(matches!(
            roots_from_pem(broken),
            Err(OidcSetupError::AuthorityPem(_))
        ));
    }

    #[test]
    fn system_roots_are_never_empty() {
        assert!(!system_roots().is_empty());
    }
}
