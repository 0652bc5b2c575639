//! The gateway's account at an authority, as the owner of its key can change it.

use std::path::Path;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{acme_gateway::connect, pebble::PebbleSettings};

/// The account in a storage directory.
pub(crate) struct AcmeAccount {
    url: String,
    key: EcdsaKeyPair,
}

// === impl AcmeAccount ===

impl AcmeAccount {
    pub(crate) fn read(storage: &Path) -> Self {
        let text = std::fs::read(storage.join("account.json")).unwrap();
        let stored: Value = serde_json::from_slice(&text).unwrap();
        let credentials = &stored["credentials"];
        let key = credentials["key_pkcs8"].as_str().unwrap();
        let key = BASE64_URL_SAFE_NO_PAD.decode(key).unwrap();
        Self {
            url: credentials["id"].as_str().unwrap().to_owned(),
            key: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key).unwrap(),
        }
    }

    /// Deactivates the account (RFC 8555 § 7.3.6). Pebble refuses some nonces, so that the request is repeated.
    pub(crate) async fn deactivate(&self, pebble: &PebbleSettings) {
        for _ in 0..20 {
            let head = exchange(pebble, "HEAD /nonce-plz HTTP/1.1", "").await;
            let nonce = head
                .lines()
                .find_map(|line| line.strip_prefix("Replay-Nonce: "))
                .unwrap_or_else(|| panic!("{head}"));
            let header =
                json!({ "alg": "ES256", "kid": self.url, "nonce": nonce, "url": self.url });
            let [header, payload] = [header, json!({ "status": "deactivated" })]
                .map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
            let signed = format!("{header}.{payload}");
            let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes());
            let body = json!({
                "protected": header,
                "payload": payload,
                "signature": BASE64_URL_SAFE_NO_PAD.encode(signature.unwrap()),
            });
            let (_, path) = self.url.rsplit_once("/my-account/").unwrap();
            let request = format!("POST /my-account/{path} HTTP/1.1");
            let answer = exchange(pebble, &request, &body.to_string()).await;
            if answer.starts_with("HTTP/1.1 200 ") {
                assert!(answer.contains("\"deactivated\""), "{answer}");
                return;
            }
            assert!(answer.contains("badNonce"), "{answer}");
        }
        panic!("Pebble refused 20 nonces");
    }
}

async fn exchange(pebble: &PebbleSettings, request: &str, body: &str) -> String {
    let (mut stream, _) = connect(pebble.acme, "localhost").await.unwrap();
    let message = format!(
        "{request}\r\nHost: localhost:{}\r\nUser-Agent: test\r\nContent-Type: application/jose+json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        pebble.acme,
        body.len()
    );
    stream.write_all(message.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // Some servers close without an alert.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}
