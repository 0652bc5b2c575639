//! `[oidc]`: the provider that signs people in.

use std::path::Path;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use crate::{
    problem::{Fault, Section},
    public_url::PublicUrl,
    secret::{RawSecret, SecretReader},
    values::{DurationText, authorities, name, plain_url, seconds},
};
use oidc::{ClaimPaths, ClientAuth, OidcSettings};

/// The OpenID Connect provider. Register `<public_url>/_gateway/callback` there as redirect address
/// and `<public_url>/_gateway/signed-out` as the one after signing out.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["issuer", "client_id"]))]
pub(super) struct RawOidc {
    /// The issuer, exactly as the provider writes it.
    #[schemars(example = "https://sso.example.org/realms/main")]
    issuer: Option<String>,
    /// Where the provider is reached from the gateway, if not at the issuer's own address.
    #[schemars(example = "https://keycloak.internal:8443/realms/main")]
    internal_url: Option<String>,
    /// The gateway's id at the provider.
    #[schemars(example = &"jitsi")]
    client_id: Option<String>,
    /// The gateway's secret at the provider; a public client has none. Better kept in
    /// `client_secret_file`.
    #[schemars(with = "Option<String>")]
    client_secret: Option<SecretString>,
    /// The file of the client secret.
    #[schemars(example = "config/oidc.secret")]
    client_secret_file: Option<String>,
    /// How the secret is sent to the provider.
    client_auth: RawClientAuth,
    /// What to ask the provider for; `openid` has to be among it.
    scopes: Vec<String>,
    claims: RawClaims,
    /// Signature algorithms that ID tokens may have.
    algorithms: Vec<Algorithm>,
    /// A PEM file of certificate authorities to trust instead of the system's.
    #[schemars(example = "certs/internal-ca.crt")]
    ca_file: Option<String>,
    /// An HTTP proxy to reach the provider through.
    #[schemars(example = "http://proxy.internal:3128")]
    http_proxy: Option<String>,
    /// How long one request to the provider may take.
    timeout: DurationText,
    /// How far the provider's clock may be off.
    leeway: DurationText,
    /// Accept a provider without TLS. Whoever is on the way to it can then sign in as anybody.
    insecure_http_issuer: bool,
    /// Treat e-mail addresses as verified although the provider does not say so. People can then
    /// claim addresses that rules name.
    insecure_trust_unverified_email: bool,
}

/// Where in the claims things are: dotted paths, as `realm_access.roles`.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawClaims {
    /// The person's stable id.
    id: String,
    /// The name to show.
    name: String,
    /// The e-mail address.
    email: String,
    /// Whether the address is verified.
    email_verified: String,
    /// The address of a picture.
    avatar: String,
    /// Groups: a list of texts, one text with spaces or commas, or an object whose names are groups
    /// if there is an object with something in it under them (Zitadel's roles).
    groups: String,
}

#[derive(Clone, Copy, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum RawClientAuth {
    ClientSecretBasic,
    ClientSecretPost,
}

/// What an ID token may be signed with: public keys only.
#[derive(Clone, Copy, Debug, Deserialize, serde::Serialize, JsonSchema)]
#[schemars(inline)]
enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

// === impl RawOidc ===

impl RawOidc {
    pub(super) fn resolve(
        self,
        public_url: Option<&PublicUrl>,
        secrets: SecretReader,
        section: &mut Section<'_>,
    ) -> Option<OidcSettings> {
        section.weaken("oidc.insecure_http_issuer", self.insecure_http_issuer);
        section.weaken(
            "oidc.insecure_trust_unverified_email",
            self.insecure_trust_unverified_email,
        );
        let insecure = self.insecure_http_issuer;
        let issuer = self.issuer.and_then(|text| {
            let issuer = provider_url(&text, insecure).map(|_| text);
            section.keep("issuer", issuer)
        });
        let internal_url = self
            .internal_url
            .and_then(|text| section.keep("internal_url", provider_url(&text, insecure)));
        let http_proxy = self
            .http_proxy
            .and_then(|text| section.keep("http_proxy", proxy(&text)));
        let client_id = self
            .client_id
            .and_then(|text| section.keep("client_id", name(&text)));
        let raw = RawSecret {
            inline: self.client_secret,
            file: self.client_secret_file,
        };
        let client_secret = secrets.read(section, "client_secret", raw);
        let ca_pem = self
            .ca_file
            .and_then(|file| section.keep("ca_file", authorities(Path::new(&file))));
        let scopes = scopes(self.scopes, section);
        if self.algorithms.is_empty() && !section.is_settled("algorithms") {
            let remedy = "remove the key, or write algorithms = [\"RS256\"]";
            section.reject(
                "algorithms",
                "no algorithm, so nobody could sign in",
                remedy,
            );
        }
        let claims = self.claims.resolve(&mut section.table("claims"));
        let timeout = self
            .timeout
            .within(seconds(1)..=seconds(60), section, "timeout");
        let leeway = self
            .leeway
            .within(seconds(0)..=seconds(300), section, "leeway");
        Some(OidcSettings {
            issuer: issuer?,
            internal_url,
            client_id: client_id?,
            client_secret,
            client_auth: self.client_auth.into(),
            scopes: scopes?,
            claims: claims?,
            algorithms: self.algorithms.iter().map(|a| format!("{a:?}")).collect(),
            ca_pem,
            http_proxy,
            timeout: timeout?,
            leeway: leeway?,
            redirect_uri: public_url?.join(CALLBACK_PATH),
            signed_out_uri: public_url?.join(SIGNED_OUT_PATH),
            insecure_trust_unverified_email: self.insecure_trust_unverified_email,
        })
    }
}

impl Default for RawOidc {
    fn default() -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Self {
            issuer: None,
            internal_url: None,
            client_id: None,
            client_secret: None,
            client_secret_file: None,
            client_auth: RawClientAuth::ClientSecretBasic,
            scopes: texts(&["openid", "profile", "email"]),
            claims: RawClaims::default(),
            algorithms: vec![
                Algorithm::RS256,
                Algorithm::PS256,
                Algorithm::ES256,
                Algorithm::EdDSA,
            ],
            ca_file: None,
            http_proxy: None,
            timeout: "10s".into(),
            leeway: "60s".into(),
            insecure_http_issuer: false,
            insecure_trust_unverified_email: false,
        }
    }
}

// === impl RawClaims ===

impl RawClaims {
    fn resolve(self, section: &mut Section<'_>) -> Option<ClaimPaths> {
        let mut path = |key: &str, text: String| section.keep(key, name(&text));
        let id = path("id", self.id);
        let shown = path("name", self.name);
        let email = path("email", self.email);
        let email_verified = path("email_verified", self.email_verified);
        let avatar = path("avatar", self.avatar);
        let groups = path("groups", self.groups);
        Some(ClaimPaths {
            id: id?,
            name: shown?,
            email: email?,
            email_verified: email_verified?,
            avatar: avatar?,
            groups: groups?,
        })
    }
}

/// The standard claims (OpenID Connect Core § 5.1); groups have no standard.
impl Default for RawClaims {
    fn default() -> Self {
        Self {
            id: "sub".to_owned(),
            name: "name".to_owned(),
            email: "email".to_owned(),
            email_verified: "email_verified".to_owned(),
            avatar: "picture".to_owned(),
            groups: "groups".to_owned(),
        }
    }
}

// === impl RawClientAuth ===

impl From<RawClientAuth> for ClientAuth {
    fn from(raw: RawClientAuth) -> Self {
        match raw {
            RawClientAuth::ClientSecretBasic => Self::Basic,
            RawClientAuth::ClientSecretPost => Self::Post,
        }
    }
}

fn provider_url(text: &str, insecure: bool) -> Result<Url, Fault> {
    let form = "write it as https://sso.example.org/realms/main";
    let url = plain_url(text, form)?;
    match url.scheme() {
        _ if url.query().is_some() => Err(Fault::new("has a query", form)),
        "https" => Ok(url),
        "http" if insecure => Ok(url),
        "http" => Err(Fault::new(
            "not https, so anybody on the way could sign in as anybody",
            "use https, or set insecure_http_issuer = true for a test",
        )),
        _ => Err(Fault::new("not an https address", form)),
    }
}

fn proxy(text: &str) -> Result<Url, Fault> {
    let form = "write it as http://proxy.internal:3128";
    let url = plain_url(text, form)?;
    if url.scheme() == "http" && url.has_host() {
        Ok(url)
    } else {
        Err(Fault::new("not an http address", form))
    }
}

fn scopes(scopes: Vec<String>, section: &mut Section<'_>) -> Option<Vec<String>> {
    if !scopes.iter().any(|scope| scope == "openid") {
        let remedy = "add \"openid\"";
        section.reject("scopes", "without openid it is not OpenID Connect", remedy);
        return None;
    }
    // RFC 6749 § 3.3 has the characters of a scope.
    let is_token = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
    let odd = scopes
        .iter()
        .find(|scope| scope.is_empty() || !scope.chars().all(is_token));
    if let Some(odd) = odd {
        let remedy = "write each scope as an entry of its own";
        section.reject("scopes", format!("{odd:?} is not a scope"), remedy);
        return None;
    }
    Some(scopes)
}

/// Where the provider sends people back to.
const CALLBACK_PATH: &str = "/_gateway/callback";
/// Where the provider sends people after signing out.
const SIGNED_OUT_PATH: &str = "/_gateway/signed-out";
