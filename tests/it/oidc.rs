//! The relying party against a provider with configurable faults.

mod lies;
mod logout;
mod network;
mod outages;
mod sign_in;

use std::{sync::Arc, time::Duration};

use model::{
    clock::{Clock, Hand, Timestamp},
    policy::{Enter, Glob, Policy, Rule},
    random::Random,
};
use oidc::{
    Callback, ClaimPaths, ClientAuth, RelyingParty, Settings, SignInFailure, SignInOptions,
    SignedIn, Status,
};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use crate::support::{
    lie::Lie,
    lying_provider::{Builder, CLIENT_ID, CLIENT_SECRET, LyingProvider},
};

/// A relying party and its provider.
struct Pair {
    provider: LyingProvider,
    party: Arc<RelyingParty>,
    clock_control: Hand,
    _stop: DropGuard,
}

// === impl Pair ===

impl Pair {
    async fn start(lie: Lie) -> Self {
        Self::with(lie, |builder| builder, |_, _| {}).await
    }

    /// With changes to the provider and to the settings.
    async fn with(
        lie: Lie,
        provider: impl FnOnce(Builder) -> Builder,
        change: impl FnOnce(&mut Settings, &LyingProvider),
    ) -> Self {
        let (clock, clock_control) = Clock::manual(Timestamp::from_unix(1_800_000_000));
        let provider = provider(LyingProvider::builder(&clock)).start(lie).await;
        let mut settings = settings(provider.issuer());
        change(&mut settings, &provider);
        Self::join(provider, settings, clock, clock_control)
    }

    fn join(
        provider: LyingProvider,
        settings: Settings,
        clock: Clock,
        clock_control: Hand,
    ) -> Self {
        let party = RelyingParty::new(settings, clock, Random::predictable(1)).unwrap();
        let party = Arc::new(party);
        let stop = CancellationToken::new();
        tokio::spawn(Arc::clone(&party).run(stop.clone()));
        Self {
            provider,
            party,
            clock_control,
            _stop: stop.drop_guard(),
        }
    }

    /// Waits until discovery has succeeded.
    async fn ready(self) -> Self {
        self.wait_until(|status| *status == Status::Ready).await;
        self
    }

    async fn wait_until(&self, wanted: impl FnMut(&Status) -> bool) -> Status {
        let mut status = self.party.watch_status();
        let reached = tokio::time::timeout(Duration::from_secs(20), status.wait_for(wanted));
        let reached = reached.await;
        reached
            .unwrap_or_else(|_| panic!("the status stayed {:?}", self.party.status()))
            .unwrap()
            .clone()
    }

    /// Runs the authorization request and returns the callback.
    fn visit_provider(&self) -> Callback {
        let options = SignInOptions::default();
        let address = self
            .party
            .authorization_url(STATE, NONCE, VERIFIER, &options)
            .unwrap();
        Callback::parse(&self.provider.authorize(&address)).unwrap()
    }

    /// Runs the sign-in on a task of its own, as the gateway does: a disconnect does not cancel it.
    async fn finish(&self, answer: &Callback) -> Result<SignedIn, SignInFailure> {
        let (party, answer) = (Arc::clone(&self.party), answer.clone());
        let finishing = tokio::spawn(async move {
            let policy = policy(&["group:*"]);
            party.finish(&answer, NONCE, VERIFIER, &policy).await
        });
        finishing.await.unwrap()
    }

    async fn sign_in(&self) -> Result<SignedIn, SignInFailure> {
        self.finish(&self.visit_provider()).await
    }

    /// The code of the expected failure.
    async fn failure(&self) -> &'static str {
        match self.sign_in().await {
            Ok(signed_in) => panic!("{} was signed in", signed_in.who.subject),
            Err(failure) => failure.as_str(),
        }
    }
}

fn settings(issuer: &str) -> Settings {
    let text = str::to_owned;
    Settings {
        issuer: text(issuer),
        internal_url: None,
        client_id: text(CLIENT_ID),
        client_secret: Some(CLIENT_SECRET.into()),
        client_auth: ClientAuth::Basic,
        scopes: ["openid", "profile"].map(text).to_vec(),
        claims: ClaimPaths {
            id: text("sub"),
            name: text("name"),
            email: text("email"),
            email_verified: text("email_verified"),
            avatar: text("picture"),
            groups: text("groups"),
        },
        algorithms: ["RS256", "PS256", "ES256", "ES384", "EdDSA"]
            .map(text)
            .to_vec(),
        ca_pem: None,
        http_proxy: None,
        timeout: Duration::from_secs(10),
        leeway: Duration::from_mins(1),
        redirect_uri: Url::parse("https://meet.example.org/_gateway/callback").unwrap(),
        signed_out_uri: Url::parse("https://meet.example.org/_gateway/signed-out").unwrap(),
        insecure_trust_unverified_email: false,
    }
}

/// A rule that admits everybody and takes moderators by condition.
fn policy(conditions: &[&str]) -> Policy {
    let moderators = conditions.iter().map(|text| text.parse().unwrap());
    Policy::new(vec![Rule {
        moderators: moderators.collect(),
        ..Rule::letting_in(
            Glob::folded("*"),
            Enter::Where(vec!["member".parse().unwrap()]),
        )
    }])
}

const STATE: &str = "flow.state-of-this-browser";
const NONCE: &str = "nonce-of-this-sign-in";
const VERIFIER: &str = "verifier-of-this-sign-in-which-has-43-letters";
