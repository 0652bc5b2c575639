//! Requests to the gateway's admin listener.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

/// A client of the listener.
#[derive(Debug)]
pub(super) struct AdminApi {
    client: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
}

// === impl AdminApi ===

impl AdminApi {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            address,
        }
    }

    /// The rooms in use with their streams; `None` if the listener does not answer.
    pub(super) async fn rooms(&self) -> Option<Value> {
        let answer = self.send(Method::GET, "/rooms", Bytes::new()).await?;
        let mut answer: Value = serde_json::from_slice(&answer).ok()?;
        answer.get_mut("rooms").map(Value::take)
    }

    /// Whether the session was revoked.
    pub(super) async fn revoke(&self, session: &str) -> bool {
        let body = json!({ "session": session }).to_string();
        self.send(Method::POST, "/revoke", body.into())
            .await
            .is_some()
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Option<Bytes> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .body(Full::new(body))
            .ok()?;
        let response = self.client.request(request).await.ok()?;
        if !response.status().is_success() {
            return None;
        }
        let body = response.into_body().collect().await.ok()?;
        Some(body.to_bytes())
    }
}
