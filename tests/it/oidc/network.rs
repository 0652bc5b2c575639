//! Network paths to the provider: an internal address, a private authority, a proxy.

use std::{sync::Arc, time::Duration};

use model::{
    clock::{Clock, Timestamp},
    random::Random,
};
use oidc::{AuthorizationOptions, ProviderProbe, ProviderProbeError, ProviderStatus};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    sign::{CertifiedKey, SingleCertAndKey},
};
use serde_json::json;
use tokio::net::TcpSocket;
use tokio_rustls::TlsAcceptor;
use url::Url;

use super::Pair;
use crate::support::{
    connect_proxy::ConnectProxy, faulty_provider::FaultyProvider, provider_fault::ProviderFault,
};

#[tokio::test]
async fn an_internal_url_is_used_by_the_gateway_and_not_shown_to_browsers() {
    let pair = Pair::with(
        ProviderFault::Down,
        |builder| builder.issuer("https://sso.example.org/realms/main"),
        |settings, provider| {
            let inside = format!("http://{}/realms/main", provider.address);
            settings.internal_url = Some(Url::parse(&inside).unwrap());
        },
    );
    let pair = pair.await;
    // Some providers use the host of the request in some of the endpoints.
    let inside = format!("http://{}/realms/main/authorize", pair.provider.address);
    pair.provider.behaviour().description = json!({ "authorization_endpoint": inside });
    pair.provider.behaviour().fault = ProviderFault::None;
    let pair = pair.ready().await;
    let url = pair
        .party
        .authorization_url(
            super::STATE,
            super::NONCE,
            super::VERIFIER,
            &AuthorizationOptions::default(),
        )
        .unwrap();
    assert!(
        url.as_str()
            .starts_with("https://sso.example.org/realms/main/authorize?")
    );
    let end = pair.party.end_session_url(None, None).unwrap();
    assert!(
        end.as_str()
            .starts_with("https://sso.example.org/realms/main/end?")
    );
    pair.sign_in().await.unwrap();
    let endpoints = ["openid-configuration", "jwks", "token", "userinfo"];
    assert!(
        endpoints
            .iter()
            .all(|endpoint| pair.provider.request_count(endpoint) > 0)
    );
}

#[tokio::test]
async fn a_private_authority_is_trusted_only_if_configured() {
    let (authority, tls) = private_tls();
    let pair = Pair::with(
        ProviderFault::None,
        |builder| builder.tls(tls.clone()),
        |settings, _| settings.ca_pem = Some(authority.into_bytes()),
    );
    let pair = pair.await.ready().await;
    assert!(pair.provider.issuer().starts_with("https://"));
    pair.sign_in().await.unwrap();

    let (other_authority, _) = private_tls();
    for ca_pem in [None, Some(other_authority.into_bytes())] {
        let pair = Pair::with(
            ProviderFault::None,
            |builder| builder.tls(tls.clone()),
            |settings, _| settings.ca_pem = ca_pem,
        );
        let pair = pair.await;
        let untrusted = |status: &ProviderStatus| match status {
            ProviderStatus::NeverReached { reason } => {
                reason.contains("cannot be reached") && reason.contains("certificate")
            }
            _ => true,
        };
        assert!(!pair.wait_until(untrusted).await.is_usable());
    }
}

#[tokio::test]
async fn a_certificate_that_no_client_accepts_is_named() {
    let mut authority = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let of_authority = authority.self_signed(&key).unwrap();
    let version_1 = CertificateDer::from_pem_slice(VERSION_1.as_bytes()).unwrap();
    for (certificate, reason) in [
        (
            of_authority.der(),
            "that of a certificate authority (CA:TRUE)",
        ),
        (&version_1, "of an old version of X.509"),
    ] {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let tls = acceptor(certificate.clone(), key);
        let pem = of_authority.pem();
        let pair = Pair::with(
            ProviderFault::None,
            |builder| builder.tls(tls),
            |settings, _| settings.ca_pem = Some(pem.into_bytes()),
        );
        let pair = pair.await;
        let status = pair
            .wait_until(|status| matches!(status, ProviderStatus::NeverReached { reason: found } if found.contains(reason)))
            .await;
        assert!(!status.is_usable());
        let mut settings = super::settings(pair.provider.issuer());
        settings.ca_pem = Some(of_authority.pem().into_bytes());
        let probe = ProviderProbe::new(&settings, Clock::system(), Random::system()).unwrap();
        let error = probe.describe().await.unwrap_err();
        assert!(
            matches!(&error, ProviderProbeError::Certificate(found) if found.contains(reason)),
            "{error}"
        );
    }
}

#[tokio::test]
async fn requests_go_through_the_configured_proxy_by_connect() {
    let (clock, clock_control) = Clock::manual(Timestamp::from_unix(1_800_000_000));
    // The name does not resolve; only the proxy maps it to the provider.
    let builder = FaultyProvider::builder(&clock).issuer("http://idp.test/realms/main");
    let provider = builder.start(ProviderFault::None).await;
    let mut proxy = ConnectProxy::to(provider.address).await;
    let mut settings = super::settings(provider.issuer());
    let address = format!("http://user:p%40ss@{}", proxy.address);
    settings.http_proxy = Some(Url::parse(&address).unwrap());
    let pair = Pair::join(provider, settings, clock, clock_control)
        .ready()
        .await;
    pair.sign_in().await.unwrap();
    let head = proxy.heads.recv().await.unwrap();
    assert_eq!(head[0], "CONNECT idp.test:80 HTTP/1.1");
    assert!(head.contains(&"Proxy-Authorization: Basic dXNlcjpwQHNz".to_owned()));
}

/// A certificate for loopback, and its authority as PEM.
fn private_tls() -> (String, TlsAcceptor) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    (authority_pem, acceptor(leaf.der().clone(), key))
}

fn acceptor(certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    // Not checked: some of these certificates cannot be parsed.
    let signing_key = provider.key_provider.load_private_key(key).unwrap();
    let certified = CertifiedKey::new(vec![certificate], signing_key);
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    TlsAcceptor::from(Arc::new(config))
}

/// A certificate of version 1, as `openssl x509 -req -signkey` makes it. It is refused before its key counts.
const VERSION_1: &str = "-----BEGIN CERTIFICATE-----
MIIBMTCB1wIUTuz2r2l4Ok8x4JWbkG+kcQAsH3AwCgYIKoZIzj0EAwIwGjEYMBYG
A1UEAwwPc3NvLmV4YW1wbGUub3JnMCAXDTI2MTEyOTAxMDAwNFoYDzIxMjYxMTA1
MDEwMDA0WjAaMRgwFgYDVQQDDA9zc28uZXhhbXBsZS5vcmcwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAAQlOOV2FAVrDcdd3BotCaZWLutI6GoBKulVcBFO7GRqpwZr
BKawqll6LXPOsQLxwD2B3rQBydooJro48/IC3+ebMAoGCCqGSM49BAMCA0kAMEYC
IQDUs/85OijwPBLdbKu6fmhwR5HCpRss/2D+qhLre36ATQIhAKDzX48qcCN3iBZp
0ExEYxXSpR3+ks7g3uxyqJv6vEVP
-----END CERTIFICATE-----
";

/// The accept queue is full, so that the kernel drops further connection requests (`tcp_abort_on_overflow` is 0).
#[tokio::test]
async fn a_connection_that_is_not_accepted_fails_before_the_request_times_out() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, QUEUED_WITHIN) {
        queued.push(stream);
        assert!(queued.len() < 10, "the queue is never full");
    }
    let pair = Pair::with(
        ProviderFault::None,
        |builder| builder,
        |settings, _| {
            settings.timeout = Duration::from_secs(2);
            settings.internal_url = Some(Url::parse(&format!("http://{address}")).unwrap());
        },
    );
    let status = pair
        .await
        .wait_until(|status| matches!(status, ProviderStatus::NeverReached { reason } if !reason.contains("attempted")))
        .await;
    let ProviderStatus::NeverReached { reason } = status else {
        panic!("{status:?}");
    };
    assert!(
        reason.contains("the provider cannot be reached"),
        "{reason}"
    );
}

/// A loopback connection takes less than a millisecond, or several tries of a second.
const QUEUED_WITHIN: Duration = Duration::from_millis(200);
