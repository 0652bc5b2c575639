//! The certificate that a server presents: issuer, name and validity.

use std::{sync::Arc, time::Duration};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{sync::mpsc, time::timeout};
use tokio_rustls::TlsConnector;

use super::client::{Endpoint, HttpError};

/// The certificate authorities that verify the public address.
pub struct TrustAnchors {
    provider: Arc<CryptoProvider>,
    verifier: Arc<WebPkiServerVerifier>,
    roots: Arc<RootCertStore>,
}

/// The certificates of a handshake, unverified.
#[derive(Debug)]
pub(super) struct PresentedChain {
    pub(super) leaf: CertificateDer<'static>,
    intermediates: Vec<CertificateDer<'static>>,
}

/// Accepts every certificate and passes it on. No data is sent over such a connection.
#[derive(Debug)]
struct CapturingVerifier {
    provider: Arc<CryptoProvider>,
    chains: mpsc::UnboundedSender<PresentedChain>,
}

// === impl TrustAnchors ===

impl TrustAnchors {
    /// The authorities that sign-in trusts by default as well.
    pub(super) fn of_system() -> Result<Self, Error> {
        Self::new(oidc::trust::system_roots())
    }

    /// These authorities and no others.
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

    /// TLS settings that verify the server.
    pub(super) fn client_config(&self) -> Result<Arc<ClientConfig>, Error> {
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        Ok(Arc::new(config))
    }

    /// Handshakes without verification, and returns the certificates.
    pub(super) async fn capture(
        &self,
        endpoint: &Endpoint,
        host: &str,
    ) -> Result<PresentedChain, HttpError> {
        let failed = |why: String| HttpError::Tls(endpoint.address(), why);
        let (sender, mut chains) = mpsc::unbounded_channel();
        let verifier = CapturingVerifier {
            provider: Arc::clone(&self.provider),
            chains: sender,
        };
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        let name =
            ServerName::try_from(host.to_owned()).map_err(|error| failed(error.to_string()))?;
        let stream = endpoint.connect_tcp().await?;
        let handshake = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let result = timeout(HANDSHAKE_TIMEOUT, handshake).await;
        if let Ok(chain) = chains.try_recv() {
            return Ok(chain);
        }
        match result {
            Err(_) => Err(HttpError::Timeout(endpoint.address(), HANDSHAKE_TIMEOUT)),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Ok(Ok(_)) => Err(failed("the server presented no certificate".to_owned())),
        }
    }

    /// Verifies a chain for a host at a time since 1970.
    pub(super) fn verify(
        &self,
        chain: &PresentedChain,
        host: &str,
        at: Duration,
    ) -> Result<(), Error> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Error::InvalidCertificate(CertificateError::NotValidForName))?;
        let at = UnixTime::since_unix_epoch(at);
        let verified =
            self.verifier
                .verify_server_cert(&chain.leaf, &chain.intermediates, &name, &[], at);
        verified.map(drop)
    }
}

// === impl CapturingVerifier ===

impl ServerCertVerifier for CapturingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let owned = |certificate: &CertificateDer<'_>| certificate.clone().into_owned();
        // Fails only if `capture` was cancelled.
        let _ = self.chains.send(PresentedChain {
            leaf: owned(end_entity),
            intermediates: intermediates.iter().map(owned).collect(),
        });
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
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

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(4);
