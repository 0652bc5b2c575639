//! HTTP requests to the provider: bounded in time and size, without following redirects.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
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
use observe::{
    error_chain,
    metrics::{ProviderMetrics, ProviderOutcome, ProviderRequest},
};
use rustls::ClientConfig;
use url::Url;

use crate::{OidcSettings, OidcSetupError, trust, tunnel};

/// HTTP client for one provider; clones share connections and metrics.
#[derive(Clone)]
pub(crate) struct Fetcher {
    transport: Transport,
    timeout: Duration,
    pub(crate) metrics: ProviderMetrics,
}

/// Endpoints of the provider that the gateway calls itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// `/.well-known/openid-configuration`.
    Discovery,
    /// `jwks_uri`.
    KeySet,
    /// `pushed_authorization_request_endpoint`.
    PushedRequest,
    /// `token_endpoint`.
    Token,
    /// `userinfo_endpoint`.
    Userinfo,
    /// The directory of groups, and the token endpoint for it.
    Groups,
}

/// Why a request to the provider got no usable response.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No connection: name resolution, routing, TLS or the proxy failed.
    #[error("the provider cannot be reached")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    /// The provider's certificate is of a kind that no client accepts, whichever authorities it trusts.
    #[error("the provider's certificate {0}")]
    Certificate(&'static str),
    /// The connection closed before the response was complete, or the response is not HTTP.
    #[error("the provider's response broke off")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
    /// The exchange took longer than the configured timeout.
    #[error("the provider's response timed out")]
    Timeout,
    /// The response body exceeds 1 MiB.
    #[error("the provider's response is too large")]
    TooLarge,
    /// A redirect, which is not followed: the request may carry credentials.
    #[error("the provider answered with a redirect ({0})")]
    Redirected(StatusCode),
    /// 5xx or 429.
    #[error("the provider answered {0}")]
    Overloaded(StatusCode),
}

#[derive(Clone)]
enum Transport {
    Direct(HttpClient<HttpConnector>),
    Tunnel(HttpClient<Tunnel<HttpConnector>>),
}

type HttpClient<C> = Client<HttpsConnector<C>, Full<Bytes>>;

// === impl Fetcher ===

impl Fetcher {
    /// Reads certificate authorities; opens no connection.
    pub(crate) fn new(
        settings: &OidcSettings,
        metrics: ProviderMetrics,
    ) -> Result<Self, OidcSetupError> {
        let tls = trust::client_config(settings.ca_pem.as_deref())?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // Shorter than the timeout of the exchange: a failed connection proves that no request was sent.
        tcp.set_connect_timeout(Some(settings.timeout / 2));
        let transport = match &settings.http_proxy {
            None => Transport::Direct(client(tls, tcp)),
            Some(proxy) => Transport::Tunnel(client(tls, tunnel::connect_through(proxy, tcp)?)),
        };
        Ok(Self {
            transport,
            timeout: settings.timeout,
            metrics,
        })
    }

    /// Requests a JSON document, as [`fetch`](Self::fetch) does.
    pub(crate) async fn json(
        &self,
        endpoint: Endpoint,
        url: &Url,
        authorization: Option<HeaderValue>,
    ) -> Result<Response<Vec<u8>>, FetchError> {
        let mut request = get_request(url);
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.extend(authorization.map(|value| (header::AUTHORIZATION, value)));
        self.fetch(endpoint, request).await
    }

    /// Sends a request, reads the whole response, and counts the outcome.
    ///
    /// # Errors
    ///
    /// Redirects, 5xx and 429 are errors; the caller checks all other statuses.
    pub(crate) async fn fetch(
        &self,
        endpoint: Endpoint,
        request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, FetchError> {
        let start = Instant::now();
        let result = tokio::time::timeout(self.timeout, self.exchange(request))
            .await
            .unwrap_or(Err(FetchError::Timeout));
        let outcome = match &result {
            Ok(response) if response.status().is_success() => ProviderOutcome::Ok,
            Ok(_) => ProviderOutcome::Refused,
            Err(error) => error.outcome(),
        };
        self.metrics
            .count_request(endpoint.label(), outcome, start.elapsed());
        result
    }

    /// The response to a GET request whatever its status, redirects included; not counted.
    pub(crate) async fn get(&self, url: &Url) -> Result<Response<Vec<u8>>, FetchError> {
        let exchange = async { read_body(self.send(get_request(url)).await?).await };
        tokio::time::timeout(self.timeout, exchange)
            .await
            .map_err(|_| FetchError::Timeout)?
    }

    async fn exchange(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, FetchError> {
        let response = self.send(request).await?;
        let status = response.status();
        if status.is_redirection() {
            return Err(FetchError::Redirected(status));
        }
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(FetchError::Overloaded(status));
        }
        read_body(response).await
    }

    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Incoming>, FetchError> {
        let mut request = request.map(|body| Full::new(Bytes::from(body)));
        request
            .headers_mut()
            .insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        let response = match &self.transport {
            Transport::Direct(client) => client.request(request).await,
            Transport::Tunnel(client) => {
                *request.uri_mut() = tunnel::with_port(request.uri());
                client.request(request).await
            }
        };
        response.map_err(FetchError::from_client)
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// The metric label `request`.
    const fn label(self) -> ProviderRequest {
        match self {
            Self::Discovery => ProviderRequest::Description,
            Self::KeySet => ProviderRequest::Keys,
            Self::PushedRequest => ProviderRequest::PushedRequest,
            Self::Token => ProviderRequest::Tokens,
            Self::Userinfo => ProviderRequest::Userinfo,
            Self::Groups => ProviderRequest::Groups,
        }
    }
}

// === impl FetchError ===

impl FetchError {
    /// The metric label `outcome`.
    const fn outcome(&self) -> ProviderOutcome {
        match self {
            Self::Unreachable(_) | Self::Certificate(_) => ProviderOutcome::Unreachable,
            Self::Broken(_) => ProviderOutcome::BrokenOff,
            Self::Timeout => ProviderOutcome::Timeout,
            Self::TooLarge => ProviderOutcome::TooLarge,
            Self::Redirected(_) => ProviderOutcome::Redirected,
            Self::Overloaded(_) => ProviderOutcome::Overloaded,
        }
    }

    /// Whether a retry of the same request may succeed.
    pub const fn is_transient(&self) -> bool {
        !matches!(
            self,
            Self::TooLarge | Self::Redirected(_) | Self::Certificate(_)
        )
    }

    /// Whether the provider may have processed the request although no response of it arrived. A provider answers 429
    /// and 503 instead of processing the request; a reverse proxy answers 502 and 504 whether it was processed or not.
    pub(crate) fn leaves_outcome_open(&self) -> bool {
        match self {
            Self::Broken(_) | Self::Timeout | Self::TooLarge => true,
            Self::Overloaded(status) => !matches!(
                *status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
            ),
            Self::Unreachable(_) | Self::Certificate(_) | Self::Redirected(_) => false,
        }
    }

    fn from_client(error: hyper_util::client::legacy::Error) -> Self {
        if error.is_connect() {
            // The TLS library names the error of its certificate library, and has no type for it.
            let chain = error_chain(&error);
            let unusable = UNUSABLE_CERTIFICATES
                .iter()
                .find(|(name, _)| chain.contains(name));
            match unusable {
                Some((_, reason)) => Self::Certificate(reason),
                None => Self::Unreachable(error),
            }
        } else {
            Self::Broken(error.into())
        }
    }
}

/// The credentials of HTTP's Basic scheme (RFC 7617 § 2).
pub(crate) fn basic(user: &[u8], password: &[u8]) -> HeaderValue {
    let credentials = BASE64_STANDARD.encode([user, password].join(&b':'));
    // Infallible: base64 is visible ASCII.
    let mut value =
        HeaderValue::try_from(format!("Basic {credentials}")).expect("base64 is a field value");
    value.set_sensitive(true);
    value
}

fn get_request(url: &Url) -> Request<Vec<u8>> {
    let mut request = Request::new(Vec::new());
    *request.uri_mut() = to_uri(url);
    request
}

/// The URL as a [`Uri`]. `url` accepts a few characters that `http` refuses; such a URL becomes
/// `/`, and the request fails.
pub(crate) fn to_uri(url: &Url) -> Uri {
    let mut url = url.clone();
    url.set_fragment(None);
    url.as_str().parse().unwrap_or_default()
}

async fn read_body(response: Response<Incoming>) -> Result<Response<Vec<u8>>, FetchError> {
    let (head, body) = response.into_parts();
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => Ok(Response::from_parts(head, body.to_bytes().into())),
        Err(error) if error.is::<LengthLimitError>() => Err(FetchError::TooLarge),
        Err(error) => Err(FetchError::Broken(error)),
    }
}

fn client<C>(tls: ClientConfig, connector: C) -> HttpClient<C>
where
    C: Clone + Send + Sync + 'static,
    HttpsConnector<C>: Connect + Clone + Send + Sync + 'static,
{
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .build(connector)
}

/// The errors of `rustls-webpki`, and what they mean for the provider.
const UNUSABLE_CERTIFICATES: [(&str, &str); 2] = [
    (
        "CaUsedAsEndEntity",
        "is that of a certificate authority (CA:TRUE): it needs another one for its own name, with CA:FALSE",
    ),
    (
        "UnsupportedCertVersion",
        "is of an old version of X.509: it needs one of version 3, with its name as subjectAltName",
    ),
];

const USER_AGENT: &str = concat!("jitsi-auth-gateway/", env!("CARGO_PKG_VERSION"));

/// Key sets of large providers have about 20 KiB, so the limit leaves a wide margin.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Below the five seconds after which Node.js closes an idle connection, and so below those of nginx and load
/// balancers: a code cannot be sent again when its connection turns out to be closed.
const POOL_IDLE: Duration = Duration::from_secs(4);
