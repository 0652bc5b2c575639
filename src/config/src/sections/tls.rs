//! `[tls]`: the certificate.

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
    problem::{Fault, Section},
    secret::{self, SecretReader},
    values::{DurationText, seconds},
};
use proxy::server::TlsSettings;

/// The certificate for `listen.https`. The files are read again when they change.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["certificate", "key"]))]
pub(super) struct RawTls {
    /// The file of the certificate chain: PEM, the host's own certificate first.
    #[schemars(example = "certs/tls.crt")]
    certificate: Option<String>,
    /// The file of the private key: PEM, not encrypted.
    #[schemars(example = "certs/tls.key")]
    key: Option<String>,
    /// How often to look whether the files changed.
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
        let check_every =
            self.check_every
                .within(seconds(1)..=seconds(86_400), section, "check_every");
        if let Some((chain, private)) = chain.zip(private) {
            section.keep("key", refuse_strangers(chain, private));
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
    let remedy = "write a PEM chain into it, the host's own certificate first";
    let shown = path.display();
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&secret::read(path)?)
        .collect::<Result<_, _>>()
        .map_err(|_| Fault::new(format!("{shown} is not PEM"), remedy))?;
    if chain.is_empty() {
        return Err(Fault::new(format!("{shown} has no certificate"), remedy));
    }
    Ok(chain)
}

fn read_key(path: &Path, secrets: SecretReader) -> Result<PrivateKeyDer<'static>, Fault> {
    let text = secrets.read_file(path)?;
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| {
        Fault::new(
            format!("{} has no private key", path.display()),
            "write one into it as PEM, not encrypted",
        )
    })
}

/// Refuses a key that is not the certificate's.
fn refuse_strangers(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<(), Fault> {
    match CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()) {
        Ok(_) => Ok(()),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(Fault::new(
            "not the key of the certificate",
            "name the two files that were made together",
        )),
        Err(error) => Err(Fault::new(
            format!("cannot be used: {error}"),
            "make a new key and certificate",
        )),
    }
}
