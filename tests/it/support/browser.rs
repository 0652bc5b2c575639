//! An HTTP client with the parts of a browser that sign-in and signalling need: cookies, redirects,
//! TLS, WebSocket.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite};
use url::Url;

use super::site::ORIGIN;

/// A browser profile; a clone has its own cookies.
#[derive(Clone)]
pub(crate) struct Browser {
    gateway: SocketAddr,
    issuer: Url,
    certificates: Vec<CertificateDer<'static>>,
    tls: TlsConnector,
    /// By host, then by name.
    cookies: HashMap<String, HashMap<String, String>>,
}

/// One kept-alive HTTP/1.1 connection, opened by the first request.
pub(crate) struct KeepAliveClient {
    browser: Browser,
    open: Option<http1::SendRequest<Full<Bytes>>>,
}

/// A response and the URL that it came from.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) url: Url,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A response whose body may have broken off.
pub(crate) struct Exchange {
    pub(crate) status: StatusCode,
    pub(crate) body: Result<Bytes, hyper::Error>,
}

/// An open stream of server-sent events.
pub(crate) struct Events {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    connection: JoinHandle<hyper::Result<()>>,
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + std::fmt::Debug {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + std::fmt::Debug> Stream for S {}

/// Sends requests by one connection of HTTP/2.
pub(crate) type Http2Sender = http2::SendRequest<Full<Bytes>>;

pub(crate) type Socket = WebSocketStream<Box<dyn Stream>>;

/// Native apps have another.
pub(super) const AGENT: HeaderValue = HeaderValue::from_static("Mozilla/5.0");

// === impl Browser ===

impl Browser {
    pub(crate) fn new(gateway: SocketAddr, issuer: &str, certificate: &[u8]) -> Self {
        let certificates = vec![CertificateDer::from_pem_slice(certificate).unwrap()];
        let tls = tls_config(&certificates, rustls::DEFAULT_VERSIONS);
        Self {
            gateway,
            issuer: Url::parse(issuer).unwrap(),
            certificates,
            tls: TlsConnector::from(Arc::new(tls)),
            cookies: HashMap::new(),
        }
    }

    /// The same profile at another address of the site, such as that after a restart.
    pub(crate) fn at(&self, gateway: SocketAddr) -> Self {
        Self {
            gateway,
            ..self.clone()
        }
    }

    /// Adds a certificate to those that the browser trusts.
    pub(crate) fn trust(&mut self, certificate: CertificateDer<'static>) {
        self.certificates.push(certificate);
        let tls = tls_config(&self.certificates, rustls::DEFAULT_VERSIONS);
        self.tls = TlsConnector::from(Arc::new(tls));
    }

    /// The address that stands for the site.
    pub(crate) fn gateway(&self) -> SocketAddr {
        self.gateway
    }

    /// The TLS configuration of this browser with other protocol versions.
    pub(crate) fn tls_config(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ClientConfig {
        tls_config(&self.certificates, versions)
    }

    /// Opens a page of the site by way of the login endpoint, as `account`.
    pub(crate) async fn sign_in(&mut self, account: &str, path: &str) -> Page {
        let url = self.begin(path).await;
        self.finish(account, &url).await
    }

    /// Starts a sign-in and returns the provider's authorization URL without opening it.
    pub(crate) async fn begin(&mut self, path: &str) -> Url {
        let login = format!("/_gateway/login?return_to={}", encode(path));
        let page = self.navigate(&login).await;
        page.authorization_url()
    }

    /// Signs in at the provider and follows the redirects back.
    pub(crate) async fn finish(&mut self, account: &str, url: &Url) -> Page {
        let mut url = url.clone();
        assert_eq!(url.origin(), self.issuer.origin());
        url.query_pairs_mut().append_pair("login_hint", account);
        self.follow(url).await
    }

    /// Opens a path of the site as a navigation.
    pub(crate) async fn navigate(&mut self, path: &str) -> Page {
        self.follow(Url::parse(ORIGIN).unwrap().join(path).unwrap())
            .await
    }

    /// Opens a URL and follows redirects, at most ten.
    pub(crate) async fn follow(&mut self, mut url: Url) -> Page {
        for _ in 0..10 {
            let page = self.load(&url).await;
            let Some(location) = page.headers.get(header::LOCATION) else {
                return page;
            };
            let fragment = url.fragment().map(ToOwned::to_owned);
            url = url.join(location.to_str().unwrap()).unwrap();
            // A redirect without a fragment keeps the fragment (RFC 9110 § 10.2.2).
            if url.fragment().is_none() {
                url.set_fragment(fragment.as_deref());
            }
        }
        panic!("more than ten redirects, at {url}");
    }

    /// Opens a URL without following redirects.
    pub(crate) async fn load(&mut self, url: &Url) -> Page {
        self.send(Method::GET, url, navigation(), Bytes::new())
            .await
    }

    /// POSTs a form as a page of the site does.
    pub(crate) async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let mut headers = navigation();
        headers.insert(header::ORIGIN, HeaderValue::from_static(ORIGIN));
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        let url = Url::parse(&format!("{ORIGIN}{path}")).unwrap();
        self.send(Method::POST, &url, headers, form.into()).await
    }

    /// POSTs a BOSH body as a page of the site does, on a connection of its own.
    pub(crate) async fn bosh(&mut self, query: &str, body: &str) -> Page {
        let url = Url::parse(&format!("{ORIGIN}/http-bind?{query}")).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_static(ORIGIN));
        headers.insert(header::USER_AGENT, AGENT);
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/xml; charset=utf-8"),
        );
        self.send(
            Method::POST,
            &url,
            headers,
            Bytes::copy_from_slice(body.as_bytes()),
        )
        .await
    }

    /// POSTs a BOSH body; the response may break off. A signal stands between its head and its body.
    pub(crate) async fn exchange_bosh(
        &mut self,
        query: &str,
        body: &str,
        at_head: impl FnOnce(),
    ) -> Result<Exchange, hyper::Error> {
        let url = Url::parse(&format!("{ORIGIN}/http-bind?{query}")).unwrap();
        let headers = HeaderMap::from_iter([
            (header::ORIGIN, HeaderValue::from_static(ORIGIN)),
            (header::USER_AGENT, AGENT),
        ]);
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.exchange_with(Method::POST, &url, headers, body, at_head)
            .await
    }

    /// POSTs a BOSH body as an app does, without `Origin`.
    pub(crate) async fn bosh_of_app(&mut self, query: &str, body: &str) -> Page {
        let url = Url::parse(&format!("{ORIGIN}/http-bind?{query}")).unwrap();
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.send(Method::POST, &url, HeaderMap::new(), body).await
    }

    /// Opens a connection and sends the head of a BOSH request as a page of the site does, with a body
    /// of `length` to follow.
    pub(crate) async fn open_bosh(&self, query: &str, length: usize) -> Box<dyn Stream> {
        let url = Url::parse(&format!("{ORIGIN}/http-bind?{query}")).unwrap();
        let (_, cookies) = self.cookie_header(&url).unwrap();
        let head = format!(
            "POST /http-bind?{query} HTTP/1.1\r\nHost: {}\r\nOrigin: {ORIGIN}\r\nUser-Agent: Mozilla/5.0\r\nCookie: {}\r\n\
            Content-Type: text/xml\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n",
            authority(&url),
            cookies.to_str().unwrap(),
        );
        let mut connection = self.connect(&url).await;
        connection.write_all(head.as_bytes()).await.unwrap();
        connection
    }

    /// Opens a connection and sends the head of an upload, with a body of `length` to follow.
    pub(crate) async fn open_upload(&self, path: &str, length: usize) -> Box<dyn Stream> {
        let url = Url::parse(&format!("{ORIGIN}{path}")).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nOrigin: {ORIGIN}\r\nContent-Length: {length}\r\n\r\n",
            authority(&url),
        );
        let mut connection = self.connect(&url).await;
        connection.write_all(head.as_bytes()).await.unwrap();
        connection
    }

    /// Opens a WebSocket as a page of the site does.
    pub(crate) async fn socket(&mut self, query: &str) -> Result<Socket, StatusCode> {
        self.socket_from(query, ORIGIN).await
    }

    /// Opens a WebSocket with any `Origin`.
    pub(crate) async fn socket_from(
        &mut self,
        query: &str,
        origin: &'static str,
    ) -> Result<Socket, StatusCode> {
        self.open_websocket(query, Some(origin)).await
    }

    /// Opens a WebSocket as an app does, without `Origin`.
    pub(crate) async fn socket_of_app(&mut self, query: &str) -> Result<Socket, StatusCode> {
        self.open_websocket(query, None).await
    }

    async fn open_websocket(
        &mut self,
        query: &str,
        origin: Option<&'static str>,
    ) -> Result<Socket, StatusCode> {
        let target = format!("/xmpp-websocket?{query}");
        self.open_websocket_at(&target, Some("xmpp"), origin).await
    }

    /// Opens a WebSocket at any path, with a subprotocol and an `Origin` or without.
    pub(crate) async fn open_websocket_at(
        &mut self,
        target: &str,
        protocol: Option<&'static str>,
        origin: Option<&'static str>,
    ) -> Result<Socket, StatusCode> {
        let url = Url::parse(&format!("{ORIGIN}{target}")).unwrap();
        let mut request = Request::get(format!("wss://meet.example.org{target}"))
            .header(header::HOST, "meet.example.org")
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(
                header::SEC_WEBSOCKET_KEY,
                tungstenite::handshake::client::generate_key(),
            )
            .body(())
            .unwrap();
        if let Some(protocol) = protocol {
            let protocol = HeaderValue::from_static(protocol);
            request
                .headers_mut()
                .insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        if let Some(origin) = origin {
            let origin = HeaderValue::from_static(origin);
            request.headers_mut().insert(header::ORIGIN, origin);
            request.headers_mut().insert(header::USER_AGENT, AGENT);
        }
        request.headers_mut().extend(self.cookie_header(&url));
        match client_async(request, self.connect(&url).await).await {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::Error::Http(answer)) => Err(answer.status()),
            // hyper adds a second line, `Connection: close`, to the 101 of a server that begins to stop (`enforce_version`
            // in its `src/proto/h1/conn.rs`). RFC 6455 § 4.1 takes the token from either line, this library does not.
            Err(tungstenite::Error::Protocol(
                tungstenite::error::ProtocolError::MissingConnectionUpgradeHeader,
            )) => Err(StatusCode::SERVICE_UNAVAILABLE),
            Err(other) => panic!("{other}"),
        }
    }

    /// GETs a URL that is not the site's.
    pub(crate) async fn get_plain(&mut self, url: &str) -> Page {
        self.send(
            Method::GET,
            &Url::parse(url).unwrap(),
            HeaderMap::new(),
            Bytes::new(),
        )
        .await
    }

    /// Sends a request with the cookies of its host and stores those of the response.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        url: &Url,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Page {
        let host = authority(url);
        headers.insert(header::HOST, HeaderValue::try_from(&host).unwrap());
        headers.extend(self.cookie_header(url));
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .body(Full::new(body))
            .unwrap();
        *request.headers_mut() = headers;
        let io = TokioIo::new(self.connect(url).await);
        let (mut sender, connection) = http1::handshake(io).await.unwrap();
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        connection.abort();
        self.keep_cookies(url, &head.headers);
        Page {
            url: url.clone(),
            status: head.status,
            headers: head.headers,
            body,
        }
    }

    /// Sends a request without a body; a response that breaks off is an error.
    pub(crate) async fn try_send(
        &mut self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
    ) -> Result<Bytes, hyper::Error> {
        let exchange = self.exchange(method, url, headers, Bytes::new());
        exchange.await?.body
    }

    /// Sends a request; its response may not come, or its body may break off. Cookies are not kept.
    pub(crate) async fn exchange(
        &mut self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Exchange, hyper::Error> {
        self.exchange_with(method, url, headers, body, || {}).await
    }

    /// The same, with a signal between the head and the body of the response.
    pub(crate) async fn exchange_with(
        &mut self,
        method: Method,
        url: &Url,
        mut headers: HeaderMap,
        body: Bytes,
        at_head: impl FnOnce(),
    ) -> Result<Exchange, hyper::Error> {
        headers.insert(header::HOST, HeaderValue::try_from(authority(url)).unwrap());
        headers.extend(self.cookie_header(url));
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = target.parse().unwrap();
        *request.headers_mut() = headers;
        let io = TokioIo::new(self.connect(url).await);
        let (mut sender, connection) = http1::handshake(io).await?;
        let connection = tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await?.into_parts();
        at_head();
        let body = body.collect().await;
        connection.abort();
        Ok(Exchange {
            status: head.status,
            body: body.map(http_body_util::Collected::to_bytes),
        })
    }

    /// Opens a stream of server-sent events as a page of the site does.
    pub(crate) async fn listen(&self, path: &str) -> Events {
        let url = Url::parse(&format!("{ORIGIN}{path}")).unwrap();
        let mut request = Request::get(path)
            .header(header::HOST, authority(&url))
            .header("sec-fetch-site", "same-origin")
            .body(Full::new(Bytes::new()))
            .unwrap();
        request.headers_mut().extend(self.cookie_header(&url));
        let io = TokioIo::new(self.connect(&url).await);
        let (mut sender, connection) = http1::handshake(io).await.unwrap();
        let connection = tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        Events {
            status: head.status,
            headers: head.headers,
            body,
            connection,
        }
    }

    /// Opens a connection of HTTP/2.
    pub(crate) async fn connect_http2(
        &self,
    ) -> Result<(Http2Sender, JoinHandle<hyper::Result<()>>), hyper::Error> {
        let mut tls = ClientConfig::clone(self.tls.config());
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(self.gateway).await.unwrap();
        let name = ServerName::try_from("meet.example.org").unwrap();
        let stream = TlsConnector::from(Arc::new(tls))
            .connect(name, stream)
            .await
            .unwrap();
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        Ok((sender, tokio::spawn(connection)))
    }

    /// Sends a request over HTTP/2; an incomplete response is an error.
    pub(crate) async fn send_by_http2(
        &self,
        method: Method,
        path: &str,
    ) -> Result<(http::response::Parts, Bytes), hyper::Error> {
        let (mut sender, connection) = self.connect_http2().await?;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{ORIGIN}{path}"))
            .body(Full::new(Bytes::new()))
            .unwrap();
        let url = Url::parse(ORIGIN).unwrap();
        request.headers_mut().extend(self.cookie_header(&url));
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        connection.abort();
        Ok((head, body))
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies
            .get("meet.example.org")?
            .get(name)
            .map(String::as_str)
    }

    /// Sets a cookie of the site, as a person with developer tools can.
    pub(crate) fn set_cookie(&mut self, name: &str, value: &str) {
        let cookies = self.cookies.entry("meet.example.org".to_owned());
        let cookies = cookies.or_default();
        cookies.insert(name.to_owned(), value.to_owned());
    }

    /// Deletes a cookie of the site, as time does.
    pub(crate) fn forget(&mut self, name: &str) {
        let cookies = self.cookies.get_mut("meet.example.org").unwrap();
        cookies.remove(name).unwrap();
    }

    /// The values of all cookies, of every host.
    pub(crate) fn cookie_values(&self) -> Vec<String> {
        self.cookies
            .values()
            .flat_map(HashMap::values)
            .cloned()
            .collect()
    }

    async fn connect(&self, url: &Url) -> Box<dyn Stream> {
        if url.scheme() == "http" {
            let address = url.socket_addrs(|| None).unwrap()[0];
            return Box::new(TcpStream::connect(address).await.unwrap());
        }
        assert_eq!(url.host_str(), Some("meet.example.org"), "{url}");
        let stream = TcpStream::connect(self.gateway).await.unwrap();
        let name = ServerName::try_from("meet.example.org").unwrap();
        Box::new(self.tls.connect(name, stream).await.unwrap())
    }

    pub(crate) fn cookie_header(&self, url: &Url) -> Option<(HeaderName, HeaderValue)> {
        let pairs: Vec<_> = self
            .cookies
            .get(url.host_str()?)?
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        (!pairs.is_empty()).then(|| {
            (
                header::COOKIE,
                HeaderValue::try_from(pairs.join("; ")).unwrap(),
            )
        })
    }

    fn keep_cookies(&mut self, url: &Url, headers: &HeaderMap) {
        let jar = self
            .cookies
            .entry(url.host_str().unwrap().to_owned())
            .or_default();
        for line in headers.get_all(header::SET_COOKIE) {
            let cookie = cookie::Cookie::parse(line.to_str().unwrap().to_owned()).unwrap();
            if cookie.max_age().is_some_and(time::Duration::is_zero) {
                jar.remove(cookie.name());
            } else {
                jar.insert(cookie.name().to_owned(), cookie.value().to_owned());
            }
        }
    }
}

// === impl KeepAliveClient ===

impl KeepAliveClient {
    pub(crate) fn new(browser: Browser) -> Self {
        Self {
            browser,
            open: None,
        }
    }

    /// Sends a request; cookies that the answer sets are not kept.
    pub(crate) async fn send(&mut self, method: Method, url: &Url, headers: &HeaderMap) -> Page {
        self.send_body(method, url, headers, Bytes::new()).await
    }

    /// POSTs a BOSH body as a page of the site does.
    pub(crate) async fn bosh(&mut self, query: &str, body: &str) -> Page {
        let url = Url::parse(&format!("{ORIGIN}/http-bind?{query}")).unwrap();
        let headers = HeaderMap::from_iter([
            (header::ORIGIN, HeaderValue::from_static(ORIGIN)),
            (header::USER_AGENT, AGENT),
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/xml; charset=utf-8"),
            ),
        ]);
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.send_body(Method::POST, &url, &headers, body).await
    }

    pub(crate) async fn send_body(
        &mut self,
        method: Method,
        url: &Url,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Page {
        let ready = match &mut self.open {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !ready {
            let io = TokioIo::new(self.browser.connect(url).await);
            let (sender, connection) = http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            self.open = Some(sender);
        }
        let sender = self.open.as_mut().unwrap();
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, authority(url))
            .body(Full::new(body))
            .unwrap();
        request.headers_mut().extend(headers.clone());
        let cookies = self.browser.cookie_header(url);
        request.headers_mut().extend(cookies);
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        Page {
            url: url.clone(),
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }
}

// === impl Events ===

impl Events {
    /// The next event, comments included; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<String> {
        let frame = self.body.frame().await?.unwrap();
        let bytes = frame.into_data().unwrap();
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

// === impl Page ===

impl Page {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The authorization URL on the gateway's sign-in page.
    pub(crate) fn authorization_url(&self) -> Url {
        let text = self.text();
        let link = text
            .split("href=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .find(|link| link.contains("code_challenge") || link.contains("request_uri"))
            .unwrap_or_else(|| panic!("no authorization URL in {text}"));
        Url::parse(&link.replace("&#38;", "&").replace("&amp;", "&")).unwrap()
    }
}

fn tls_config(
    certificates: &[CertificateDer<'static>],
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone()).unwrap();
    }
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// The headers of a navigation (Fetch Metadata).
pub(crate) fn navigation() -> HeaderMap {
    HeaderMap::from_iter([
        (header::ACCEPT, HeaderValue::from_static("text/html")),
        (
            HeaderName::from_static("sec-fetch-mode"),
            HeaderValue::from_static("navigate"),
        ),
    ])
}

fn authority(url: &Url) -> String {
    url[url::Position::BeforeHost..url::Position::AfterPort].to_owned()
}

pub(crate) fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
