//! HTTP requests to the authority: bounded in time and size.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use model::clock::Clock;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::{order_error::OrderError, settings::AcmeSettings};

/// A client of one authority; clones share connections.
#[derive(Clone)]
pub(crate) struct AuthorityClient {
    client: Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
    clock: Clock,
    /// The `Retry-After` of the last error response.
    retry_after: Arc<Mutex<Option<Duration>>>,
}

// === impl AuthorityClient ===

impl AuthorityClient {
    pub(crate) fn new(settings: &AcmeSettings, clock: Clock) -> Result<Self, OrderError> {
        let mut roots = RootCertStore::empty();
        match &settings.ca_pem {
            Some(pem) => {
                let certificates = CertificateDer::pem_slice_iter(pem);
                roots.add_parsable_certificates(certificates.flatten());
            }
            None => roots = oidc::trust::system_roots(),
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(OrderError::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http1()
            .build();
        Ok(Self {
            // Requests are rare, and an authority closes idle connections.
            client: Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(0)
                .build(connector),
            clock,
            retry_after: Arc::default(),
        })
    }

    /// Takes how long the last error response asked to wait.
    pub(crate) fn take_retry_after(&self) -> Option<Duration> {
        let mut retry_after = self
            .retry_after
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        retry_after.take()
    }

    async fn exchange(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let exchange = async {
            let response = self.client.request(request).await.map_err(other)?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
            let body = Full::new(body.map_err(Error::Other)?.to_bytes());
            Ok(Response::from_parts(head, body))
        };
        let response = tokio::time::timeout(TIMEOUT, exchange)
            .await
            .unwrap_or_else(|_| Err(Error::Other("the authority does not answer".into())))?;
        if response.status().is_client_error() || response.status().is_server_error() {
            let asked = retry_after(response.headers(), &self.clock);
            *self
                .retry_after
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = asked;
        }
        Ok(BytesResponse::from(response))
    }
}

type Exchange = Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>>;

impl HttpClient for AuthorityClient {
    fn request(&self, mut request: Request<BodyWrapper<Bytes>>) -> Exchange {
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        Box::pin(self.clone().exchange(request))
    }
}

fn other(error: hyper_util::client::legacy::Error) -> Error {
    Error::Other(error.into())
}

/// `Retry-After` as seconds or as a date (RFC 9110 § 10.2.3).
fn retry_after(headers: &HeaderMap, clock: &Clock) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let since_1970 = date.duration_since(UNIX_EPOCH).ok()?;
    Some(since_1970.saturating_sub(Duration::from_secs(clock.now().as_unix())))
}

const USER_AGENT: &str = concat!("jitsi-auth-gateway/", env!("CARGO_PKG_VERSION"));

/// Chains have a few kilobytes.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Authorities answer within seconds; long work is polled.
const TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use model::clock::Timestamp;

    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let (clock, _) = Clock::manual(Timestamp::from_unix(1_800_000_000));
        for (text, expected) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("Fri, 15 Jan 2027 08:01:00 GMT", Some(60)),
            ("Fri, 15 Jan 2027 07:00:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, text.parse().unwrap());
            let waits = retry_after(&headers, &clock).map(|wait| wait.as_secs());
            assert_eq!(waits, expected, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), &clock), None);
    }
}
