//! The OpenID providers that the documentation has a page about.

mod facts;

use std::{fmt, str::FromStr};

use self::facts::FACTS;

use crate::InvalidAnswer;

/// What `gateway.toml` and the person at the provider need to know about a kind of provider. The
/// pages in `docs/providers` have the sources.
#[derive(Debug)]
struct ProviderFacts {
    name: &'static str,
    title: &'static str,
    /// An issuer of this kind.
    issuer: &'static str,
    /// `oidc.scopes`, if the default does not do.
    scopes: Option<&'static str>,
    /// `oidc.client_auth`, if the default does not do.
    client_auth: Option<&'static str>,
    /// Lines of `[oidc.claims]`; `PUBLIC_URL` stands for the address of the gateway.
    claims: &'static [&'static str],
    /// Where groups come from.
    groups: &'static str,
    back_channel_logout: bool,
    post_logout: bool,
    /// Further settings of the client, and their values.
    further: &'static [(&'static str, &'static str)],
}

/// A kind of OpenID provider.
#[derive(Clone, Copy, Debug)]
pub struct Provider(&'static ProviderFacts);

// === impl Provider ===

impl Provider {
    /// All kinds, in the order of the question. The last is for every other provider.
    pub fn all() -> impl Iterator<Item = Self> {
        FACTS.iter().map(Self)
    }

    /// The word for it in options and answers.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Its name as people write it.
    pub fn title(self) -> &'static str {
        self.0.title
    }

    /// An example of an issuer, for the question.
    pub fn issuer_example(self) -> &'static str {
        self.0.issuer
    }

    /// The issuer, if the kind has a single one.
    pub fn only_issuer(self) -> Option<&'static str> {
        (self.0.name == "google").then_some(self.0.issuer)
    }

    /// Whether people outside the organisation have accounts there, too.
    pub fn is_public(self) -> bool {
        self.0.name == "google"
    }

    pub(crate) fn scopes(self) -> Option<&'static str> {
        self.0.scopes
    }

    pub(crate) fn client_auth(self) -> Option<&'static str> {
        self.0.client_auth
    }

    /// Lines of `[oidc.claims]` for a gateway at this address.
    pub(crate) fn claims(self, public_url: &str) -> Vec<String> {
        let lines = self.0.claims.iter();
        lines
            .map(|line| line.replace("PUBLIC_URL", public_url))
            .collect()
    }

    pub(crate) fn further(self) -> &'static [(&'static str, &'static str)] {
        self.0.further
    }

    pub(crate) fn groups(self) -> &'static str {
        self.0.groups
    }

    pub(crate) fn has_back_channel_logout(self) -> bool {
        self.0.back_channel_logout
    }

    pub(crate) fn has_post_logout_uri(self) -> bool {
        self.0.post_logout
    }

    /// The page of the documentation about it.
    pub(crate) fn page(self) -> String {
        match self.0.name {
            "other" => "docs/providers/README.md".to_owned(),
            name => format!("docs/providers/{name}.md"),
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl FromStr for Provider {
    type Err = InvalidAnswer;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.to_ascii_lowercase();
        let found = Self::all().find(|own| own.name() == name);
        found.ok_or(InvalidAnswer(
            "answer keycloak, entra-id, google, okta, authentik, authelia, zitadel, gitlab, auth0, nextcloud, kanidm, \
             pocket-id, forgejo, adfs or other",
        ))
    }
}
