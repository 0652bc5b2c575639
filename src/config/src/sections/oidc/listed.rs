//! `[oidc]` or `[[oidc]]`: which providers there are, and how they differ.

use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::RawOidc;
use crate::{
    diagnostics::{Diagnostics, Section},
    problem::Fault,
    public_url::PublicUrl,
    secret::SecretReader,
    sections::Reported,
    values::parse_name,
};
use model::{
    policy::{Condition, ConditionError},
    provider::{ProviderId, SubjectScope},
};
use oidc::{ListedProvider, OidcSettings};

/// The only provider, or a list of several.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub(in crate::sections) enum RawOidcSection {
    Only(Box<RawOidc>),
    Several(Vec<RawOidc>),
}

/// What distinguishes one provider from the others.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) scope: SubjectScope,
    id: Option<ProviderId>,
    name: Option<String>,
    email_domains: Vec<String>,
}

/// The providers that rules can name.
#[derive(Clone, Copy)]
pub(in crate::sections) enum NamedProviders<'p> {
    /// All of the configuration.
    Known(&'p [OidcSettings]),
    /// The section is invalid, which is reported already.
    Unknown,
}

// === impl RawOidcSection ===

impl RawOidcSection {
    /// Resolves every provider, so that all problems are found.
    pub(in crate::sections) fn resolve(
        self,
        public_url: Option<&PublicUrl>,
        secrets: SecretReader,
        diagnostics: &mut Diagnostics,
    ) -> Result<Vec<OidcSettings>, Reported> {
        let tables = match self {
            Self::Only(mut only) => {
                let mut section = diagnostics.section("oidc");
                let is_listed = only.reject_list_keys(&mut section);
                let settings = only.resolve(Listing::default(), public_url, secrets, &mut section);
                return settings
                    .filter(|_| !is_listed)
                    .map(|settings| vec![settings])
                    .ok_or(Reported);
            }
            Self::Several(tables) => tables,
        };
        let mut root = diagnostics.section("");
        if tables.is_empty() {
            root.reject("oidc", "no provider", "add [[oidc]], or remove the key");
            return Err(Reported);
        }
        let ids: Vec<Option<ProviderId>> = (1..)
            .zip(&tables)
            .map(|(position, table)| table.resolve_id(&mut root.entry("oidc", position)))
            .collect();
        reject_repeated(&ids, &tables, &mut root);
        let settings = (1..)
            .zip(tables)
            .zip(&ids)
            .map(|((position, mut table), id)| {
                let mut section = root.entry("oidc", position);
                let listing = table.take_listing(id.clone(), &ids, &mut section);
                let settings = table.resolve(listing?, public_url, secrets, &mut section);
                settings.filter(|_| id.is_some())
            });
        let settings: Vec<Option<OidcSettings>> = settings.collect();
        reject_same_issuer(&settings, &mut root);
        let settings = settings.into_iter().collect::<Option<Vec<_>>>();
        settings
            .filter(|_| !root.is_reported("oidc"))
            .ok_or(Reported)
    }
}

// === impl RawOidc ===

impl RawOidc {
    /// Rejects the keys of `[[oidc]]` in `[oidc]`; whether there is one.
    fn reject_list_keys(&mut self, section: &mut Section<'_>) -> bool {
        let keys = [
            ("id", self.id.is_some()),
            ("name", self.name.is_some()),
            ("email_domains", !self.email_domains.is_empty()),
            ("keeps_subjects", self.keeps_subjects),
        ];
        for (key, _) in keys.iter().filter(|(_, is_set)| *is_set) {
            let remedy = "write the header as [[oidc]], or remove the key";
            section.reject(key, "only of one of several providers", remedy);
        }
        keys.iter().any(|(_, is_set)| *is_set)
    }

    fn resolve_id(&self, section: &mut Section<'_>) -> Option<ProviderId> {
        let Some(text) = &self.id else {
            section.require("id", "add for example id = \"school\"");
            return None;
        };
        let remedy = "write for example \"school\"";
        let id = text.parse();
        section.keep("id", id.map_err(|error| Fault::from_error(&error, remedy)))
    }

    fn take_listing(
        &mut self,
        id: Option<ProviderId>,
        all: &[Option<ProviderId>],
        section: &mut Section<'_>,
    ) -> Option<Listing> {
        let domains = std::mem::take(&mut self.email_domains);
        let email_domains = section.parse_list("email_domains", domains, parse_domain);
        let has_name = self.name.is_some();
        let name = section.parse("name", self.name.take(), parse_name);
        let scope = match &id {
            Some(id) if !self.keeps_subjects => SubjectScope::of(id.clone()),
            _ => {
                let others = all
                    .iter()
                    .flatten()
                    .filter(|&other| Some(other) != id.as_ref());
                SubjectScope::unqualified(others.cloned().collect())
            }
        };
        if has_name && name.is_none() {
            return None;
        }
        Some(Listing {
            scope,
            id,
            name,
            email_domains: email_domains?,
        })
    }
}

// === impl Listing ===

impl Listing {
    pub(super) fn provider(&self, issuer: &str) -> Option<ListedProvider> {
        let host = || {
            let url = Url::parse(issuer).ok()?;
            url.host_str().map(ToOwned::to_owned)
        };
        let id = self.id.clone()?;
        Some(ListedProvider {
            name: self
                .name
                .clone()
                .or_else(host)
                .unwrap_or_else(|| id.to_string()),
            id,
            email_domains: self.email_domains.clone(),
        })
    }
}

// === impl NamedProviders ===

impl NamedProviders<'_> {
    /// The provider with an id that a rule names.
    pub(in crate::sections) fn parse(self, text: &str) -> Result<ProviderId, Fault> {
        let remedy = "write the id of an [[oidc]]";
        let id = text.parse();
        let id: ProviderId = id.map_err(|error| Fault::from_error(&error, remedy))?;
        self.scope_of(&id).map(|_| id)
    }

    /// Parses a condition; one that names a provider learns how the ids of its people are written.
    pub(in crate::sections) fn parse_condition(self, text: &str) -> Result<Condition, Fault> {
        let remedy = "write it as group:NAME or email-domain:DOMAIN";
        let condition = text.parse();
        let condition =
            condition.map_err(|error: ConditionError| Fault::from_error(&error, remedy))?;
        match condition {
            Condition::Provider { id, .. } => {
                let scope = self.scope_of(&id)?;
                Ok(Condition::Provider { id, scope })
            }
            condition => Ok(condition),
        }
    }

    fn scope_of(self, id: &ProviderId) -> Result<Option<ProviderId>, Fault> {
        let Self::Known(all) = self else {
            return Ok(None);
        };
        let is_named = |settings: &&OidcSettings| {
            settings
                .listed
                .as_ref()
                .is_some_and(|listed| listed.id == *id)
        };
        let named = all.iter().find(is_named).ok_or_else(|| {
            let what = format!("there is no [[oidc]] with id = \"{id}\"");
            Fault::new(what, "correct the id, or add the provider")
        })?;
        Ok(named.scope.provider().cloned())
    }
}

fn reject_repeated(ids: &[Option<ProviderId>], tables: &[RawOidc], root: &mut Section<'_>) {
    for (index, id) in ids.iter().enumerate() {
        let is_repeated = ids.iter().take(index).any(|earlier| earlier == id);
        if id.is_some() && is_repeated {
            let what = "the id of another provider";
            root.entry("oidc", index + 1)
                .reject("id", what, "write another id");
        }
    }
    let keeping = (1..).zip(tables).filter(|(_, table)| table.keeps_subjects);
    for (position, _) in keeping.skip(1) {
        let what = "another provider has it, too";
        let remedy = "set it for the one that was [oidc] before";
        root.entry("oidc", position)
            .reject("keeps_subjects", what, remedy);
    }
}

/// Two clients at one issuer could not be told apart by `iss`, and a person would be two.
fn reject_same_issuer(all: &[Option<OidcSettings>], root: &mut Section<'_>) {
    for (index, settings) in all.iter().enumerate() {
        let issuer = settings.as_ref().map(|settings| &settings.issuer);
        let earlier = all.iter().take(index).flatten();
        let is_repeated = earlier
            .map(|earlier| &earlier.issuer)
            .any(|other| Some(other) == issuer);
        if is_repeated {
            let what = "the issuer of another provider";
            let remedy = "remove one of the two; a [[room]] can set sign_in.parameters";
            root.entry("oidc", index + 1).reject("issuer", what, remedy);
        }
    }
}

fn parse_domain(text: &str) -> Result<String, Fault> {
    let domain = model::identity::fold_email(text.trim_start_matches('@'));
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
    let is_domain = !domain.is_empty()
        && domain.chars().all(is_plain)
        && !domain.starts_with(['.', '-'])
        && !domain.ends_with(['.', '-']);
    if is_domain {
        Ok(domain)
    } else {
        let remedy = "write it as school.example.org";
        Err(Fault::new(
            format!("{text:?} is not an e-mail domain"),
            remedy,
        ))
    }
}
