mod concurrent_requests;
mod lost_responses;

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use cluster::store::MemoryStore;
use model::{
    clock::ClockControl,
    identity::{Identity, VerifiedIdentity},
    policy::Policy,
    seal::{Keyring, Purpose},
};
use oidc::{AuthenticationError, RefreshError, RefreshGrant, RefreshedUser, SessionEnd};

use super::{
    redemption::{Redeemed, Redeemer, Refreshing, SessionProvider},
    *,
};

const EVERY: Duration = Duration::from_mins(10);

/// A provider that accepts each token once, and takes its time.
struct RotatingProvider {
    /// The time of an answer, which passes at once in paused time.
    latency: Duration,
    accepted: Mutex<String>,
    asked: AtomicUsize,
    under_way: AtomicUsize,
    answer: Mutex<Option<RefreshError>>,
    claims_fail: Mutex<bool>,
}

struct Replicas {
    provider: Arc<RotatingProvider>,
    vault: GrantVault,
    one: Redeemer,
    other: Redeemer,
    hand: ClockControl,
    policy: Policy,
}

impl SessionProvider for RotatingProvider {
    fn refresh<'a>(&'a self, grant: RefreshGrant<'a>, _: &'a Policy) -> Refreshing<'a> {
        use secrecy::ExposeSecret;
        Box::pin(async move {
            // First, because a task that runs this ends quietly when it panics.
            let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            assert_eq!(
                self.under_way.fetch_add(1, Ordering::SeqCst),
                0,
                "one at a time"
            );
            tokio::time::sleep(self.latency).await;
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            if let Some(error) = self.answer.lock().unwrap().take() {
                return Err(error);
            }
            let mut accepted = self.accepted.lock().unwrap();
            if grant.token.expose_secret() != *accepted {
                return Err(RefreshError::Ended(SessionEnd::GrantRefused));
            }
            *accepted = format!("token {number}");
            let identity = if *self.claims_fail.lock().unwrap() {
                Err(AuthenticationError::UserinfoUnreadable)
            } else {
                Ok(Some(VerifiedIdentity::by_provider(person(number))))
            };
            Ok(RefreshedUser {
                identity,
                refresh_token: Some(accepted.clone().into()),
            })
        })
    }
}

impl RotatingProvider {
    fn new(latency: Duration) -> Self {
        Self {
            latency,
            accepted: Mutex::new("token 0".to_owned()),
            asked: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            answer: Mutex::new(None),
            claims_fail: Mutex::new(false),
        }
    }
}

fn person(number: usize) -> Identity {
    Identity {
        subject: "ann".to_owned(),
        groups: vec![format!("group {number}")],
        ..Identity::default()
    }
}

fn id() -> SessionId {
    SessionId::from("one")
}

impl Replicas {
    async fn start() -> Self {
        let (clock, hand) = Clock::manual(Timestamp::from_unix(1_000_000));
        let sealer = Keyring::single([1; 32]).sealer(Purpose::RefreshGrant, "https://x");
        let vault = GrantVault::new(Arc::new(MemoryStore::new()), sealer);
        let provider = Arc::new(RotatingProvider::new(Duration::from_secs(3)));
        let redeemer = Redeemer {
            provider: Arc::clone(&provider) as Arc<dyn SessionProvider>,
            vault: vault.clone(),
            schedule: RevalidationSchedule { every: EVERY },
            clock: clock.clone(),
        };
        let grant = StoredGrant {
            token: "token 0".to_owned().into(),
            nonce: "n".to_owned(),
            identity: person(0),
            at: clock.now(),
            ends: clock.now().after(Duration::from_hours(24)),
            is_pending: false,
        };
        vault.save(&id(), &grant, clock.now()).await.unwrap();
        Self {
            provider,
            vault,
            one: redeemer.clone(),
            other: redeemer,
            hand,
            policy: Policy::default(),
        }
    }

    fn asked(&self) -> usize {
        self.provider.asked.load(Ordering::SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_replicas_one_redeems_and_the_other_learns_the_answer() {
    let replicas = Replicas::start().await;
    for round in 1..=20 {
        replicas.hand.advance(EVERY);
        let id = id();
        let (one, other) = tokio::join!(
            replicas.one.redeem(&id, &replicas.policy),
            replicas.other.redeem(&id, &replicas.policy),
        );
        assert!(
            matches!(one, Ok(Redeemed::Confirmed { shared: false, .. })),
            "{one:?}"
        );
        assert!(matches!(other, Ok(Redeemed::Busy)), "{other:?}");
        let later = replicas.other.redeem(&id, &replicas.policy).await;
        let Ok(Redeemed::Confirmed {
            grant,
            shared: true,
        }) = later
        else {
            panic!("{later:?}");
        };
        assert_eq!(grant.identity, person(round));
        assert_eq!(replicas.asked(), round);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_is_not_asked_for_before_it_is_time() {
    let replicas = Replicas::start().await;
    replicas.hand.advance(EVERY / 2);
    let early = replicas.one.redeem(&id(), &replicas.policy).await;
    assert!(matches!(
        early,
        Ok(Redeemed::Confirmed { shared: true, .. })
    ));
    assert_eq!(replicas.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn only_a_refused_grant_ends_a_session() {
    let replicas = Replicas::start().await;
    replicas.hand.advance(EVERY);
    let redeem = async || replicas.one.redeem(&id(), &replicas.policy).await;
    for error in [
        AuthenticationError::ProviderTrouble,
        AuthenticationError::ClientRefused,
        AuthenticationError::TokenRefused,
        AuthenticationError::TokenUnreadable,
        AuthenticationError::NotReady,
    ] {
        *replicas.provider.answer.lock().unwrap() = Some(RefreshError::Unanswered(error));
        assert!(redeem().await.is_err());
        assert!(replicas.vault.load(&id()).await.unwrap().is_some());
    }
    // No lease is left behind.
    assert!(matches!(
        redeem().await,
        Ok(Redeemed::Confirmed { shared: false, .. })
    ));
    replicas.hand.advance(EVERY);
    "another".clone_into(&mut replicas.provider.accepted.lock().unwrap());
    let ended = replicas.one.redeem(&id(), &replicas.policy).await;
    assert!(
        matches!(ended, Ok(Redeemed::Ended(SessionEnd::GrantRefused))),
        "{ended:?}"
    );
    assert!(replicas.vault.load(&id()).await.unwrap().is_none());
    let none = replicas.one.redeem(&id(), &replicas.policy).await;
    assert!(matches!(none, Ok(Redeemed::NoGrant)));
}

#[tokio::test(start_paused = true)]
async fn a_rotated_token_is_kept_although_its_claims_cannot_be_used() {
    let replicas = Replicas::start().await;
    replicas.hand.advance(EVERY);
    *replicas.provider.claims_fail.lock().unwrap() = true;
    assert!(replicas.one.redeem(&id(), &replicas.policy).await.is_err());
    *replicas.provider.claims_fail.lock().unwrap() = false;
    let retried = replicas.other.redeem(&id(), &replicas.policy).await;
    assert!(
        matches!(retried, Ok(Redeemed::Confirmed { shared: false, .. })),
        "{retried:?}"
    );
}
