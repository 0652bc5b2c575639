//! Many requests of one session at the moment at which it is due, over one store.

use std::iter;

use futures_util::future::join_all;
use model::{
    authorization_parameters::AuthorizationParameters,
    provider::SubjectScope,
    session::{SessionCodec, SessionSettings},
};
use oidc::{ClaimPaths, ClientAuth, OidcSettings};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::*;

/// The requests of a browser's tabs, or of a page with many parts.
const REQUESTS: usize = 100;

const SECOND: Duration = Duration::from_secs(1);

/// The part of a replica that revalidates sessions.
struct Replica {
    revalidations: Arc<Revalidations>,
    revocations: Arc<Revocations>,
}

// === impl Replica ===

impl Replica {
    fn start(
        provider: &Arc<RotatingProvider>,
        vault: &GrantVault,
        clock: &Clock,
        stop: &CancellationToken,
    ) -> Self {
        let (revocations, _) = Revocations::new(Duration::from_hours(24), clock.clone());
        let relying_party = RelyingParty::new(settings(), clock.clone(), Random::system()).unwrap();
        let context = RevalidationContext {
            relying_party: Arc::new(relying_party),
            schedule: RevalidationSchedule { every: EVERY },
            longest_session: Duration::from_hours(24),
            revocations: Arc::clone(&revocations),
            vault: vault.clone(),
            clock: clock.clone(),
            random: Random::system(),
        };
        let (revalidations, tasks) = Revalidations::new(vec![context], clock.clone());
        for task in tasks {
            let task = task.asking(Arc::clone(provider) as Arc<dyn SessionProvider>);
            tokio::spawn(task.run(Arc::default, stop.clone()));
        }
        Self {
            revalidations,
            revocations,
        }
    }
}

/// Sends the requests to so many replicas. Gives the longest time that one waited.
async fn longest_wait(latency: Duration, count: usize) -> Duration {
    let (clock, hand) = Clock::manual(Timestamp::from_unix(1_000_000));
    let stop = CancellationToken::new();
    let _stopping = stop.clone().drop_guard();
    let keys = Keyring::single([1; 32]);
    let sealer = keys.sealer(Purpose::RefreshGrant, "https://x");
    let vault = GrantVault::new(Arc::new(MemoryStore::new()), sealer);
    let provider = Arc::new(RotatingProvider::new(latency));
    let replica = || Replica::start(&provider, &vault, &clock, &stop);
    let replicas: Vec<_> = iter::repeat_with(replica).take(count).collect();
    let lifetimes = SessionSettings {
        idle: Duration::from_hours(12),
        absolute: Duration::from_hours(24),
    };
    let codec = SessionCodec::new(&keys, "https://x", lifetimes, clock.clone());
    let who = VerifiedIdentity::by_provider(person(0));
    let session = codec.begin(who, None, &Random::system()).refreshable();
    let grant = StoredGrant {
        token: "token 0".to_owned().into(),
        nonce: "n".to_owned(),
        identity: person(0),
        at: clock.now(),
        ends: clock.now().after(Duration::from_hours(24)),
        is_pending: false,
    };
    vault.save(session.id(), &grant, clock.now()).await.unwrap();

    hand.advance(EVERY);
    let passing = tokio::spawn(async move {
        loop {
            sleep(SECOND).await;
            hand.advance(SECOND);
        }
    });
    let request = |n: usize| {
        let (replica, session) = (&replicas[n % count], &session);
        async move {
            let began = Instant::now();
            replica.revalidations.revalidate_if_overdue(session).await;
            began.elapsed()
        }
    };
    let waits = join_all((0..REQUESTS).map(request)).await;
    // A slow answer comes after the pages.
    sleep(latency + 10 * SECOND).await;
    passing.abort();

    let asked = provider.asked.load(Ordering::SeqCst);
    assert_eq!(asked, 1, "{latency:?}, {count} replicas");
    for replica in &replicas {
        assert!(!replica.revocations.is_session_revoked(session.id()));
        let newer = replica.revalidations.newer(&session).unwrap();
        assert_eq!(*newer.identity(), person(1));
    }
    waits.into_iter().max().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_hundred_requests_of_a_due_session_redeem_one_token() {
    for latency in [100, 3_000, 10_000].map(Duration::from_millis) {
        for count in [1, 2] {
            let longest = longest_wait(latency, count).await;
            println!("{latency:?}, {count} replicas: a page waits {longest:?} at most");
            let most = if count == 1 { latency } else { PAGE_PATIENCE };
            // The timer of the runtime has a granularity of a millisecond.
            let most = most.min(PAGE_PATIENCE) + Duration::from_millis(1);
            assert!(
                longest <= most,
                "{latency:?}, {count} replicas: {longest:?}"
            );
        }
    }
}

fn settings() -> OidcSettings {
    let text = str::to_owned;
    let url = |path: &str| Url::parse("https://x").unwrap().join(path).unwrap();
    OidcSettings {
        listed: None,
        scope: SubjectScope::default(),
        issuer: text("https://provider.example"),
        internal_url: None,
        client_id: text("jitsi"),
        other_audiences: Vec::new(),
        client_secret: None,
        client_auth: ClientAuth::Basic,
        scopes: vec![text("openid")],
        parameters: AuthorizationParameters::default(),
        claims: ClaimPaths {
            id: text("sub"),
            name: text("name"),
            name_fallbacks: Vec::new(),
            email: text("email"),
            email_verified: text("email_verified"),
            avatar: text("picture"),
            region: None,
            groups: text("groups"),
        },
        algorithms: vec![text("RS256")],
        ca_pem: None,
        http_proxy: None,
        timeout: Duration::from_secs(10),
        leeway: Duration::from_mins(1),
        revalidate: Some(EVERY),
        push: oidc::PushPolicy::Never,
        form_post: false,
        silent_renewal: false,
        group_lookup: None,
        redirect_uri: url("/_gateway/callback"),
        signed_out_uri: url("/_gateway/signed-out"),
        insecure_trust_unverified_email: false,
    }
}
