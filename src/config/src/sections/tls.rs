//! `[tls]`: the certificates of `listen.https`.

use std::path::{Path, PathBuf};

use rustls::{
    Error, InconsistentKeys,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::acme::{RawAcme, acme_warnings};
use crate::{
    certificate_chain::CertificateChain,
    diagnostics::Section,
    problem::Fault,
    public_url::PublicUrl,
    secret::{SecretReader, read_file},
    values::{DAY, DurationText, seconds},
};
use acme::{AcmeSettings, AcmeStorage};
use proxy::server::{CertificateFields, CertificateFiles, TlsSettings};

/// The certificates of `listen.https`. Changed files are loaded while running.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTls {
    /// The certificate chain: a PEM file, the server's certificate first. Clients get it that ask for no name, or
    /// for one that no certificate has.
    #[schemars(example = "certs/tls.crt")]
    certificate: Option<String>,
    /// The private key: a PEM file, not encrypted.
    #[schemars(example = "certs/tls.key")]
    key: Option<String>,
    /// How often the files are checked for changes.
    check_every: DurationText,
    additional: Vec<RawAdditional>,
    acme: Option<RawAcme>,
}

/// Further certificates: a client gets the one that has the name which it asks for (SNI), exactly or by a
/// wildcard.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline, extend("required" = ["certificate", "key"]))]
pub(super) struct RawAdditional {
    /// The certificate chain: a PEM file, the server's certificate first.
    #[schemars(example = "certs/other.crt")]
    certificate: Option<String>,
    /// The private key: a PEM file, not encrypted.
    #[schemars(example = "certs/other.key")]
    key: Option<String>,
}

/// The certificates as far as the section is valid.
pub(super) struct CheckedTls {
    pub(super) settings: TlsSettings,
    pub(super) acme: Option<AcmeSettings>,
    /// The certificates of files that could be read.
    pub(super) chains: Vec<CertificateChain>,
}

// === impl RawTls ===

impl RawTls {
    pub(super) fn resolve(
        self,
        public_url: Option<&PublicUrl>,
        secrets: SecretReader,
        section: &mut Section<'_>,
    ) -> Option<CheckedTls> {
        let has_acme = self.acme.is_some() || section.is_reported("acme");
        let acme = match self.acme {
            Some(acme) => acme
                .resolve(public_url, secrets, &mut section.table("acme"))
                .map(Some),
            None => Some(None),
        };
        let has_files = self.certificate.is_some() || self.key.is_some() || !has_acme;
        if has_files && self.certificate.is_none() {
            section.require(
                "certificate",
                "add for example certificate = \"certs/tls.crt\"",
            );
        }
        if has_files && self.key.is_none() {
            section.require("key", "add for example key = \"certs/tls.key\"");
        }
        let first = RawAdditional {
            certificate: self.certificate,
            key: self.key,
        };
        let first = has_files.then(|| first.resolve(secrets, section));
        if self.additional.len() > MAX_ADDITIONAL {
            let what = format!("more than {MAX_ADDITIONAL} certificates");
            section.reject("additional", what, "use a certificate with several names");
        }
        let additional = section.resolve_list("additional", self.additional, |entry, section| {
            entry.resolve(secrets, section)
        });
        let check_every = self
            .check_every
            .within(seconds(1)..=DAY, section, "check_every");
        let acme = acme?;
        let (mut certificates, mut chains) = (Vec::new(), Vec::new());
        if let Some(first) = first {
            let (files, chain) = first?;
            certificates.push(files);
            chains.push((FIRST.to_owned(), chain));
        }
        if let Some(acme) = &acme {
            let file = AcmeStorage::certificate_file(&acme.storage);
            certificates.push(CertificateFiles {
                key: file.clone(),
                certificate: file,
                provisional_names: acme.names.clone(),
            });
        }
        for ((files, chain), position) in additional?.into_iter().zip(1..) {
            certificates.push(files);
            chains.push((format!("tls.additional[{position}].certificate"), chain));
        }
        let chains = chains.into_iter().filter_map(|(key, chain)| {
            let (file, certificates) = chain?;
            Some(CertificateChain {
                key,
                file,
                certificates,
            })
        });
        Some(CheckedTls {
            chains: chains.collect(),
            acme,
            settings: TlsSettings {
                certificates,
                check_every: check_every?,
            },
        })
    }
}

impl Default for RawTls {
    fn default() -> Self {
        Self {
            certificate: None,
            key: None,
            check_every: "5s".into(),
            additional: Vec::new(),
            acme: None,
        }
    }
}

// === impl RawAdditional ===

impl RawAdditional {
    /// The files, and the chain if it could be read.
    fn resolve(
        self,
        secrets: SecretReader,
        section: &mut Section<'_>,
    ) -> Option<(CertificateFiles, Option<ReadChain>)> {
        let certificate = self.certificate.map(PathBuf::from);
        let key = self.key.map(PathBuf::from);
        let chain = certificate
            .as_deref()
            .and_then(|path| section.keep("certificate", read_chain(path)));
        let private = key
            .as_deref()
            .and_then(|path| section.keep("key", read_key(path, secrets)));
        let fields = chain
            .iter()
            .flatten()
            .map_while(|der| CertificateFields::of(der));
        let fields: Vec<_> = fields.collect();
        if let Some((chain, private)) = chain.zip(private) {
            section.keep("key", check_pair(chain, private));
        }
        let files = CertificateFiles {
            certificate: certificate?,
            key: key?,
            provisional_names: Vec::new(),
        };
        let read = (!fields.is_empty()).then(|| (files.certificate.clone(), fields));
        Some((files, read))
    }
}

// === impl CheckedTls ===

impl CheckedTls {
    /// What is unusual about the names: clients would refuse the certificate, or never get it.
    pub(super) fn warnings(&self, public_url: &PublicUrl) -> Vec<String> {
        let host = public_url.authority().host();
        let mut warnings = match &self.acme {
            Some(acme) => acme_warnings(acme, public_url),
            None => Vec::new(),
        };
        let mut leaves = self.chains.iter().filter_map(CertificateChain::leaf);
        if self.acme.is_none() && !leaves.clone().any(|leaf| leaf.is_for(host)) {
            let all = leaves.by_ref().flat_map(|leaf| {
                let addresses = leaf.addresses.iter().map(ToString::to_string);
                leaf.dns_names.iter().cloned().chain(addresses)
            });
            let mut all: Vec<_> = all.collect();
            if all.is_empty() {
                all.push("no name".to_owned());
            }
            let all = all.join(", ");
            warnings.push(format!(
                "tls: no certificate is for {host}, the host of public_url, but for {all}; browsers refuse it"
            ));
        }
        for (position, chain) in self.chains.iter().enumerate() {
            let earlier = self.chains.iter().take(position);
            let earlier = earlier.filter_map(CertificateChain::leaf);
            let mut earlier = earlier.flat_map(|leaf| &leaf.dns_names);
            let Some(leaf) = chain.leaf() else { continue };
            let (key, file) = (&chain.key, chain.file.display());
            if leaf.dns_names.is_empty() && chain.key != FIRST {
                warnings.push(format!(
                    "{key}: {file} is for no DNS name, so no client gets it"
                ));
            } else if let Some(name) = earlier.find(|name| leaf.dns_names.contains(name)) {
                warnings.push(format!(
                    "{key}: {file} is for {name}, as an earlier certificate is; clients get it only if they cannot \
                     verify the earlier key"
                ));
            }
        }
        warnings
    }
}

/// A file and the fields of its certificates, up to the first malformed one.
type ReadChain = (PathBuf, Vec<CertificateFields>);

/// The key of the certificate that clients get without a name.
const FIRST: &str = "tls.certificate";

/// Each certificate has a time series; more names belong into fewer certificates.
const MAX_ADDITIONAL: usize = 64;

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
