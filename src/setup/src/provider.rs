//! The OpenID providers that the documentation has a page about.

use std::{fmt, str::FromStr};

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
    /// Lines of `[oidc.claims]`.
    claims: &'static [&'static str],
    /// Where groups come from.
    groups: &'static str,
    back_channel_logout: bool,
    post_logout: bool,
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

    pub(crate) fn claims(self) -> &'static [&'static str] {
        self.0.claims
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
            "answer keycloak, entra-id, google, okta, authentik, authelia, zitadel, gitlab or other",
        ))
    }
}

const FACTS: &[ProviderFacts] = &[
    ProviderFacts {
        name: "keycloak",
        title: "Keycloak",
        issuer: "https://sso.example.org/realms/main",
        scopes: None,
        claims: &[],
        groups: "a mapper of type Group Membership with the claim name groups, in the ID token",
        back_channel_logout: true,
        post_logout: true,
    },
    ProviderFacts {
        name: "entra-id",
        title: "Microsoft Entra ID",
        issuer: "https://login.microsoftonline.com/TENANT-ID/v2.0",
        scopes: None,
        claims: &[
            r#"groups = "roles"                  # app roles, whose names are readable"#,
            r#"email_verified = "xms_edov""#,
            r#"avatar = "none""#,
        ],
        groups: "app roles, which are assigned to people or groups",
        back_channel_logout: false,
        post_logout: true,
    },
    ProviderFacts {
        name: "google",
        title: "Google",
        issuer: "https://accounts.google.com",
        scopes: None,
        claims: &[],
        groups: "none: rules name e-mail addresses, or claim:hd=YOUR-DOMAIN",
        back_channel_logout: false,
        post_logout: false,
    },
    ProviderFacts {
        name: "okta",
        title: "Okta",
        issuer: "https://example.okta.com",
        scopes: Some(r#"["openid", "profile", "email", "groups"]"#),
        claims: &[],
        groups: "a groups claim with a filter",
        back_channel_logout: false,
        post_logout: true,
    },
    ProviderFacts {
        name: "authentik",
        title: "Authentik",
        issuer: "https://sso.example.org/application/o/jitsi/",
        scopes: None,
        claims: &[],
        groups: "the scope profile; select a signing key",
        back_channel_logout: true,
        post_logout: true,
    },
    ProviderFacts {
        name: "authelia",
        title: "Authelia",
        issuer: "https://auth.example.org",
        scopes: Some(r#"["openid", "profile", "email", "groups"]"#),
        claims: &[],
        groups: "the scope groups",
        back_channel_logout: false,
        post_logout: false,
    },
    ProviderFacts {
        name: "zitadel",
        title: "Zitadel",
        issuer: "https://example-a1b2c3.zitadel.cloud",
        scopes: None,
        claims: &[r#"groups = "urn:zitadel:iam:org:project:roles""#],
        groups: "roles of the project, with Assert roles on authentication",
        back_channel_logout: true,
        post_logout: true,
    },
    ProviderFacts {
        name: "gitlab",
        title: "GitLab",
        issuer: "https://gitlab.example.org",
        scopes: None,
        claims: &[],
        groups: "full paths of GitLab's groups",
        back_channel_logout: false,
        post_logout: false,
    },
    ProviderFacts {
        name: "other",
        title: "another OpenID provider",
        issuer: "https://sso.example.org",
        scopes: None,
        claims: &[],
        groups: "a claim groups in the ID token or the userinfo",
        back_channel_logout: true,
        post_logout: true,
    },
];
