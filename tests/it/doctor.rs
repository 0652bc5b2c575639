//! The doctor against a deployment of the gateway and stand-ins.

use std::{sync::Mutex, time::Duration};

use config::{Config, JitsiConfig};
use devkit::demo::{Demo, DemoPorts};
use doctor::{
    Check, CheckSelection, DoctorOptions, DoctorReport, Finding, TrustAnchors, examine_trusting,
};
use jitsi_auth_gateway::app::{self, StartOptions};
use model::{
    clock::Clock,
    policy::{AuthenticationRequirement, Policy, RequirementScope, Rule},
    random::Random,
    route::{LocationAccess, LocationPath, LocationUpstream, SiteLocation},
};
use oidc::{ListedProvider, OidcSettings};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::directory::{Account, AccountKey, Directory, DirectoryFault};

/// A running gateway with stand-ins for provider and Jitsi.
struct Deployment {
    config: Config,
    trust: TrustAnchors,
    running: app::GatewayHandle,
    _stop: DropGuard,
}

// === impl Deployment ===

impl Deployment {
    /// Retries: between the search for free ports and their use another process may take them.
    async fn start() -> Self {
        for _ in 0..10 {
            if let Some(deployment) = Self::try_start().await {
                return deployment;
            }
        }
        panic!("no free port");
    }

    async fn try_start() -> Option<Self> {
        let parts = Demo::prepare(DemoPorts::Free, None, Clock::system(), Random::system())
            .await
            .ok()?;
        let file = &parts.config.server.tls.as_ref().unwrap().certificates[0].certificate;
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(file).unwrap())
            .unwrap();
        let running = app::start(&parts.config, StartOptions::default()).ok()?;
        let stop = CancellationToken::new();
        tokio::spawn(parts.services.run(stop.clone()));
        Some(Self {
            running,
            config: parts.config,
            trust: TrustAnchors::new(roots).unwrap(),
            _stop: stop.drop_guard(),
        })
    }

    async fn examine(&self, change: impl FnOnce(&mut Config)) -> DoctorReport {
        let mut config = self.config.clone();
        change(&mut config);
        let options = DoctorOptions {
            selection: CheckSelection::default(),
            deep: true,
            idle: None,
            jicofo: None,
            recorder: None,
            progress: &|_| {},
        };
        let (clock, random) = (Clock::system(), Random::system());
        Box::pin(examine_trusting(
            &config,
            &options,
            &self.trust,
            &clock,
            &random,
        ))
        .await
        .unwrap()
    }

    /// The ids of the findings after a change of the configuration.
    async fn found(&self, change: impl FnOnce(&mut Config)) -> Vec<String> {
        let report = self.examine(change).await;
        let ids = report.findings().iter().map(Finding::id);
        // The demonstration's certificate expires within a week, its provider has no back-channel, and its
        // web server and Prosody are one.
        ids.filter(|id| !["C2.soon", "C5.no-back-channel", "W3.signalling"].contains(&&**id))
            .collect()
    }
}

fn oidc(config: &mut Config) -> &mut OidcSettings {
    let settings = config.oidc.first_mut();
    settings.expect("the demonstration has a provider")
}

/// A second provider, which does not answer.
fn unreachable(config: &Config) -> OidcSettings {
    let listed = ListedProvider {
        id: "firm".parse().unwrap(),
        name: "Example Ltd".to_owned(),
        email_domains: Vec::new(),
    };
    OidcSettings {
        issuer: "http://127.0.0.1:1".to_owned(),
        listed: Some(listed),
        ..config.oidc[0].clone()
    }
}

fn jitsi(config: &mut Config) -> &mut JitsiConfig {
    match &mut config.backend {
        config::BackendConfig::Jitsi(jitsi) => jitsi,
        config::BackendConfig::Jaas(_) => unreachable!("the demonstration has a Jitsi"),
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
    let location = SiteLocation {
        path: LocationPath::parse("/file-service/").unwrap(),
        upstream: LocationUpstream::Server("127.0.0.1:1".parse().unwrap()),
        access: LocationAccess::InRoom,
        methods: vec![http::Method::GET],
        websocket: false,
        keep_authorization: true,
    };
    let found = site.found(|config| config.locations = vec![location]).await;
    assert_eq!(found, ["W4.refused"]);
    let jicofo = |address| move |config: &mut Config| jitsi(config).upstream.jicofo = Some(address);
    let found = site.found(jicofo("127.0.0.1:1".parse().unwrap())).await;
    assert_eq!(found, ["W5.refused"]);
    let web = jitsi(&mut site.config.clone()).upstream.web.clone();
    assert_eq!(site.found(jicofo(web)).await, ["W5.unused"]);
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
    let key = AccountKey::generate();
    let directory = Directory::start(&Clock::system()).await;
    for (accounts, expected) in [
        (vec![], &["C4.groups"][..]),
        (vec![Account::new(&key, None)], &[]),
    ] {
        directory.state().accounts = accounts;
        let lookup = key.lookup(&directory, None);
        let found = site.found(|config| oidc(config).group_lookup = Some(lookup));
        assert_eq!(found.await, expected);
    }
    directory.state().fault = DirectoryFault::Status(403);
    let lookup = key.lookup(&directory, None);
    let report = site.examine(|config| oidc(config).group_lookup = Some(lookup));
    let ids: Vec<_> = report.await.findings().iter().map(Finding::id).collect();
    assert!(ids.iter().any(|id| id == "C4.groups"), "{ids:?}");
    // The provider's other checks go on.
    assert!(ids.iter().any(|id| id == "C5.no-back-channel"), "{ids:?}");
    let demanding = |config: &mut Config| {
        let requirement = AuthenticationRequirement {
            acr: vec!["gold".to_owned()],
            amr: Vec::new(),
            max_age: None,
            leeway: Duration::ZERO,
            scope: RequirementScope::Members,
        };
        let rules = config.policy.rules().iter().cloned().map(|rule| Rule {
            requirement: Some(requirement.clone()),
            ..rule
        });
        config.policy = Policy::new(rules.collect());
    };
    assert_eq!(site.found(demanding).await, ["C6.acr"]);
    let report = site
        .examine(|config| {
            let firm = unreachable(config);
            config.oidc.push(firm);
        })
        .await;
    let faults = report.findings().iter();
    let about_provider = faults.filter(|finding| finding.id().starts_with("C4"));
    let meanings: Vec<&str> = about_provider.map(|finding| &*finding.meaning).collect();
    let [meaning] = meanings[..] else {
        panic!("one of the two has a fault: {meanings:?}");
    };
    assert!(meaning.starts_with("provider firm: "), "{meaning}");
    site.running.stop(CancellationToken::new()).await;
}

#[tokio::test]
async fn only_selected_checks_are_reported_and_shown_as_progress() {
    let site = Deployment::start().await;
    let begun = Mutex::new(Vec::new());
    let options = DoctorOptions {
        selection: "B1,L1".parse().unwrap(),
        deep: false,
        idle: None,
        jicofo: None,
        recorder: None,
        progress: &|check| begun.lock().unwrap().push(check),
    };
    let (clock, random) = (Clock::system(), Random::system());
    let report = Box::pin(examine_trusting(
        &site.config,
        &options,
        &site.trust,
        &clock,
        &random,
    ))
    .await
    .unwrap();
    let checks: Vec<_> = report.outcomes().iter().map(|(check, _)| *check).collect();
    assert_eq!(checks, [Check::BoshEndpoint, Check::LoggedTokens]);
    let mut begun = begun.into_inner().unwrap();
    begun.sort_unstable();
    assert_eq!(begun, [Check::BoshEndpoint, Check::LoggedTokens]);
    site.running.stop(CancellationToken::new()).await;
}
