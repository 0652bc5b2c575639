//! `[tls]`: the certificate of `listen.https`.

use std::path::{Path, PathBuf};

use rustls::{
    Error, InconsistentKeys,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    diagnostics::Section,
    problem::Fault,
    secret::{SecretReader, read_file},
    values::{DAY, DurationText, seconds},
};
use proxy::server::TlsSettings;

/// The certificate of `listen.https`. Changed files are loaded while running.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["certificate", "key"]))]
pub(super) struct RawTls {
    /// The certificate chain: a PEM file, the server's certificate first.
    #[schemars(example = "certs/tls.crt")]
    certificate: Option<String>,
    /// The private key: a PEM file, not encrypted.
    #[schemars(example = "certs/tls.key")]
    key: Option<String>,
    /// How often the files are checked for changes.
    check_every: DurationText,
}

// === impl RawTls ===

impl RawTls {
    pub(super) fn resolve(
        self,
        secrets: SecretReader,
        section: &mut Section<'_>,
    ) -> Option<TlsSettings> {
        let certificate = self.certificate.map(PathBuf::from);
        let key = self.key.map(PathBuf::from);
        let chain = certificate
            .as_deref()
            .and_then(|path| section.keep("certificate", read_chain(path)));
        let private = key
            .as_deref()
            .and_then(|path| section.keep("key", read_key(path, secrets)));
        let check_every = self
            .check_every
            .within(seconds(1)..=DAY, section, "check_every");
        if let Some((chain, private)) = chain.zip(private) {
            section.keep("key", check_pair(chain, private));
        }
        Some(TlsSettings {
            certificate: certificate?,
            key: key?,
            check_every: check_every?,
        })
    }
}

impl Default for RawTls {
    fn default() -> Self {
        Self {
            certificate: None,
            key: None,
            check_every: "5s".into(),
        }
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let remedy = "write a PEM chain into it, the server's certificate first";
    let file = path.display();
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read_file(path)?)
        .collect::<Result<_, _>>()
        .map_err(|_| Fault::new(format!("{file} is not PEM"), remedy))?;
    if chain.is_empty() {
        return Err(Fault::new(
            format!("{file} contains no certificate"),
            remedy,
        ));
    }
    Ok(chain)
}

fn read_key(path: &Path, secrets: SecretReader) -> Result<PrivateKeyDer<'static>, Fault> {
    let text = secrets.read_text(path)?;
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| {
        Fault::new(
            format!("{} contains no private key", path.display()),
            "write one into it as PEM, not encrypted",
        )
    })
}

fn check_pair(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<(), Fault> {
    match CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()) {
        Ok(_) => Ok(()),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(Fault::new(
            "does not belong to the certificate",
            "name a certificate and a key that were created together",
        )),
        Err(error) => Err(Fault::new(
            format!("cannot be used: {error}"),
            "create a new key and certificate",
        )),
    }
}
