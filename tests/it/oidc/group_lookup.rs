//! Groups by the provider's directory.

mod google;
mod graph;
mod outages;

use std::{sync::Arc, time::Duration};

use model::clock::{Clock, Timestamp};
use oidc::GroupLookup;
use serde_json::{Value, json};
use url::Url;

use super::{Pair, settings};
use crate::support::{
    directory::{Account, AccountKey, Directory},
    faulty_provider::{ACCESS_TOKEN, FaultyProvider, SUBJECT},
    provider_fault::ProviderFault,
};

/// A relying party with its provider, and the directory of the provider's people.
struct Deployment {
    pair: Pair,
    directory: Directory,
}

// === impl Deployment ===

impl Deployment {
    /// An Entra tenant whose person has an access token with `User.Read`.
    async fn entra() -> Self {
        let deployment = Self::start(|directory| GroupLookup::MicrosoftGraph {
            url: Some(Url::parse(&directory.url()).unwrap()),
        });
        let deployment = deployment.await;
        let person = (SUBJECT.to_owned(), true);
        deployment
            .directory
            .state()
            .access_tokens
            .insert(ACCESS_TOKEN.to_owned(), person);
        deployment.claims(json!({ "_claim_names": { "groups": "src1" } }));
        deployment
    }

    /// A Workspace with one person, and a service account in the name of `administrator`.
    async fn workspace(administrator: Option<&str>) -> Self {
        let key = AccountKey::generate();
        let deployment = Self::start(|directory| key.lookup(directory, administrator)).await;
        let account = Account::new(&key, administrator);
        let mut state = deployment.directory.state();
        state.accounts.push(account);
        state.people.insert(SUBJECT.to_owned());
        drop(state);
        deployment.claims(json!({ "hd": "example.org" }));
        deployment
    }

    async fn start(lookup: impl FnOnce(&Directory) -> GroupLookup) -> Self {
        let (clock, clock_control) = Clock::manual(Timestamp::from_unix(1_800_000_000));
        let directory = Directory::start(&clock).await;
        let provider = FaultyProvider::builder(&clock).start(ProviderFault::None);
        let provider = provider.await;
        let mut settings = settings(provider.issuer());
        settings.group_lookup = Some(lookup(&directory));
        // Long for a response on this machine, and short for a test that waits for its end.
        settings.timeout = Duration::from_secs(2);
        let pair = Pair::join(provider, settings, clock, clock_control);
        Self {
            pair: pair.ready().await,
            directory,
        }
    }

    /// Sets claims of the ID token beside the usual ones.
    fn claims(&self, claims: Value) {
        self.pair.provider.behaviour().id_token = claims;
    }

    /// The groups of a person who signs in where rules name these.
    async fn groups(&self, named: &[&str]) -> Vec<String> {
        let conditions: Vec<_> = named.iter().map(|group| format!("group:{group}")).collect();
        let conditions: Vec<_> = conditions.iter().map(String::as_str).collect();
        let policy = super::policy(&conditions);
        let answer = self.pair.visit_provider();
        let party = Arc::clone(&self.pair.party);
        let user = party.finish(&answer, super::NONCE, super::VERIFIER, &policy);
        user.await.unwrap().identity.groups.clone()
    }
}
