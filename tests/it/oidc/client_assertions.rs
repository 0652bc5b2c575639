//! Clients that authenticate by a private key (`private_key_jwt`).

use std::sync::Arc;

use jsonwebtoken::{Algorithm, EncodingKey, jwk::Jwk};
use model::jws::KeySet;
use oidc::{ClientAuth, ClientKey, KeyAuthentication};
use rcgen::KeyPair;
use serde_json::json;

use super::Pair;
use crate::support::provider_fault::ProviderFault;

/// A private key in PEM form, and the key set of its public key.
fn key_pair() -> (String, Arc<KeySet>) {
    let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let pem = pair.serialize_pem();
    let private = EncodingKey::from_ec_pem(pem.as_bytes()).unwrap();
    let jwk = Jwk::from_encoding_key(&private, Algorithm::ES256).unwrap();
    let document = json!({ "keys": [jwk] }).to_string();
    (pem, Arc::new(KeySet::parse(document.as_bytes()).unwrap()))
}

/// A provider that knows these keys of the client, which has a key and this audience for its assertions.
async fn pair(keys: Arc<KeySet>, pem: &str, audience: Option<&str>) -> Pair {
    let key = ClientKey::from_pem(&pem.to_owned().into(), None).unwrap();
    let authentication = KeyAuthentication {
        key: Arc::new(key),
        audience: audience.map(ToOwned::to_owned),
    };
    let pair = Pair::with(
        ProviderFault::None,
        |builder| builder,
        |settings, _| {
            settings.client_auth = ClientAuth::Key(authentication);
            settings.client_secret = None;
        },
    );
    let pair = pair.await;
    pair.provider.behaviour().client_keys = Some(keys);
    pair.ready().await
}

#[tokio::test]
async fn a_client_with_a_key_signs_in_again_and_again() {
    let (pem, keys) = key_pair();
    let pair = pair(keys, &pem, None).await;
    // The provider accepts each assertion once.
    for _ in 0..3 {
        pair.sign_in().await.unwrap();
    }
}

#[tokio::test]
async fn an_assertion_of_another_key_or_audience_is_refused_as_the_client() {
    let (pem, keys) = key_pair();
    let (_, other_keys) = key_pair();
    for (keys, audience) in [
        (other_keys, None),
        (keys, Some("https://sso.example.org/oauth2/token")),
    ] {
        let pair = pair(keys, &pem, audience).await;
        assert_eq!(pair.failure().await, "client_refused", "{audience:?}");
    }
}
