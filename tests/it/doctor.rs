//! The doctor against a deployment of stand-ins.

use std::sync::Mutex;

use config::{Config, Jitsi};
use devkit::demo::{DemoParts, Ports};
use doctor::{Check, Order, Report, Selection, Trust, examine_trusting};
use jitsi_auth_gateway::app::{self, Surroundings};
use model::{clock::Clock, random::Random};
use oidc::Settings;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A deployment of stand-ins.
struct Deployment {
    config: Config,
    trust: Trust,
    running: app::Running,
    _stop: DropGuard,
}

// === impl Deployment ===

impl Deployment {
    /// Free ports are chosen before they are bound, so another test may take one in between.
    async fn start() -> Self {
        for _ in 0..10 {
            if let Some(deployment) = Self::try_start().await {
                return deployment;
            }
        }
        panic!("no port stays free");
    }

    async fn try_start() -> Option<Self> {
        let parts = DemoParts::prepare(Ports::Free, Clock::system(), Random::system())
            .await
            .ok()?;
        let file = &parts.config.server.tls.as_ref().unwrap().certificate;
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(file).unwrap())
            .unwrap();
        let running = app::start(&parts.config, Surroundings::default()).ok()?;
        let stop = CancellationToken::new();
        tokio::spawn(parts.neighbours.run(stop.clone()));
        Some(Self {
            running,
            config: parts.config,
            trust: Trust::new(roots).unwrap(),
            _stop: stop.drop_guard(),
        })
    }

    async fn examine(&self, change: impl FnOnce(&mut Config)) -> Report {
        let mut config = self.config.clone();
        change(&mut config);
        let order = Order {
            selection: Selection::default(),
            deep: true,
            slow: None,
            jicofo: None,
            progress: &|_| {},
        };
        let (clock, random) = (Clock::system(), Random::system());
        Box::pin(examine_trusting(
            &config,
            &order,
            &self.trust,
            &clock,
            &random,
        ))
        .await
        .unwrap()
    }

    /// The ids of the findings after a change.
    async fn found(&self, change: impl FnOnce(&mut Config)) -> Vec<String> {
        let report = self.examine(change).await;
        let ids = report.findings().iter().map(|own| own.id.clone());
        // The demo's certificate is valid for a week, and its provider has no back-channel logout.
        ids.filter(|id| !["C2.soon", "C5.no-back-channel"].contains(&&**id))
            .collect()
    }
}

fn oidc(config: &mut Config) -> &mut Settings {
    let settings = config.oidc.as_mut();
    settings.expect("the demonstration has a provider")
}

fn jitsi(config: &mut Config) -> &mut Jitsi {
    match &mut config.backend {
        config::Backend::Jitsi(jitsi) => jitsi,
        config::Backend::Jaas(_) => unreachable!("the demonstration has a Jitsi"),
    }
}

#[tokio::test]
async fn each_fault_has_its_finding_and_a_healthy_site_none() {
    let site = Deployment::start().await;
    let found = site.found(|_| {}).await;
    assert!(found.is_empty(), "{found:?}");
    let found = site
        .found(|config| jitsi(config).token.issuer = "other".to_owned())
        .await;
    assert_eq!(found, ["A1.issuer"]);
    let found = site
        .found(|config| jitsi(config).token.audience = "other".to_owned())
        .await;
    assert_eq!(found, ["A1.audience"]);
    let found = site
        .found(|config| jitsi(config).upstream.xmpp = "127.0.0.1:1".parse().unwrap())
        .await;
    assert_eq!(found, ["B1.refused"]);
    let found = site
        .found(|config| jitsi(config).upstream.web = "127.0.0.1:1".parse().unwrap())
        .await;
    assert_eq!(found, ["W1.refused"]);
    let found = site
        .found(|config| oidc(config).client_id = "other".to_owned())
        .await;
    assert_eq!(found, ["C4.client"]);
    let found = site
        .found(|config| oidc(config).client_secret = Some("other".to_owned().into()))
        .await;
    assert_eq!(found, ["C4.secret"]);
    let found = site
        .found(|config| oidc(config).redirect_uri.set_path("/elsewhere"))
        .await;
    assert_eq!(found, ["C4.redirect"]);
    site.running.stop(CancellationToken::new()).await;
}

#[tokio::test]
async fn only_the_selected_checks_run() {
    let site = Deployment::start().await;
    let seen = Mutex::new(Vec::new());
    let order = Order {
        selection: "B1,L1".parse().unwrap(),
        deep: false,
        slow: None,
        jicofo: None,
        progress: &|check| seen.lock().unwrap().push(check),
    };
    let (clock, random) = (Clock::system(), Random::system());
    let report = Box::pin(examine_trusting(
        &site.config,
        &order,
        &site.trust,
        &clock,
        &random,
    ))
    .await
    .unwrap();
    let checks: Vec<_> = report.outcomes().iter().map(|(check, _)| *check).collect();
    assert_eq!(checks, [Check::B1, Check::L1]);
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, [Check::B1, Check::L1]);
    site.running.stop(CancellationToken::new()).await;
}
