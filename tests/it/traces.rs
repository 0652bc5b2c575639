//! Traces as an OpenTelemetry collector receives them.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::support::{
    browser::{KeepAliveClient, navigation},
    site::{ORIGIN, Site, SiteOptions},
};

/// Paths and bodies (protocol buffers) of the requests to a collector.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(String, Bytes)>>>);

// === impl Collector ===

impl Collector {
    /// Starts a collector and returns its address.
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let collector = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let collector = collector.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let collector = collector.clone();
                    async move {
                        let path = request.uri().path().to_owned();
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        collector.0.lock().unwrap().push((path, body));
                        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        format!("http://{address}/v1/traces")
    }

    fn has(&self, what: &[u8]) -> bool {
        let sent = self.0.lock().unwrap();
        sent.iter()
            .any(|(_, body)| body.windows(what.len()).any(|part| part == what))
    }
}

/// Requests a room page with this `traceparent` and with secrets, then stops the gateway. Returns
/// the `traceparent` that Jitsi's web server received.
async fn traced(collector: &Collector, listen: &str, trace: &str) -> String {
    let endpoint = collector.start().await;
    let rules =
        format!("[[room]]\nmatch = \"*\"\nenter = \"open\"\n[traces]\nendpoint = \"{endpoint}\"\n");
    let site = Site::with(SiteOptions::default().rules(&rules).listen(listen));
    let site = site.await.ready().await;
    let mut line = KeepAliveClient::new(site.browser());
    let mut headers = navigation();
    let parent = format!("00-{trace}-1112131415161718-01");
    headers.insert("traceparent", HeaderValue::try_from(parent).unwrap());
    headers.insert("baggage", HeaderValue::from_static("from=stranger"));
    for path in [
        "/robots.txt?secret-query=1",
        "/secret-room?jwt=secret-token",
    ] {
        let url = Url::parse(&format!("{ORIGIN}{path}")).unwrap();
        line.send(Method::GET, &url, &headers).await;
    }
    let url = Url::parse(&format!("{ORIGIN}/secret-room")).unwrap();
    line.send(Method::from_bytes(b"MADEUP").unwrap(), &url, &headers)
        .await;
    drop(line);
    let received = site.meeting.received();
    let request = received
        .iter()
        .find(|request| request.headers.contains_key("traceparent"));
    let request = request.expect("the web server hears of the trace");
    assert!(
        !request.headers.contains_key("baggage"),
        "{:?}",
        request.headers
    );
    let passed = request.headers["traceparent"].to_str().unwrap().to_owned();
    site.running.stop(CancellationToken::new()).await;
    passed
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let pairs = (0..hex.len() / 2).map(|at| &hex[2 * at..2 * at + 2]);
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test]
async fn each_request_exports_a_span_without_secrets() {
    let collector = Collector::default();
    let passed = traced(&collector, "", TRACE).await;
    let sent = collector.0.lock().unwrap().clone();
    assert!(sent.iter().all(|(path, _)| path == "/v1/traces") && !sent.is_empty());
    for there in [
        "jitsi-auth-gateway",
        "GET asset",
        "GET room",
        "_OTHER room",
        "http.response.status_code",
        "gateway.request",
    ] {
        assert!(collector.has(there.as_bytes()), "{there}");
    }
    for absent in ["secret", "MADEUP", "stranger"] {
        assert!(!collector.has(absent.as_bytes()), "{absent}");
    }
    // The trace of an untrusted peer is not continued.
    assert!(!collector.has(&bytes_of(TRACE)));
    assert!(!passed.contains(TRACE), "{passed}");
    let [_, trace, span, _] = passed.split('-').collect::<Vec<_>>()[..] else {
        panic!("{passed}");
    };
    assert!(collector.has(&bytes_of(trace)) && collector.has(&bytes_of(span)));
    let bytes: usize = sent.iter().map(|(_, body)| body.len()).sum();
    println!("{} batches, {bytes} bytes", sent.len());
}

#[tokio::test]
async fn the_trace_of_a_trusted_proxy_is_continued() {
    let collector = Collector::default();
    let passed = traced(&collector, "trusted_proxies = [\"127.0.0.1/32\"]", TRACE).await;
    assert!(collector.has(&bytes_of(TRACE)));
    assert!(
        collector.has(&bytes_of("1112131415161718")),
        "the span's parent"
    );
    assert!(passed.starts_with(&format!("00-{TRACE}-")), "{passed}");
    assert!(!passed.contains("1112131415161718"), "{passed}");
}
