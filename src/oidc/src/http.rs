//! One HTTP exchange with the provider: bounded in time and size, never redirected.
//!
//! Everything that is said to the provider goes through [`Fetcher::fetch`], whoever builds the
//! request.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header, uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connect, HttpConnector, proxy::Tunnel},
    },
    rt::{TokioExecutor, TokioTimer},
};
use percent_encoding::percent_decode_str;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use url::Url;

use super::{Settings, SetupError};
use observe::metrics::{ProviderMetrics, ProviderOutcome, ProviderRequest};

/// Speaks HTTP to the provider; clones share connections.
#[derive(Clone)]
pub(super) struct Fetcher {
    way: Way,
    timeout: Duration,
    pub(super) metrics: ProviderMetrics,
}

/// What the provider is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Its description of itself.
    Description,
    /// Its keys.
    Keys,
    /// Tokens for a code.
    Tokens,
    /// More claims.
    Userinfo,
}

/// Why the provider gave no answer worth reading.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No connection came about: name resolution, routing, TLS, or the proxy.
    #[error("the provider cannot be reached")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    /// The connection ended before the answer did, or the answer is no HTTP.
    #[error("the provider's answer broke off")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
    /// The whole exchange took longer than it may.
    #[error("the provider took too long to answer")]
    Timeout,
    /// The answer is larger than anything a provider has to say.
    #[error("the provider's answer is too large")]
    TooLarge,
    /// The provider pointed elsewhere; credentials are not carried there.
    #[error("the provider answered with a redirect ({0})")]
    Redirected(StatusCode),
    /// The provider is in trouble, or asks for patience.
    #[error("the provider answered {0}")]
    Overloaded(StatusCode),
}

#[derive(Clone)]
enum Way {
    Direct(HttpClient<HttpConnector>),
    Tunnel(HttpClient<Tunnel<HttpConnector>>),
}

type HttpClient<C> = Client<HttpsConnector<C>, Full<Bytes>>;

// === impl Fetcher ===

impl Fetcher {
    /// Reads certificate authorities, but connects to nothing yet.
    pub(super) fn new(settings: &Settings) -> Result<Self, SetupError> {
        let tls = tls(settings.ca_pem.as_deref())?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let way = match &settings.http_proxy {
            None => Way::Direct(client(tls, tcp)),
            Some(proxy) => Way::Tunnel(client(tls, tunnel(proxy, tcp)?)),
        };
        Ok(Self {
            way,
            timeout: settings.timeout,
            metrics: ProviderMetrics::default(),
        })
    }

    /// Asks for a JSON document, with credentials if it takes any.
    pub(super) async fn json(
        &self,
        wanted: Wanted,
        url: &Url,
        authorization: Option<HeaderValue>,
    ) -> Result<Response<Vec<u8>>, FetchError> {
        let mut request = Request::new(Vec::new());
        *request.uri_mut() = uri_of(url);
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.extend(authorization.map(|value| (header::AUTHORIZATION, value)));
        self.fetch(wanted, request).await
    }

    /// Sends the request and reads the whole answer.
    ///
    /// # Errors
    ///
    /// Redirects, 5xx and 429 are errors; other answers are for the caller to judge.
    pub(super) async fn fetch(
        &self,
        wanted: Wanted,
        request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, FetchError> {
        let began = Instant::now();
        let outcome = tokio::time::timeout(self.timeout, self.exchange(request))
            .await
            .unwrap_or(Err(FetchError::Timeout));
        let word = match &outcome {
            Ok(answer) if answer.status().is_success() => ProviderOutcome::Ok,
            Ok(_) => ProviderOutcome::Refused,
            Err(error) => error.outcome(),
        };
        self.metrics
            .count_request(wanted.label(), word, began.elapsed());
        outcome
    }

    /// What is to be seen at an address, redirects and errors included.
    pub(super) async fn look(&self, url: &Url) -> Result<Response<Vec<u8>>, FetchError> {
        let mut request = Request::new(Vec::new());
        *request.uri_mut() = uri_of(url);
        let looking = async { read(self.send(request).await?).await };
        tokio::time::timeout(self.timeout, looking)
            .await
            .map_err(|_| FetchError::Timeout)?
    }

    async fn exchange(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, FetchError> {
        let answer = self.send(request).await?;
        let status = answer.status();
        if status.is_redirection() {
            return Err(FetchError::Redirected(status));
        }
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(FetchError::Overloaded(status));
        }
        read(answer).await
    }

    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Incoming>, FetchError> {
        let mut request = request.map(|body| Full::new(Bytes::from(body)));
        request
            .headers_mut()
            .insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        let answer = match &self.way {
            Way::Direct(client) => client.request(request).await,
            Way::Tunnel(client) => {
                let target = with_port(request.uri());
                *request.uri_mut() = target;
                client.request(request).await
            }
        };
        answer.map_err(FetchError::of_client)
    }
}

// === impl Wanted ===

impl Wanted {
    const fn label(self) -> ProviderRequest {
        match self {
            Self::Description => ProviderRequest::Description,
            Self::Keys => ProviderRequest::Keys,
            Self::Tokens => ProviderRequest::Tokens,
            Self::Userinfo => ProviderRequest::Userinfo,
        }
    }
}

// === impl FetchError ===

impl FetchError {
    const fn outcome(&self) -> ProviderOutcome {
        match self {
            Self::Unreachable(_) => ProviderOutcome::Unreachable,
            Self::Broken(_) => ProviderOutcome::BrokenOff,
            Self::Timeout => ProviderOutcome::Timeout,
            Self::TooLarge => ProviderOutcome::TooLarge,
            Self::Redirected(_) => ProviderOutcome::Redirected,
            Self::Overloaded(_) => ProviderOutcome::Overloaded,
        }
    }

    /// Whether the same request may well succeed a little later.
    pub const fn is_passing(&self) -> bool {
        !matches!(self, Self::TooLarge | Self::Redirected(_))
    }

    fn of_client(error: hyper_util::client::legacy::Error) -> Self {
        if error.is_connect() {
            Self::Unreachable(error)
        } else {
            Self::Broken(error.into())
        }
    }
}

async fn read(answer: Response<Incoming>) -> Result<Response<Vec<u8>>, FetchError> {
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
    let body = body.map_err(|error| match error.downcast::<LengthLimitError>() {
        Ok(_) => FetchError::TooLarge,
        Err(error) => FetchError::Broken(error),
    })?;
    Ok(Response::from_parts(head, body.to_bytes().into()))
}

/// The error and what caused it, in one line.
pub(super) fn in_full(error: &dyn Error) -> String {
    std::iter::successors(Some(error), |&error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// A URL that was parsed as one is a URI, too, but for characters that only URLs forgive; those
/// end up at a place that does not exist.
fn uri_of(url: &Url) -> Uri {
    let mut url = url.clone();
    url.set_fragment(None);
    url.as_str().parse().unwrap_or_default()
}

fn client<C>(tls: ClientConfig, inner: C) -> HttpClient<C>
where
    C: Clone + Send + Sync + 'static,
    HttpsConnector<C>: Connect + Clone + Send + Sync + 'static,
{
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(inner);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .build(connector)
}

fn tls(ca_pem: Option<&[u8]>) -> Result<ClientConfig, SetupError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(SetupError::Tls)?
        .with_root_certificates(roots(ca_pem)?)
        .with_no_client_auth();
    Ok(config)
}

/// The configured authorities and no others; else the system's; else, in an image without any,
/// Mozilla's list as of the build.
fn roots(ca_pem: Option<&[u8]>) -> Result<RootCertStore, SetupError> {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = ca_pem {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(SetupError::AuthorityPem)?;
            roots.add(certificate).map_err(SetupError::Tls)?;
        }
        return if roots.is_empty() {
            Err(SetupError::NoAuthority)
        } else {
            Ok(roots)
        };
    }
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(roots)
}

/// CONNECT for plain HTTP as well: one way through the proxy, whatever the target speaks.
fn tunnel(proxy: &Url, tcp: HttpConnector) -> Result<Tunnel<HttpConnector>, SetupError> {
    let host = proxy.host_str().filter(|_| proxy.scheme() == "http");
    let host = host.ok_or(SetupError::Proxy)?;
    let port = proxy.port_or_known_default().unwrap_or(80);
    let address = format!("http://{host}:{port}");
    let address = address.parse().map_err(|_| SetupError::Proxy)?;
    let tunnel = Tunnel::new(address, tcp);
    if proxy.username().is_empty() {
        return Ok(tunnel);
    }
    let plain = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    let mut credentials = plain(proxy.username());
    credentials.push(b':');
    credentials.extend(plain(proxy.password().unwrap_or_default()));
    let credentials = format!("Basic {}", BASE64_STANDARD.encode(credentials));
    let credentials = HeaderValue::try_from(credentials).map_err(|_| SetupError::Proxy)?;
    Ok(tunnel.with_auth(credentials))
}

/// The same address with its port spelled out: the tunnel would take a missing one for 443.
fn with_port(target: &Uri) -> Uri {
    let Some(host) = target.host().filter(|_| target.port().is_none()) else {
        return target.clone();
    };
    let port = if target.scheme() == Some(&uri::Scheme::HTTP) {
        80
    } else {
        443
    };
    let mut parts = target.clone().into_parts();
    parts.authority = format!("{host}:{port}").parse().ok();
    Uri::from_parts(parts).unwrap_or_else(|_| target.clone())
}

const USER_AGENT: &str = concat!("jitsi-auth-gateway/", env!("CARGO_PKG_VERSION"));

/// Key sets of large providers have some 20 KiB; a megabyte is an attack or a mistake.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Shorter than providers and balancers keep connections, so that few are found closed.
const POOL_IDLE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tunnel_is_told_the_port() {
        let cases = [
            ("http://idp/x?y", "http://idp:80/x?y"),
            ("https://idp/x", "https://idp:443/x"),
            ("https://idp:8443/x", "https://idp:8443/x"),
            ("http://[::1]/x", "http://[::1]:80/x"),
        ];
        for (target, expected) in cases {
            assert_eq!(with_port(&target.parse().unwrap()), *expected);
        }
    }

    #[test]
    fn a_ca_file_without_certificates_is_refused() {
        assert!(matches!(roots(Some(b"")), Err(SetupError::NoAuthority)));
        let broken = b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        assert!(matches!(
            roots(Some(broken)),
            Err(SetupError::AuthorityPem(_))
        ));
        assert!(!roots(None).unwrap().is_empty());
    }

    #[test]
    fn only_http_proxies_are_taken() {
        let tcp = HttpConnector::new;
        let proxy = |url: &str| tunnel(&Url::parse(url).unwrap(), tcp());
        assert!(proxy("http://user:p%40ss@proxy:3128").is_ok());
        assert!(matches!(proxy("socks5://proxy"), Err(SetupError::Proxy)));
    }
}
