//! The two PEM files of one certificate.

use std::{io, path::Path, sync::Arc};

use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::super::CertificateFiles;

/// The certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServerCertificateError {
    /// A file is missing or not readable by the gateway's user.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: String,
        /// The error of the system call.
        #[source]
        source: io::Error,
    },
    /// A file contains no certificate, or no key, in PEM form.
    #[error("{path} has no {what} in PEM form")]
    Pem {
        /// The file.
        path: String,
        /// `certificate` or `private key`.
        what: &'static str,
    },
    /// The key is not that of the leaf certificate, or its algorithm is not supported.
    #[error("the key in {path} does not belong to the certificate")]
    Pair {
        /// The file of the key.
        path: String,
        /// The error of the TLS library.
        #[source]
        source: rustls::Error,
    },
    /// A certificate that stands in for a missing one cannot be created.
    #[error("cannot create a self-signed certificate")]
    SelfSigned(#[source] rcgen::Error),
    /// The TLS library rejects its own configuration.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
}

/// The contents of the two files; compared to detect a change.
#[derive(PartialEq, Eq)]
pub(super) struct FileContents {
    certificate: Vec<u8>,
    key: zeroize::Zeroizing<Vec<u8>>,
}

// === impl FileContents ===

impl FileContents {
    pub(super) fn read(files: &CertificateFiles) -> Result<Self, ServerCertificateError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| ServerCertificateError::Read {
                path: path.display().to_string(),
                source,
            })
        };
        Ok(Self {
            certificate: read(&files.certificate)?,
            key: read(&files.key)?.into(),
        })
    }

    pub(super) fn parse(
        &self,
        files: &CertificateFiles,
        provider: &CryptoProvider,
    ) -> Result<Arc<CertifiedKey>, ServerCertificateError> {
        let pem = |path: &Path, what| ServerCertificateError::Pem {
            path: path.display().to_string(),
            what,
        };
        let pair = |source| ServerCertificateError::Pair {
            path: files.key.display().to_string(),
            source,
        };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| pem(&files.certificate, "certificate"))?;
        if chain.is_empty() {
            return Err(pem(&files.certificate, "certificate"));
        }
        let key =
            PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| pem(&files.key, "private key"))?;
        let key = provider.key_provider.load_private_key(key).map_err(pair)?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(pair)?;
        Ok(Arc::new(certified))
    }
}
