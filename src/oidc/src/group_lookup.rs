//! Groups that a provider's tokens do not have, by the API of its directory.
//!
//! Entra ID sends a person of more than 200 groups without them, Google sends none at all. The directory is asked once
//! per sign-in and revalidation, only for people whose groups are missing, and only if a rule names groups. Its answer
//! is kept for a while, so that a sign-in succeeds while the directory fails.

mod access_token;
mod directory_api;
pub(crate) mod google_directory;
mod membership_cache;
mod microsoft_graph;
mod service_account;

use std::{sync::Arc, time::Duration};

use aws_lc_rs::digest::SHA256_OUTPUT_LEN;
use http::StatusCode;
use model::{
    clock::Clock,
    digest::sha256,
    jws::{ClaimsSet, text},
    policy::{Glob, Policy},
};
use secrecy::SecretString;
use tokio::time;
use url::Url;

pub use self::service_account::{ServiceAccount, ServiceAccountError};
use self::{
    access_token::AccessTokens, directory_api::DirectoryApi, membership_cache::MembershipCache,
};
use crate::{
    discovery::ProviderMetadata,
    http::{FetchError, Fetcher},
    identification::SourceOutage,
};

/// The directory that has the groups of a provider's people.
#[derive(Clone, Debug)]
pub enum GroupLookup {
    /// Entra ID: Microsoft Graph, with the access token of the person, for those with a groups overage.
    MicrosoftGraph {
        /// The base URL; `None` for that of the provider's metadata.
        url: Option<Url>,
    },
    /// Google Workspace: the Directory API, with a service account, for all people of a Workspace.
    GoogleDirectory {
        /// The base URL.
        url: Url,
        /// The account that may read groups.
        account: Arc<ServiceAccount>,
    },
}

/// Why the directory did not tell a person's groups.
#[derive(Debug, thiserror::Error)]
pub enum GroupLookupError {
    /// A request got no usable response.
    #[error("the directory of groups cannot be asked")]
    Fetch(#[source] FetchError),
    /// All requests together took longer than the timeout of one.
    #[error("the directory of groups did not answer in time")]
    Timeout,
    /// Another status than 200; 401 and 403 mean that a permission is missing.
    #[error("the directory of groups answered {0}")]
    Status(StatusCode),
    /// The response is not the JSON object of the API.
    #[error("the answer of the directory of groups is malformed")]
    Malformed,
    /// The address of the next page is of another server, which must not get the access token.
    #[error("the directory of groups continues its answer at another server")]
    OtherServer,
    /// The service account got no access token; with the `error` of the response (RFC 6749 § 5.2).
    #[error("the service account got no access token ({0})")]
    TokenRefused(String),
}

/// Asks the directory, and keeps its answers.
pub(crate) struct GroupResolver {
    lookup: GroupLookup,
    timeout: Duration,
    memberships: MembershipCache,
    tokens: AccessTokens,
    clock: Clock,
}

/// The person whose groups are looked up, by a verified ID token.
#[derive(Clone, Copy)]
pub(crate) struct Member<'a> {
    pub(crate) claims: &'a ClaimsSet,
    pub(crate) access_token: &'a SecretString,
}

// === impl GroupLookup ===

impl GroupLookup {
    /// Base URL of Google's Directory API.
    pub fn google() -> Url {
        Url::parse(GOOGLE).expect("the constant is a URL")
    }

    /// Whether the groups of this ID token have to be looked up: `groups_claim` is the name of the claim that would
    /// have them.
    fn applies(&self, claims: &ClaimsSet, groups_claim: &str) -> bool {
        match self {
            Self::MicrosoftGraph { .. } => microsoft_graph::is_overage(claims, groups_claim),
            Self::GoogleDirectory { .. } => google_directory::is_of_workspace(claims),
        }
    }
}

// === impl GroupResolver ===

impl GroupResolver {
    pub(crate) fn new(lookup: GroupLookup, timeout: Duration, clock: Clock) -> Self {
        Self {
            lookup,
            timeout,
            memberships: MembershipCache::default(),
            tokens: AccessTokens::default(),
            clock,
        }
    }

    /// The groups of a person that a rule names; `None` if the directory has nothing to say of them.
    pub(crate) async fn groups(
        &self,
        member: Member<'_>,
        groups_claim: &str,
        policy: &Policy,
        outage: SourceOutage,
        metadata: &ProviderMetadata,
        fetcher: &Fetcher,
    ) -> Result<Option<Vec<String>>, GroupLookupError> {
        let Some(subject) = text(member.claims, "sub") else {
            return Ok(None);
        };
        if !policy.uses_groups() || !self.lookup.applies(member.claims, groups_claim) {
            return Ok(None);
        }
        let named = NamedGroups::of(policy);
        let now = self.clock.now();
        if let Some(groups) = self.memberships.fresh(subject, &named, now) {
            return Ok(Some(groups));
        }
        let asked = self.ask(subject, member.access_token, &named, metadata, fetcher);
        let answer = time::timeout(self.timeout, asked).await;
        match answer.unwrap_or(Err(GroupLookupError::Timeout)) {
            Ok(groups) => {
                self.memberships
                    .keep(subject, &named, &groups, self.clock.now());
                Ok(Some(groups))
            }
            Err(error) => {
                let earlier = (outage == SourceOutage::Tolerated)
                    .then(|| self.memberships.earlier(subject, &named, now));
                earlier.flatten().map(Some).ok_or(error)
            }
        }
    }

    async fn ask(
        &self,
        subject: &str,
        access_token: &SecretString,
        named: &NamedGroups<'_>,
        metadata: &ProviderMetadata,
        fetcher: &Fetcher,
    ) -> Result<Vec<String>, GroupLookupError> {
        match &self.lookup {
            GroupLookup::MicrosoftGraph { url } => {
                let base = url.as_ref().unwrap_or(&metadata.graph);
                let api = DirectoryApi::new(base, access_token, fetcher)?;
                microsoft_graph::groups(&api, named).await
            }
            GroupLookup::GoogleDirectory { url, account } => {
                let now = self.clock.now();
                let token = self.tokens.of(account, now, fetcher).await?;
                let api = DirectoryApi::new(url, &token, fetcher)?;
                let groups = google_directory::groups(&api, subject, named).await;
                if matches!(
                    groups,
                    Err(GroupLookupError::Status(StatusCode::UNAUTHORIZED))
                ) {
                    self.tokens.forget().await;
                }
                groups
            }
        }
    }
}

/// The groups that rules name.
struct NamedGroups<'p> {
    policy: &'p Policy,
    /// Of the names and patterns, in order: it changes with the rules.
    digest: [u8; SHA256_OUTPUT_LEN],
    /// The names without wildcards, in order and without repetition.
    literals: Vec<String>,
    has_patterns: bool,
}

// === impl NamedGroups ===

impl<'p> NamedGroups<'p> {
    fn of(policy: &'p Policy) -> Self {
        let sorted = |patterns: &mut dyn Iterator<Item = &Glob>| {
            let mut names: Vec<_> = patterns.map(ToString::to_string).collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        let names = sorted(&mut policy.group_patterns());
        let literals = sorted(&mut policy.group_patterns().filter(|name| name.is_literal()));
        Self {
            policy,
            digest: sha256(names.join("\0").as_bytes()),
            has_patterns: names.len() > literals.len(),
            literals,
        }
    }

    /// Adds a group of the person, if a rule names it.
    fn add(&self, group: &str, groups: &mut Vec<String>) {
        if self.policy.names_group(group) && !groups.iter().any(|known| known == group) {
            groups.push(group.to_owned());
        }
    }

    /// Whether no further group can matter.
    fn are_all_in(&self, groups: &[String]) -> bool {
        !self.has_patterns && self.literals.len() == groups.len()
    }
}

const GOOGLE: &str = "https://admin.googleapis.com";

/// A list of this many pages is cut: with 999 of Graph, some 20,000 groups.
const MAX_PAGES: usize = 20;
