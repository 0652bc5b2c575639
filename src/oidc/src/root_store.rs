//! The certificate authorities that are trusted by default.

use rustls::RootCertStore;

/// The system's certificate authorities; in an image without any, Mozilla's list as of the build.
pub fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}
