//! A deployment of two replicas in which everything changes for minutes: people come, talk, break off and are revoked,
//! rules and certificates are replaced, and so is one of the replicas. `tests/README.md` has the command.
//!
//! An error that a person meets is expected if it has a cause at that moment, and only then:
//!
//! * a stream ends as going away, or a BOSH request is sent again: the person's replica was stopped in this visit, or
//!   less than 30 s before it began;
//! * a person is signed out or refused: the session began before a revocation of this person;
//! * a person is refused by rules: they were closed, or changing, at some time since the visit began.
//!
//! A person who talks 20 s after a revocation, or enters a room that is closed at all replicas, is an error as well.

mod audit_trail;
mod disturbances;
mod expectations;
mod figures;
mod person;
mod replica;
mod signalling;

use std::{path::Path, sync::Arc, time::Duration};

use devkit::provider::DevAccount;
use model::clock::Clock;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::{
    audit_trail::AuditTrail,
    disturbances::Disturbances,
    expectations::Expectations,
    figures::SoakFigures,
    person::{Person, SoakContext, is_guest, is_staff},
    replica::{Replica, until},
};
use crate::support::{
    certificate_directory::{CertificateDirectory, CertificatePair},
    redis_server::RedisServer,
    site::{Site, SiteOptions},
};

const PEOPLE: usize = 200;

/// People of the rooms that close.
const CLOSING_PEOPLE: usize = 40;

fn rules(redis: &RedisServer, audit: &Path) -> String {
    format!(
        r#"
[store]
kind = "redis"
url = "{}"
[oidc]
# All sign in at the beginning.
timeout = "20s"
[log]
access = false
audit_file = "{}"
[listen]
drain_window = "5s"
[[room]]
match = "closing*"
enter = "member"
[[room]]
match = "open*"
enter = "guest"
start = "anyone"
[[room]]
match = "*"
enter = "member"
# Sessions keep only the groups that a rule names.
moderators = ["group:staff"]
"#,
        redis.url(),
        audit.display()
    )
}

fn duration() -> Duration {
    #[expect(
        clippy::disallowed_methods,
        reason = "the duration of a test is no configuration"
    )]
    let seconds = std::env::var("GATEWAY_SOAK_SECONDS");
    let seconds = seconds.map_or(120, |text| text.parse().expect("a number of seconds"));
    Duration::from_secs(seconds)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes, and needs Redis: tests/README.md"]
async fn a_deployment_in_which_everything_changes_loses_nothing() {
    let redis = RedisServer::start();
    let audit = tempfile::tempdir().unwrap();
    let audit = audit.path().join("audit.json");
    let (_, control) = Clock::manual(Clock::system().now());
    let options = SiteOptions::default()
        .rules(&rules(&redis, &audit))
        .clock(Clock::system(), control);
    let site = Site::with(options).await.ready().await;
    for number in (0..PEOPLE).filter(|number| !is_guest(*number)) {
        let groups: &[&str] = if is_staff(number) { &["staff"] } else { &[] };
        let account = DevAccount::new(&format!("person{number}"), "Person", groups);
        site.provider.set_account(account);
    }
    let config = site.file("gateway.toml");
    let replicas = [Replica::start(&config).await, Replica::start(&config).await];
    let pairs = [CertificatePair::new(), CertificatePair::new()];
    let mut browser = site.browser().at(replicas[1].address());
    for pair in &pairs {
        browser.trust(pair.der());
    }

    let context = Arc::new(SoakContext {
        expectations: Expectations::new(),
        figures: SoakFigures::default(),
        gateways: replicas.each_ref().map(Replica::address),
        stop: CancellationToken::new(),
    });
    let idle = replicas[1].vitals();
    let mut people = JoinSet::new();
    for number in 0..PEOPLE {
        let person = Person::new(number, browser.clone(), Arc::clone(&context));
        people.spawn(person.stay());
    }
    let mut disturbances = Disturbances {
        replicas,
        context: Arc::clone(&context),
        provider: Arc::clone(&site.provider),
        browser,
        config,
        directory: CertificateDirectory::new(site.file("")),
        pairs,
        changes: 0,
        replacements: 0,
        revocations: 0,
    };
    let course = disturbances.run(duration()).await;
    context.stop.cancel();
    let figures = &context.figures;
    while let Some(person) = people.join_next().await {
        if let Err(panic) = person {
            figures.fail(panic.to_string());
        }
    }

    let Disturbances {
        replicas,
        changes,
        replacements,
        revocations,
        ..
    } = disturbances;
    println!(
        "{PEOPLE} people, {changes} changes, {replacements} replacements, {revocations} revocations"
    );
    println!("{figures}");
    println!(
        "before: {idle}; start: {}; middle: {}; end: {}",
        course.start, course.middle, course.end
    );
    for failure in figures.unexpected().iter().take(20) {
        println!("unexpected: {failure}");
    }
    until("all connections are closed", || {
        replicas[1].gauge("jitsi_auth_gateway_connections_open") == 0.0
    })
    .await;
    // A connection that its peer has closed is a descriptor for some moments more.
    until("the descriptors are those of before", || {
        replicas[1].vitals().are_as_idle_as(&idle)
    })
    .await;
    println!("all have gone: {}", replicas[1].vitals());
    for replica in replicas {
        replica.stop().await;
    }
    let trail = AuditTrail::read(&audit);
    println!("audit: {trail}");
    println!("unbalanced: {:#?}", trail.unbalanced());
    assert_eq!(figures.unexpected(), [""; 0]);
    assert_eq!(figures.missing(), [""; 0]);
    assert!(course.end.are_as_flat_as(&course.start));
    assert_eq!(trail.unbalanced(), []);
}
