//! The certificate that an address shows: who vouches for it, for what name, and until when.

use std::{sync::Arc, time::Duration};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{sync::mpsc, time::timeout};
use tokio_rustls::TlsConnector;

use super::wire::{Wire, WireError};

/// What authorities to believe, and how to speak TLS.
pub struct Trust {
    provider: Arc<CryptoProvider>,
    verifier: Arc<WebPkiServerVerifier>,
    roots: Arc<RootCertStore>,
}

/// What a server showed.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) leaf: CertificateDer<'static>,
    chain: Vec<CertificateDer<'static>>,
}

/// Looks at what is shown and believes it, to see what it is. Nothing is ever said over such a
/// connection.
#[derive(Debug)]
struct Onlooker {
    provider: Arc<CryptoProvider>,
    shown: mpsc::UnboundedSender<Shown>,
}

// === impl Trust ===

impl Trust {
    /// The system's authorities; in an image without any, Mozilla's as of the build.
    pub(super) fn of_system() -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Self::new(roots)
    }

    /// Believes these authorities and no other.
    pub fn new(roots: RootCertStore) -> Result<Self, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots = Arc::new(roots);
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .build()
                .map_err(|error| Error::General(error.to_string()))?;
        Ok(Self {
            provider,
            verifier,
            roots,
        })
    }

    /// For connections on which something is said.
    pub(super) fn config(&self) -> Result<Arc<ClientConfig>, Error> {
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        Ok(Arc::new(config))
    }

    /// What the server shows, whatever it is.
    pub(super) async fn look(&self, wire: &Wire, host: &str) -> Result<Shown, WireError> {
        let failed = |why: String| WireError::Tls(wire.address(), why);
        let (sender, mut shown) = mpsc::unbounded_channel();
        let onlooker = Onlooker {
            provider: Arc::clone(&self.provider),
            shown: sender,
        };
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(onlooker))
            .with_no_client_auth();
        let name =
            ServerName::try_from(host.to_owned()).map_err(|error| failed(error.to_string()))?;
        let stream = wire.tcp().await?;
        let shaking = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let result = timeout(HANDSHAKE, shaking).await;
        if let Ok(shown) = shown.try_recv() {
            return Ok(shown);
        }
        match result {
            Err(_) => Err(WireError::Timeout(wire.address(), HANDSHAKE)),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Ok(Ok(_)) => Err(failed("no certificate was shown".to_owned())),
        }
    }

    /// Whether the certificate is good for the host at a time.
    pub(super) fn judge(&self, shown: &Shown, host: &str, at: Duration) -> Result<(), Error> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Error::InvalidCertificate(CertificateError::NotValidForName))?;
        let at = UnixTime::since_unix_epoch(at);
        let verified = self
            .verifier
            .verify_server_cert(&shown.leaf, &shown.chain, &name, &[], at);
        verified.map(drop)
    }
}

// === impl Onlooker ===

impl ServerCertVerifier for Onlooker {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Shown {
            leaf: end_entity.clone().into_owned(),
            chain: intermediates
                .iter()
                .map(|own| own.clone().into_owned())
                .collect(),
        };
        // Whoever looked has gone if nobody takes it.
        let _ = self.shown.send(shown);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}

const HANDSHAKE: Duration = Duration::from_secs(4);
