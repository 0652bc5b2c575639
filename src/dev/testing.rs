//! What the stand-ins' own tests talk with.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

/// Where tests listen.
pub(super) const FREE_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A browser without a mind: it keeps one cookie and follows nothing.
#[derive(Clone)]
pub(super) struct Browser {
    client: Client<HttpConnector, Full<Bytes>>,
    pub(super) cookie: Option<String>,
}

/// An answer, read to its end.
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

// === impl Browser ===

impl Browser {
    pub(super) fn new() -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            cookie: None,
        }
    }

    pub(super) async fn get(&mut self, url: &str) -> Page {
        self.send(Request::get(url), "").await
    }

    pub(super) async fn post(&mut self, url: &str, form: &[(&str, &str)]) -> Page {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.send(Request::post(url), &form).await
    }

    pub(super) async fn send(&mut self, request: http::request::Builder, body: &str) -> Page {
        let request = match &self.cookie {
            Some(cookie) => request.header(header::COOKIE, cookie),
            None => request,
        };
        let request = request.body(Full::from(body.to_owned())).unwrap();
        let answer = self.client.request(request).await.unwrap();
        let (head, body) = answer.into_parts();
        if let Some(set) = head.headers.get(header::SET_COOKIE) {
            let set = cookie::Cookie::parse(set.to_str().unwrap()).unwrap();
            let deleted = set.max_age() == Some(cookie::time::Duration::ZERO);
            self.cookie = (!deleted).then(|| format!("{}={}", set.name(), set.value()));
        }
        let body = body.collect().await.unwrap().to_bytes();
        Page {
            status: head.status,
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }
}

// === impl Page ===

impl Page {
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Where the browser is sent.
    pub(super) fn location(&self) -> url::Url {
        let location = self.headers.get(header::LOCATION);
        let location = location.unwrap_or_else(|| panic!("{} {}", self.status, self.body));
        url::Url::parse(location.to_str().unwrap()).unwrap()
    }

    /// A parameter of the address that the browser is sent to.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let location = self.location();
        let mut pairs = location.query_pairs();
        pairs
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.into_owned())
    }
}
