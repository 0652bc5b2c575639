//! The relying party against a provider that violates the specification.

mod client_assertions;
mod conformance_plans;
mod deviations;
mod group_lookup;
mod logout;
mod network;
mod outages;
mod protocol_violations;
mod sign_in;

use std::{sync::Arc, time::Duration};

use model::{
    clock::{Clock, ClockControl, Timestamp},
    policy::{EntryRule, Glob, Policy, Rule},
    random::Random,
};
use oidc::{
    AuthenticatedUser, AuthenticationError, AuthorizationOptions, Callback, ClaimPaths, ClientAuth,
    OidcSettings, ProviderStatus, RelyingParty,
};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use crate::support::{
    faulty_provider::{Builder, CLIENT_ID, CLIENT_SECRET, FaultyProvider},
    provider_fault::ProviderFault,
};

/// A relying party and its provider.
struct Pair {
    provider: FaultyProvider,
    party: Arc<RelyingParty>,
    clock_control: ClockControl,
    _stop: DropGuard,
}

// === impl Pair ===

impl Pair {
    async fn start(fault: ProviderFault) -> Self {
        Self::with(fault, |builder| builder, |_, _| {}).await
    }

    /// Starts a pair with a changed provider and changed settings.
    async fn with(
        fault: ProviderFault,
        provider: impl FnOnce(Builder) -> Builder,
        change: impl FnOnce(&mut OidcSettings, &FaultyProvider),
    ) -> Self {
        let (clock, clock_control) = Clock::manual(Timestamp::from_unix(1_800_000_000));
        let provider = provider(FaultyProvider::builder(&clock)).start(fault).await;
        let mut settings = settings(provider.issuer());
        change(&mut settings, &provider);
        Self::join(provider, settings, clock, clock_control)
    }

    fn join(
        provider: FaultyProvider,
        settings: OidcSettings,
        clock: Clock,
        clock_control: ClockControl,
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

    /// Waits for the first successful discovery.
    async fn ready(self) -> Self {
        self.wait_until(|status| *status == ProviderStatus::Ready)
            .await;
        self
    }

    /// Yields to the relying party's task until its status is as wanted.
    async fn wait_until(&self, wanted: impl Fn(&ProviderStatus) -> bool) -> ProviderStatus {
        let reached = async {
            loop {
                let status = self.party.status();
                if wanted(&status) {
                    return status;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reached)
            .await
            .unwrap_or_else(|_| panic!("the status stayed {:?}", self.party.status()))
    }

    /// The provider's response to an authorization request.
    fn visit_provider(&self) -> Callback {
        let address = self
            .party
            .authorization_url(STATE, NONCE, VERIFIER, &AuthorizationOptions::default())
            .unwrap();
        Callback::parse(&self.provider.authorize(&address)).unwrap()
    }

    /// On a separate task, as the gateway does, so that a disconnecting client does not cancel it.
    async fn finish(&self, answer: &Callback) -> Result<AuthenticatedUser, AuthenticationError> {
        self.finish_under("group:*", answer).await
    }

    /// [`finish`](Self::finish) with another condition of moderators.
    async fn finish_under(
        &self,
        condition: &str,
        answer: &Callback,
    ) -> Result<AuthenticatedUser, AuthenticationError> {
        let (party, answer) = (Arc::clone(&self.party), answer.clone());
        let policy = policy(&[condition]);
        let finishing =
            tokio::spawn(async move { party.finish(&answer, NONCE, VERIFIER, &policy).await });
        finishing.await.unwrap()
    }

    async fn sign_in(&self) -> Result<AuthenticatedUser, AuthenticationError> {
        self.finish(&self.visit_provider()).await
    }

    /// A sign-in with another condition of moderators.
    async fn sign_in_under(
        &self,
        condition: &str,
    ) -> Result<AuthenticatedUser, AuthenticationError> {
        self.finish_under(condition, &self.visit_provider()).await
    }

    /// The code of an expected failure.
    async fn failure(&self) -> &'static str {
        self.failure_under("group:*").await
    }

    /// [`failure`](Self::failure) with another condition of moderators.
    async fn failure_under(&self, condition: &str) -> &'static str {
        match self.sign_in_under(condition).await {
            Ok(signed_in) => panic!("{} was signed in", signed_in.identity.subject),
            Err(failure) => failure.as_str(),
        }
    }
}

fn settings(issuer: &str) -> OidcSettings {
    let text = str::to_owned;
    OidcSettings {
        listed: None,
        scope: model::provider::SubjectScope::default(),
        issuer: text(issuer),
        internal_url: None,
        client_id: text(CLIENT_ID),
        client_secret: Some(CLIENT_SECRET.into()),
        other_audiences: Vec::new(),
        client_auth: ClientAuth::Basic,
        scopes: ["openid", "profile"].map(text).to_vec(),
        parameters: model::authorization_parameters::AuthorizationParameters::default(),
        claims: ClaimPaths {
            id: text("sub"),
            name: text("name"),
            name_fallbacks: vec!["preferred_username".to_owned(), "nickname".to_owned()],
            email: text("email"),
            email_verified: text("email_verified"),
            avatar: text("picture"),
            region: None,
            groups: text("groups"),
        },
        algorithms: ["RS256", "PS256", "ES256", "ES384", "EdDSA"]
            .map(text)
            .to_vec(),
        ca_pem: None,
        http_proxy: None,
        timeout: Duration::from_secs(10),
        leeway: Duration::from_mins(1),
        revalidate: None,
        push: oidc::PushPolicy::Never,
        form_post: false,
        silent_renewal: false,
        group_lookup: None,
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
        ..Rule::new(
            Glob::folded("*"),
            EntryRule::Where(vec!["member".parse().unwrap()]),
        )
    }])
}

const STATE: &str = "flow.state-of-this-browser";
const NONCE: &str = "nonce-of-this-sign-in";
const VERIFIER: &str = "verifier-of-this-sign-in-which-has-43-letters";
