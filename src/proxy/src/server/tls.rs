//! The server certificate: loaded from files and replaced when they change.
//!
//! A pair that cannot be used never replaces a working one: a renewal that writes the certificate
//! before the key would otherwise break every handshake in between.

use std::{io, path::Path, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{TlsSettings, certificate_expiry::not_after};
use model::clock::Clock;
use observe::metrics::CertificateMetrics;

/// The certificate in use; handshakes read it without a lock, reloads swap it.
#[derive(Debug)]
pub struct ServerCertificate {
    settings: TlsSettings,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<CertifiedKey>,
}

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
    #[error("the key does not belong to the certificate")]
    Pair(#[source] rustls::Error),
    /// The TLS library rejects its own configuration.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
}

/// The contents of the two files; compared to detect a change.
#[derive(PartialEq, Eq)]
struct Files {
    certificate: Vec<u8>,
    key: zeroize::Zeroizing<Vec<u8>>,
}

// === impl ServerCertificate ===

impl ServerCertificate {
    /// Loads the certificate at the start; here, unlike at a reload, an error is fatal.
    pub fn load(settings: TlsSettings) -> Result<Self, ServerCertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let current = Files::read(&settings)?.parse(&settings, &provider)?;
        Ok(Self {
            settings,
            provider,
            current: ArcSwap::from_pointee(current),
        })
    }

    /// Returns the configuration for HTTPS: TLS 1.2 and 1.3 with the default cipher suites of rustls,
    /// which are those of Mozilla's intermediate guideline; no early data, which can be replayed
    /// (RFC 8446 § 8).
    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, ServerCertificateError> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(ServerCertificateError::Tls)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(ServerCertificateError::Tls)?;
        Ok(config)
    }

    /// Checks the files periodically, and swaps the certificate when both form a valid new pair.
    pub async fn watch_files(
        self: Arc<Self>,
        metrics: CertificateMetrics,
        clock: Clock,
        stop: CancellationToken,
    ) {
        self.report_expiry(&metrics);
        metrics.reloads.started(clock.now().as_unix());
        // The last contents that were tried, so that an invalid pair is logged once.
        let mut tried = Files::read(&self.settings).ok();
        let mut ticks = tokio::time::interval(self.settings.check_every);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let files = match Files::read(&self.settings) {
                Ok(files) if tried.as_ref() == Some(&files) => continue,
                Ok(files) => files,
                // A file may be missing between two renames; the next tick finds it.
                Err(_) => continue,
            };
            match files.parse(&self.settings, &self.provider) {
                Ok(certified) => {
                    self.current.store(Arc::new(certified));
                    self.report_expiry(&metrics);
                    metrics.reloads.succeeded(clock.now().as_unix());
                    info!("reloaded the certificate");
                }
                Err(error) => {
                    metrics.reloads.failed();
                    warn!(%error, "cannot use the new certificate; keeping the old one");
                }
            }
            tried = Some(files);
        }
    }

    /// Sets the expiry metric to that of the leaf in use.
    fn report_expiry(&self, metrics: &CertificateMetrics) {
        let current = self.current.load();
        let expiry = current.cert.first().and_then(|leaf| not_after(leaf));
        if let Some(expiry) = expiry.and_then(|seconds| i64::try_from(seconds).ok()) {
            metrics.not_after.set(expiry);
        }
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

// === impl Files ===

impl Files {
    fn read(settings: &TlsSettings) -> Result<Self, ServerCertificateError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| ServerCertificateError::Read {
                path: path.display().to_string(),
                source,
            })
        };
        Ok(Self {
            certificate: read(&settings.certificate)?,
            key: read(&settings.key)?.into(),
        })
    }

    fn parse(
        &self,
        settings: &TlsSettings,
        provider: &CryptoProvider,
    ) -> Result<CertifiedKey, ServerCertificateError> {
        let pem = |path: &Path, what| ServerCertificateError::Pem {
            path: path.display().to_string(),
            what,
        };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| pem(&settings.certificate, "certificate"))?;
        if chain.is_empty() {
            return Err(pem(&settings.certificate, "certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| pem(&settings.key, "private key"))?;
        let key = provider
            .key_provider
            .load_private_key(key)
            .map_err(ServerCertificateError::Pair)?;
        let certified = CertifiedKey::new(chain, key);
        certified
            .keys_match()
            .map_err(ServerCertificateError::Pair)?;
        Ok(certified)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use observe::metrics::ReloadOutcome;

    fn write_pair(settings: &TlsSettings) -> rcgen::CertifiedKey<rcgen::KeyPair> {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&settings.certificate, pair.cert.pem()).unwrap();
        std::fs::write(&settings.key, pair.signing_key.serialize_pem()).unwrap();
        pair
    }

    fn settings(directory: &Path) -> TlsSettings {
        TlsSettings {
            certificate: directory.join("tls.crt"),
            key: directory.join("tls.key"),
            check_every: Duration::from_secs(5),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_pair_is_used_and_a_broken_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path());
        let first = write_pair(&settings);
        let certificate = Arc::new(ServerCertificate::load(settings.clone()).unwrap());
        let leaf = |certificate: &ServerCertificate| certificate.current.load().cert[0].to_vec();
        assert_eq!(leaf(&certificate), first.cert.der().to_vec());

        let metrics = CertificateMetrics::default();
        let stop = CancellationToken::new();
        let watching =
            Arc::clone(&certificate).watch_files(metrics.clone(), Clock::system(), stop.clone());
        let watching = tokio::spawn(watching);
        tokio::time::sleep(Duration::from_secs(6)).await;
        let second = write_pair(&settings);
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(leaf(&certificate), second.cert.der().to_vec());
        assert_eq!(metrics.reloads.count_of(ReloadOutcome::Ok), 1);

        // A certificate with the key of another.
        let key = std::fs::read(&settings.key).unwrap();
        write_pair(&settings);
        std::fs::write(&settings.key, key).unwrap();
        tokio::time::sleep(Duration::from_secs(16)).await;
        assert_eq!(leaf(&certificate), second.cert.der().to_vec());
        assert_eq!(metrics.reloads.count_of(ReloadOutcome::Failed), 1);
        assert!(metrics.reloads.is_failing() && metrics.not_after.get() > 1_800_000_000);
        stop.cancel();
        watching.await.unwrap();
    }

    #[test]
    fn errors_name_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path());
        let error = || ServerCertificate::load(settings.clone()).unwrap_err();
        assert!(matches!(error(), ServerCertificateError::Read { .. }));
        write_pair(&settings);
        std::fs::write(&settings.key, "no PEM").unwrap();
        assert!(
            error()
                .to_string()
                .ends_with("tls.key has no private key in PEM form")
        );
        std::fs::write(&settings.certificate, "").unwrap();
        assert!(
            error()
                .to_string()
                .ends_with("tls.crt has no certificate in PEM form")
        );
    }
}
