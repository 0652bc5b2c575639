//! The server certificates: loaded from files, replaced when they change, and selected by name.
//!
//! A pair that cannot be used never replaces a working one: a renewal that writes the certificate
//! before the key would otherwise break every handshake in between.

mod certificate_files;
mod certificate_table;
mod challenge_certificates;
mod self_signed;

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::{
    certificate_files::FileContents, certificate_table::CertificateTable, self_signed::self_signed,
};
pub use self::{
    certificate_files::ServerCertificateError,
    challenge_certificates::{ACME_TLS_ALPN, ChallengeAnswers, PendingChallenges},
};
use super::{CertificateFiles, TlsSettings};
use model::clock::Clock;
use observe::metrics::CertificateMetrics;

/// The certificates in use; handshakes read them without a lock, reloads swap them.
#[derive(Debug)]
pub struct ServerCertificates {
    settings: TlsSettings,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<CertificateTable>,
    /// `None` if no authority issues certificates to this gateway.
    challenges: Option<Arc<ChallengeAnswers>>,
    check: Notify,
}

// === impl ServerCertificates ===

impl ServerCertificates {
    /// Loads the certificates at the start; here, unlike at a reload, an error is fatal. A certificate that
    /// an authority has yet to issue is self-signed until then.
    pub fn load(
        settings: TlsSettings,
        challenges: Option<Arc<ChallengeAnswers>>,
    ) -> Result<Self, ServerCertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let load = |files: &CertificateFiles| {
            let loaded = FileContents::read(files).and_then(|it| it.parse(files, &provider));
            match loaded {
                Err(error) if !files.provisional_names.is_empty() => {
                    let names = files.provisional_names.join(", ");
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    warn!(
                        names, reason = %error, source,
                        "no certificate was issued yet; a self-signed one is presented until then"
                    );
                    self_signed(&files.provisional_names, &provider)
                }
                loaded => loaded,
            }
        };
        let certificates = settings.certificates.iter().map(load);
        let table = CertificateTable::new(certificates.collect::<Result<_, _>>()?);
        Ok(Self {
            settings,
            provider,
            current: ArcSwap::from_pointee(table),
            challenges,
            check: Notify::new(),
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
        if self.challenges.is_some() {
            config.alpn_protocols.push(ACME_TLS_ALPN.to_vec());
        }
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(ServerCertificateError::Tls)?;
        Ok(config)
    }

    /// Makes [`watch_files`](Self::watch_files) check the files at once: the gateway has written one, or an
    /// operator demands it.
    pub fn check_now(&self) {
        self.check.notify_one();
    }

    /// Checks the files periodically, and swaps a certificate when both of its files form a valid new
    /// pair.
    pub async fn watch_files(
        self: Arc<Self>,
        metrics: CertificateMetrics,
        clock: Clock,
        stop: CancellationToken,
    ) {
        self.report_expiry(&metrics);
        metrics.reloads.started(clock.now().as_unix());
        // The last contents that were tried, so that an invalid pair is logged once.
        let read = |files: &CertificateFiles| FileContents::read(files).ok();
        let mut tried: Vec<_> = self.settings.certificates.iter().map(read).collect();
        let mut ticks = tokio::time::interval(self.settings.check_every);
        loop {
            let next = async {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = self.check.notified() => {}
                }
            };
            if stop.run_until_cancelled(next).await.is_none() {
                return;
            }
            for (position, (files, tried)) in self
                .settings
                .certificates
                .iter()
                .zip(&mut tried)
                .enumerate()
            {
                // A file may be missing between two renames; the next tick finds it.
                let Ok(contents) = FileContents::read(files) else {
                    continue;
                };
                if tried.as_ref() == Some(&contents) {
                    continue;
                }
                let path = files.certificate.display();
                match contents.parse(files, &self.provider) {
                    Ok(certified) => {
                        let table = self.current.load().with(position, certified);
                        self.current.store(Arc::new(table));
                        self.report_expiry(&metrics);
                        metrics.reloads.succeeded(clock.now().as_unix());
                        info!(file = %path, "reloaded the certificate");
                    }
                    Err(error) => {
                        metrics.reloads.failed();
                        warn!(
                            %error, file = %path,
                            "cannot use the new certificate; keeping the old one"
                        );
                    }
                }
                *tried = Some(contents);
            }
        }
    }

    /// Sets the expiry metrics to those of the leaves in use.
    fn report_expiry(&self, metrics: &CertificateMetrics) {
        metrics.not_after.replace(self.current.load().expiries());
    }
}

impl ResolvesServerCert for ServerCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let (Some(challenges), Some(protocols)) = (&self.challenges, hello.alpn()) {
            // An authority offers this protocol alone (RFC 8737 § 3).
            let mut protocols = protocols.peekable();
            if protocols.next() == Some(ACME_TLS_ALPN) && protocols.peek().is_none() {
                return challenges.certificate(hello.server_name());
            }
        }
        let table = self.current.load();
        let selected = table.select(hello.server_name(), hello.signature_schemes());
        selected.map(Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use super::*;
    use observe::metrics::ReloadOutcome;

    fn write_pair(files: &CertificateFiles) -> Vec<u8> {
        let name = files.certificate.file_stem().unwrap().to_str().unwrap();
        let pair = rcgen::generate_simple_self_signed([format!("{name}.example")]).unwrap();
        std::fs::write(&files.certificate, pair.cert.pem()).unwrap();
        std::fs::write(&files.key, pair.signing_key.serialize_pem()).unwrap();
        pair.cert.der().to_vec()
    }

    fn files(directory: &Path, name: &str) -> CertificateFiles {
        CertificateFiles {
            certificate: directory.join(format!("{name}.crt")),
            key: directory.join(format!("{name}.key")),
            provisional_names: Vec::new(),
        }
    }

    fn settings(directory: &Path, names: &[&str]) -> TlsSettings {
        TlsSettings {
            certificates: names.iter().map(|name| files(directory, name)).collect(),
            check_every: Duration::from_secs(5),
        }
    }

    /// The guideline 6.0 (mozilla/ssl-config-generator, `src/static/guidelines/latest.json`): protocols, suites, groups, and
    /// the client's order.
    #[test]
    fn tls_is_that_of_mozillas_intermediate_configuration() {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path(), &["one"]);
        write_pair(&settings.certificates[0]);
        let certificates = Arc::new(ServerCertificates::load(settings, None).unwrap());
        let config = certificates.server_config().unwrap();
        let provider = config.crypto_provider();
        let suites = provider.cipher_suites.iter();
        let mut suites: Vec<_> = suites.map(|suite| format!("{:?}", suite.suite())).collect();
        suites.sort();
        assert_eq!(
            suites,
            [
                "TLS13_AES_128_GCM_SHA256",
                "TLS13_AES_256_GCM_SHA384",
                "TLS13_CHACHA20_POLY1305_SHA256",
                "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
                "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
                "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
                "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
            ]
        );
        let groups = provider.kx_groups.iter();
        let groups: Vec<_> = groups.map(|group| format!("{:?}", group.name())).collect();
        assert_eq!(
            groups,
            ["X25519MLKEM768", "X25519", "secp256r1", "secp384r1"]
        );
        assert!(!config.ignore_client_order);
        assert_eq!(config.max_early_data_size, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn each_certificate_follows_its_own_files_and_a_broken_pair_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path(), &["one", "two"]);
        let [one, two] = [0, 1].map(|position| &settings.certificates[position]);
        let first = [write_pair(one), write_pair(two)];
        let certificates = ServerCertificates::load(settings.clone(), None).unwrap();
        let certificates = Arc::new(certificates);
        let leaves = || {
            let current = certificates.current.load();
            [current.leaf(0), current.leaf(1)]
        };
        assert_eq!(leaves(), first);

        let metrics = CertificateMetrics::default();
        let stop = CancellationToken::new();
        let watching =
            Arc::clone(&certificates).watch_files(metrics.clone(), Clock::system(), stop.clone());
        let watching = tokio::spawn(watching);
        tokio::time::sleep(Duration::from_secs(6)).await;
        let second = write_pair(two);
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(leaves(), [first[0].clone(), second.clone()]);
        assert_eq!(metrics.reloads.count_of(ReloadOutcome::Ok), 1);

        // A certificate with the key of another.
        let key = std::fs::read(&two.key).unwrap();
        write_pair(two);
        std::fs::write(&two.key, key).unwrap();
        let renewed = write_pair(one);
        tokio::time::sleep(Duration::from_secs(16)).await;
        assert_eq!(leaves(), [renewed, second]);
        assert_eq!(metrics.reloads.count_of(ReloadOutcome::Failed), 1);
        let expiries = metrics.not_after.values();
        assert_eq!(
            expiries.iter().map(|(name, _)| &**name).collect::<Vec<_>>(),
            ["one.example", "two.example"]
        );
        assert!(expiries.iter().all(|(_, end)| *end > 1_800_000_000));
        stop.cancel();
        watching.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_certificate_is_self_signed_until_it_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = settings(directory.path(), &["one"]);
        let strict = ServerCertificates::load(settings.clone(), None).unwrap_err();
        assert!(matches!(strict, ServerCertificateError::Read { .. }));
        settings.certificates[0].provisional_names = vec!["meet.example.org".to_owned()];
        let certificates = ServerCertificates::load(settings.clone(), None).unwrap();
        let certificates = Arc::new(certificates);
        let leaf = || certificates.current.load().leaf(0);
        let provisional = crate::server::CertificateFields::of(&leaf()).unwrap();
        assert!(provisional.is_self_issued && provisional.is_for("meet.example.org"));

        let stop = CancellationToken::new();
        let watching = Arc::clone(&certificates).watch_files(
            CertificateMetrics::default(),
            Clock::system(),
            stop.clone(),
        );
        let watching = tokio::spawn(watching);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let issued = write_pair(&settings.certificates[0]);
        certificates.check_now();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(leaf(), issued, "before the next tick");
        stop.cancel();
        watching.await.unwrap();
    }

    #[test]
    fn errors_name_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path(), &["tls"]);
        let files = &settings.certificates[0];
        let error = || ServerCertificates::load(settings.clone(), None).unwrap_err();
        assert!(matches!(error(), ServerCertificateError::Read { .. }));
        write_pair(files);
        std::fs::write(&files.key, "no PEM").unwrap();
        assert!(
            error()
                .to_string()
                .ends_with("tls.key has no private key in PEM form")
        );
        std::fs::write(&files.certificate, "").unwrap();
        assert!(
            error()
                .to_string()
                .ends_with("tls.crt has no certificate in PEM form")
        );
    }
}
