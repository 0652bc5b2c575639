//! The certificate by which the provider knows the gateway.

use http::StatusCode;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use crate::support::site::{Site, SiteOptions};

#[tokio::test]
async fn the_end_of_a_client_certificate_is_a_metric_and_a_reason_in_readyz() {
    let name = "jitsi_auth_gateway_provider_client_certificate_not_after_timestamp_seconds";
    let without = Site::start().await.ready().await;
    assert!(!without.metrics().await.contains(name));
    let key = KeyPair::generate().unwrap();
    for (year, end, is_expired) in [
        (2020, 1_577_836_800_i64, true),
        (4000, 64_060_588_800, false),
    ] {
        let mut params = CertificateParams::new(["jitsi".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        let certificate = params.self_signed(&key).unwrap().pem();
        let options = SiteOptions::default().client_key(&key.serialize_pem(), &certificate);
        let site = Site::with(options).await.ready().await;
        let metrics = site.metrics().await;
        assert!(
            metrics.contains(&format!("\n{name}{{}} {end}\n")),
            "{metrics}"
        );
        let (status, body) = site.readiness().await;
        assert_eq!(status, StatusCode::OK);
        let expected = format!(
            "the certificate of the client at {} expired at 2020-01-01T00:00:00Z; the provider refuses it",
            site.issuer()
        );
        let reasons = body["reasons"].as_array().unwrap();
        assert_eq!(
            reasons.iter().any(|reason| *reason == expected),
            is_expired,
            "{body}"
        );
    }
}
