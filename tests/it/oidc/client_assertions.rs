//! Clients that authenticate by a private key (`private_key_jwt`).

use std::sync::Arc;

use jsonwebtoken::{Algorithm, EncodingKey, jwk::Jwk};
use model::jws::KeySet;
use oidc::{ClientAuth, ClientKey, KeyAuthentication};
use rcgen::{CertificateParams, KeyPair};
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

/// An RSA key, its key set, and its certificate.
fn certified() -> (ClientKey, Arc<KeySet>, Arc<[u8]>) {
    let pair = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let pem = pair.serialize_pem();
    let private = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
    let jwk = Jwk::from_encoding_key(&private, Algorithm::PS256).unwrap();
    let document = json!({ "keys": [jwk] }).to_string();
    let keys = KeySet::parse(document.as_bytes()).unwrap();
    let params = CertificateParams::new(["jitsi".to_owned()]).unwrap();
    let certificate = params.self_signed(&pair).unwrap().der().to_vec();
    let key = ClientKey::from_pem(&pem.into(), None).unwrap();
    (key, Arc::new(keys), certificate.into())
}

#[tokio::test]
async fn a_provider_that_knows_certificates_finds_the_key_by_its_thumbprint() {
    for (certifies, signs_by_pss, expected) in [
        (true, true, None),
        (false, true, Some("client_refused")),
        (true, false, Some("client_refused")),
    ] {
        let (mut key, keys, certificate) = certified();
        if certifies {
            key = key.with_certificate(&certificate).unwrap();
        }
        if signs_by_pss {
            key = key.with_algorithm(Algorithm::PS256).unwrap();
        }
        let pair = Pair::with(
            ProviderFault::None,
            |builder| builder,
            |settings, provider| {
                settings.client_auth = ClientAuth::Key(KeyAuthentication {
                    key: Arc::new(key),
                    audience: Some(format!("{}/token", provider.issuer())),
                });
                settings.client_secret = None;
            },
        );
        let pair = pair.await;
        pair.provider.behaviour().client_keys = Some(keys);
        pair.provider.behaviour().client_certificate = Some(certificate);
        let pair = pair.ready().await;
        match expected {
            None => {
                pair.sign_in().await.unwrap();
            }
            Some(failure) => {
                assert_eq!(pair.failure().await, failure, "{certifies} {signs_by_pss}");
            }
        }
    }
}
