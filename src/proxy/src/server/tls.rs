//! The certificate: read from files, read again when they change, the old one kept on error.

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

use super::{TlsSettings, validity::not_after};
use model::clock::Clock;
use observe::metrics::CertificateMetrics;

/// The certificate in use, which handshakes read and reloads replace.
#[derive(Debug)]
pub struct Certificate {
    settings: TlsSettings,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<CertifiedKey>,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A file has no certificate, or no key, in PEM form.
    #[error("{path} has no {what} in PEM form")]
    Pem {
        /// The file.
        path: String,
        /// What it should have.
        what: &'static str,
    },
    /// Key and certificate are not one pair, or of a kind that TLS does not know.
    #[error("the key does not belong to the certificate")]
    Pair(#[source] rustls::Error),
    /// The TLS library refuses to work.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// The two files' bytes.
#[derive(PartialEq, Eq)]
struct Files {
    certificate: Vec<u8>,
    key: zeroize::Zeroizing<Vec<u8>>,
}

// === impl Certificate ===

impl Certificate {
    /// Reads the certificate for the first time.
    pub fn load(settings: TlsSettings) -> Result<Self, CertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let current = Files::read(&settings)?.certified(&settings, &provider)?;
        Ok(Self {
            settings,
            provider,
            current: ArcSwap::from_pointee(current),
        })
    }

    /// The configuration for HTTPS: TLS 1.2 and 1.3 with the library's suites, which are those of
    /// Mozilla's intermediate guideline; no early data, which could be replayed.
    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, CertificateError> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(CertificateError::Tls)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(CertificateError::Tls)?;
        Ok(config)
    }

    /// Looks at the files again and again, and uses what is new in them once it is whole.
    pub async fn follow(
        self: Arc<Self>,
        metrics: CertificateMetrics,
        clock: Clock,
        stop: CancellationToken,
    ) {
        self.tell_end(&metrics);
        metrics.reloads.started(clock.now().as_unix());
        // What was tried last, so that a broken pair is told of once.
        let mut tried = Files::read(&self.settings).ok();
        let mut turn = tokio::time::interval(self.settings.check_every);
        while stop.run_until_cancelled(turn.tick()).await.is_some() {
            let files = match Files::read(&self.settings) {
                Ok(files) if tried.as_ref() == Some(&files) => continue,
                Ok(files) => files,
                // Between two renames a file may be missing; it is there at the next turn.
                Err(_) => continue,
            };
            match files.certified(&self.settings, &self.provider) {
                Ok(certified) => {
                    self.current.store(Arc::new(certified));
                    self.tell_end(&metrics);
                    metrics.reloads.succeeded(clock.now().as_unix());
                    info!("the certificate was read again");
                }
                Err(error) => {
                    metrics.reloads.failed();
                    warn!(%error, "the new certificate cannot be used; the old one stays");
                }
            }
            tried = Some(files);
        }
    }
}

impl Certificate {
    /// Tells until when the leaf in use is good.
    fn tell_end(&self, metrics: &CertificateMetrics) {
        let current = self.current.load();
        let end = current.cert.first().and_then(|leaf| not_after(leaf));
        if let Some(end) = end.and_then(|end| i64::try_from(end).ok()) {
            metrics.not_after.set(end);
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

// === impl Files ===

impl Files {
    fn read(settings: &TlsSettings) -> Result<Self, CertificateError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| CertificateError::Read {
                path: path.display().to_string(),
                source,
            })
        };
        Ok(Self {
            certificate: read(&settings.certificate)?,
            key: read(&settings.key)?.into(),
        })
    }

    fn certified(
        &self,
        settings: &TlsSettings,
        provider: &CryptoProvider,
    ) -> Result<CertifiedKey, CertificateError> {
        let pem = |path: &Path, what| CertificateError::Pem {
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
            .map_err(CertificateError::Pair)?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(CertificateError::Pair)?;
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
        let certificate = Arc::new(Certificate::load(settings.clone()).unwrap());
        let leaf = |certificate: &Certificate| certificate.current.load().cert[0].to_vec();
        assert_eq!(leaf(&certificate), first.cert.der().to_vec());

        let metrics = CertificateMetrics::default();
        let stop = CancellationToken::new();
        let following =
            Arc::clone(&certificate).follow(metrics.clone(), Clock::system(), stop.clone());
        let following = tokio::spawn(following);
        tokio::time::sleep(Duration::from_secs(6)).await;
        let second = write_pair(&settings);
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(leaf(&certificate), second.cert.der().to_vec());
        assert_eq!(metrics.reloads.count_of(ReloadOutcome::Ok), 1);

        // A certificate whose key is another one.
        let key = std::fs::read(&settings.key).unwrap();
        write_pair(&settings);
        std::fs::write(&settings.key, key).unwrap();
        tokio::time::sleep(Duration::from_secs(16)).await;
        assert_eq!(leaf(&certificate), second.cert.der().to_vec());
        assert_eq!(metrics.reloads.count_of(ReloadOutcome::Failed), 1);
        assert!(metrics.reloads.is_failing() && metrics.not_after.get() > 1_800_000_000);
        stop.cancel();
        following.await.unwrap();
    }

    #[test]
    fn unusable_files_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path());
        let error = || Certificate::load(settings.clone()).unwrap_err();
        assert!(matches!(error(), CertificateError::Read { .. }));
        write_pair(&settings);
        std::fs::write(&settings.key, "nothing").unwrap();
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
