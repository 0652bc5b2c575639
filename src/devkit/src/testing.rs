//! A browser for tests: cookies per host, no redirects, no scripts.

#![expect(clippy::unwrap_used, reason = "a failure here fails the test")]

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore};

/// A loopback address with port 0, to bind a free port.
pub const FREE_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Keeps cookies; does not follow redirects.
#[derive(Clone)]
pub struct TestBrowser {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// Cookies by host name, ports ignored as in browsers (RFC 6265 § 8.5).
    pub cookies: Vec<(String, cookie::Cookie<'static>)>,
}

/// A response with its whole body as text.
pub struct TestResponse {
    /// The HTTP status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The body; panics on invalid UTF-8.
    pub body: String,
}

// === impl TestBrowser ===

impl Default for TestBrowser {
    fn default() -> Self {
        Self::new()
    }
}

impl TestBrowser {
    /// Creates a browser that trusts no certificate authority, for plain HTTP.
    pub fn new() -> Self {
        Self::trusting(RootCertStore::empty())
    }

    /// Creates a browser that trusts these certificate authorities.
    pub fn trusting(authorities: RootCertStore) -> Self {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls_config(authorities))
            .https_or_http()
            .enable_http1()
            .build();
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            cookies: Vec::new(),
        }
    }

    /// Requests a URL as a navigation.
    pub async fn get(&mut self, url: &str) -> TestResponse {
        let request = Request::get(url)
            .header(header::ACCEPT, "text/html")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document");
        self.send(request, "").await
    }

    /// Submits a form.
    pub async fn post(&mut self, url: &str, form: &[(&str, &str)]) -> TestResponse {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request =
            Request::post(url).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, &form).await
    }

    /// Sends a request with the cookies of its host, and stores those of the response.
    pub async fn send(&mut self, request: http::request::Builder, body: &str) -> TestResponse {
        let host = request.uri_ref().unwrap().host().unwrap().to_owned();
        let request = match self.cookie(&host) {
            Some(cookie) => request.header(header::COOKIE, cookie),
            None => request,
        };
        let request = request.body(Full::from(body.to_owned())).unwrap();
        let response = self.client.request(request).await.unwrap();
        let (head, body) = response.into_parts();
        for set in head.headers.get_all(header::SET_COOKIE) {
            let set = cookie::Cookie::parse(set.to_str().unwrap().to_owned()).unwrap();
            self.cookies
                .retain(|(stored, cookie)| *stored != host || cookie.name() != set.name());
            if set.max_age() != Some(time::Duration::ZERO) {
                self.cookies.push((host.clone(), set));
            }
        }
        let body = body.collect().await.unwrap().to_bytes();
        TestResponse {
            status: head.status,
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// The value of `Cookie` for a host; `None` without cookies.
    pub fn cookie(&self, host: &str) -> Option<String> {
        let cookies = self.cookies.iter().filter(|(stored, _)| stored == host);
        let pairs: Vec<_> = cookies
            .map(|(_, cookie)| format!("{}={}", cookie.name(), cookie.value()))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

/// TLS settings of a client that trusts these certificate authorities alone.
pub fn tls_config(authorities: RootCertStore) -> ClientConfig {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authorities)
        .with_no_client_auth()
}

// === impl TestResponse ===

impl TestResponse {
    /// Parses the body.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The URL of `Location`; panics without one.
    pub fn location(&self) -> url::Url {
        let location = self.headers.get(header::LOCATION);
        let location = location.unwrap_or_else(|| panic!("{} {}", self.status, self.body));
        url::Url::parse(location.to_str().unwrap()).unwrap()
    }

    /// A query parameter of [`TestResponse::location`].
    pub fn parameter(&self, name: &str) -> Option<String> {
        let location = self.location();
        let mut pairs = location.query_pairs();
        pairs
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}
