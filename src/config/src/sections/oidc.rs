//! `[oidc]`: the OpenID provider, or `[[oidc]]`: several.

mod claims;
mod client_auth;
mod group_lookup;
mod listed;
mod parameters;

use std::time::Duration;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

use self::{
    claims::RawClaims,
    client_auth::{RawClientAuth, RawClientCredentials, RawKeyAlgorithm},
    group_lookup::{LookupContext, RawGroupLookup},
    listed::Listing,
};
pub(super) use self::{
    listed::{NamedProviders, RawOidcSection},
    parameters::RawParameters,
};
use super::Reported;
use crate::{
    diagnostics::Section,
    problem::Fault,
    public_url::PublicUrl,
    secret::{RawSecret, SecretReader},
    values::{DAY, DurationText, MINUTE, parse_name, parse_url, read_ca_file, seconds},
};
use oidc::{OidcSettings, PushPolicy};

/// The OpenID provider. Register `<public_url>/_gateway/callback` there as redirect URI, and
/// `<public_url>/_gateway/signed-out` as post-logout redirect URI.
///
/// Several providers are one `[[oidc]]` each, with an `id`, and `<public_url>/_gateway/callback/<id>` as
/// redirect URI ([several providers](several-providers.md)).
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["issuer", "client_id"]))]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the file")]
pub(super) struct RawOidc {
    /// Of `[[oidc]]`: the provider's id in rules, addresses, sessions, metrics and before the ids of its
    /// people: 2 to 20 lower-case letters, digits and `-`.
    #[schemars(example = &"school")]
    id: Option<String>,
    /// Of `[[oidc]]`: the provider's name on the page that asks which. Default: the host of `issuer`.
    #[schemars(example = &"Example School")]
    name: Option<String>,
    /// Of `[[oidc]]`: the domains of the e-mail addresses of its people, who can type theirs in place of
    /// choosing the provider.
    #[schemars(example = ["school.example.org"])]
    email_domains: Vec<String>,
    /// Of `[[oidc]]`, for at most one: the provider was the only one before, as `[oidc]`. Its addresses
    /// have no id, and the ids of its people stay as they were, with their sessions and rooms.
    keeps_subjects: bool,
    /// The issuer, exactly as the provider writes it.
    #[schemars(example = "https://sso.example.org/realms/main")]
    issuer: Option<String>,
    /// The URL at which the gateway reaches the provider, if it is not the issuer's.
    #[schemars(example = "https://keycloak.internal:8443/realms/main")]
    internal_url: Option<String>,
    /// The gateway's client id at the provider.
    #[schemars(example = &"jitsi")]
    client_id: Option<String>,
    /// The gateway's client secret; a public client has none. Preferably in `client_secret_file`.
    #[schemars(with = "Option<String>")]
    client_secret: Option<SecretString>,
    /// The file of the client secret.
    #[schemars(example = "config/oidc.secret")]
    client_secret_file: Option<String>,
    /// Audiences that ID tokens may have beside the client id although they name no authorized party
    /// (`azp`): those of providers that issue one token for several services.
    #[schemars(example = ["https://api.example.org"])]
    other_audiences: Vec<String>,
    /// How the client authenticates at the token endpoint: by its secret in the `Authorization` field or in the
    /// form, or by an assertion that it signs with its private key.
    client_auth: RawClientAuth,
    /// The private key of a client whose `client_auth` is `private_key_jwt`: a PEM file, RSA of 2048 bits or
    /// more, P-256, P-384 or Ed25519. The provider has its public key.
    #[schemars(example = "config/oidc.key")]
    client_key_file: Option<String>,
    /// The `kid` of assertions; for a provider that knows several keys of the client.
    client_key_id: Option<String>,
    /// The algorithm of assertions; without it RS256, ES256, ES384 or `EdDSA`, as the key is. Entra ID, and providers
    /// of the FAPI profiles, demand PS256 of an RSA key.
    client_key_algorithm: Option<RawKeyAlgorithm>,
    /// The certificate of the key, for a provider that finds the key by the thumbprint of its certificate
    /// (`x5t#S256`), as Entra ID does: a PEM file.
    #[schemars(example = "config/oidc.crt")]
    client_certificate_file: Option<String>,
    /// The `aud` of assertions, for a provider that demands another than its issuer: usually the address of
    /// its token endpoint.
    #[schemars(example = "https://sso.example.org/oauth2/token")]
    assertion_audience: Option<String>,
    /// The requested scopes; `openid` is required.
    scopes: Vec<String>,
    claims: RawClaims,
    group_lookup: Option<RawGroupLookup>,
    /// Additional parameters of the authorization request, such as `kc_idp_hint`, `domain_hint`, `hd`,
    /// `audience` or `login_hint`. Those of the sign-in itself cannot be set. `ui_locales` is the
    /// language of the gateway's page unless it is set here. A `[[room]]` has its own in `sign_in`.
    #[schemars(example = RawParameters::example())]
    parameters: RawParameters,
    /// How the provider answers: in the query of the redirect URI, or by a form that the browser posts to it.
    response_mode: ResponseMode,
    /// Whether the gateway sends the parameters of authorization requests to the provider itself, so that the browser
    /// carries only a reference to them (RFC 9126): if the provider offers it, always, or never. A provider that offers it
    /// and fails gets them through the browser.
    pushed_authorization_requests: PushedRequests,
    /// The accepted signature algorithms of ID tokens.
    algorithms: Vec<Algorithm>,
    /// A PEM file of certificate authorities that are trusted instead of the system's.
    #[schemars(example = "certs/internal-ca.crt")]
    ca_file: Option<String>,
    /// An HTTP proxy for requests to the provider.
    #[schemars(example = "http://proxy.internal:3128")]
    http_proxy: Option<String>,
    /// The timeout for a request to the provider; half of it is the timeout for the connection.
    timeout: DurationText,
    /// The accepted difference between the clocks of the provider and the gateway.
    leeway: DurationText,
    /// A session in use is revalidated within this time, by the refresh token that the provider gave
    /// at the sign-in, if it gave one; `0s` never. Sessions whose account was disabled end, and changed
    /// groups and roles take effect in running meetings.
    revalidate: DurationText,
    /// A session for which the provider gave no refresh token is renewed when a room's page is opened and `revalidate`
    /// has passed since the sign-in: the browser goes to the provider and back, without a page of the provider
    /// (`prompt=none`). If the provider no longer knows the person, the session ends.
    silent_renewal: bool,
    /// Accept a provider without TLS. An attacker on the network path can then sign in as any user.
    insecure_http_issuer: bool,
    /// Treat e-mail addresses as verified although the provider does not claim it. Users can then
    /// claim addresses that rules name.
    insecure_trust_unverified_email: bool,
}

/// Whether authorization requests are pushed.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum PushedRequests {
    Offered,
    Required,
    Never,
}

/// Response modes of the code flow (OAuth 2.0 Multiple Response Types § 2.1, OAuth 2.0 Form Post Response Mode).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum ResponseMode {
    Query,
    FormPost,
}

/// Signature algorithms of ID tokens: with public keys only.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
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
    fn resolve(
        self,
        listing: Listing,
        public_url: Option<&PublicUrl>,
        secrets: SecretReader,
        section: &mut Section<'_>,
    ) -> Option<OidcSettings> {
        section.note_insecure("oidc.insecure_http_issuer", self.insecure_http_issuer);
        section.note_insecure(
            "oidc.insecure_trust_unverified_email",
            self.insecure_trust_unverified_email,
        );
        let provider_url = |text: &str| parse_provider_url(text, self.insecure_http_issuer);
        // The text stays as it was written: issuers are compared character by character.
        let issuer = self
            .issuer
            .and_then(|text| section.keep("issuer", provider_url(&text).map(|_| text)));
        let internal_url = section.parse("internal_url", self.internal_url, provider_url);
        let http_proxy = section.parse("http_proxy", self.http_proxy, parse_proxy_url);
        let client_id = section.parse("client_id", self.client_id, parse_name);
        let credentials = RawClientCredentials {
            method: self.client_auth,
            secret: RawSecret {
                inline: self.client_secret,
                file: self.client_secret_file,
            },
            key_file: self.client_key_file,
            key_id: self.client_key_id,
            key_algorithm: self.client_key_algorithm,
            certificate_file: self.client_certificate_file,
            assertion_audience: self.assertion_audience,
        };
        let credentials = credentials.resolve(secrets, section);
        let ca_pem = section.parse("ca_file", self.ca_file, read_ca_file);
        let scopes = section.keep("scopes", check_scopes(self.scopes));
        if self.algorithms.is_empty() && !section.is_reported("algorithms") {
            let remedy = "remove the key, or write algorithms = [\"RS256\"]";
            section.reject("algorithms", "no algorithm is accepted", remedy);
        }
        let parameters = self.parameters.resolve(&mut section.table("parameters"));
        let claims = self.claims.resolve(&mut section.table("claims"));
        let group_lookup = match self.group_lookup {
            None => Ok(None),
            Some(raw) => {
                let context = LookupContext {
                    scopes: scopes.as_deref().unwrap_or_default(),
                    allow_http: self.insecure_http_issuer,
                    secrets,
                };
                let lookup = raw.resolve(&context, &mut section.table("group_lookup"));
                lookup.map(Some).ok_or(Reported)
            }
        };
        let timeout = self.timeout.within(seconds(1)..=MINUTE, section, "timeout");
        let leeway = self
            .leeway
            .within(seconds(0)..=5 * MINUTE, section, "leeway");
        let revalidate = resolve_revalidate(&self.revalidate, section);
        if self.silent_renewal && matches!(revalidate, Ok(None)) {
            let what = "nothing is renewed, as revalidate is 0s";
            section.reject("silent_renewal", what, "remove it, or set revalidate");
        }
        let issuer = issuer?;
        let callback = match listing.scope.provider() {
            Some(provider) => format!("{CALLBACK_PATH}/{provider}"),
            None => CALLBACK_PATH.to_owned(),
        };
        let (client_auth, client_secret) = credentials?;
        Some(OidcSettings {
            listed: listing.provider(&issuer),
            scope: listing.scope,
            issuer,
            internal_url,
            client_id: client_id?,
            other_audiences: self.other_audiences,
            client_secret,
            client_auth,
            scopes: scopes?,
            claims: claims?,
            parameters: parameters?,
            algorithms: self.algorithms.iter().map(|a| format!("{a:?}")).collect(),
            ca_pem,
            http_proxy,
            timeout: timeout?,
            leeway: leeway?,
            revalidate: revalidate.ok()?,
            push: self.pushed_authorization_requests.policy(),
            form_post: self.response_mode == ResponseMode::FormPost,
            silent_renewal: self.silent_renewal,
            group_lookup: group_lookup.ok()?,
            redirect_uri: public_url?.join(&callback),
            signed_out_uri: public_url?.join(SIGNED_OUT_PATH),
            insecure_trust_unverified_email: self.insecure_trust_unverified_email,
        })
    }
}

impl Default for RawOidc {
    fn default() -> Self {
        let scopes = ["openid", "profile", "email"];
        Self {
            id: None,
            name: None,
            email_domains: Vec::new(),
            keeps_subjects: false,
            issuer: None,
            internal_url: None,
            client_id: None,
            other_audiences: Vec::new(),
            client_secret: None,
            client_secret_file: None,
            client_auth: RawClientAuth::ClientSecretBasic,
            client_key_file: None,
            client_key_id: None,
            client_key_algorithm: None,
            client_certificate_file: None,
            assertion_audience: None,
            scopes: scopes.map(ToOwned::to_owned).into(),
            claims: RawClaims::default(),
            group_lookup: None,
            parameters: RawParameters::default(),
            response_mode: ResponseMode::Query,
            pushed_authorization_requests: PushedRequests::Offered,
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
            revalidate: "10m".into(),
            silent_renewal: false,
            insecure_http_issuer: false,
            insecure_trust_unverified_email: false,
        }
    }
}

impl PushedRequests {
    const fn policy(self) -> PushPolicy {
        match self {
            Self::Offered => PushPolicy::Offered,
            Self::Required => PushPolicy::Required,
            Self::Never => PushPolicy::Never,
        }
    }
}

/// The interval; `None` if sessions are not revalidated.
fn resolve_revalidate(
    text: &DurationText,
    section: &mut Section<'_>,
) -> Result<Option<Duration>, Reported> {
    let any = text.within(seconds(0)..=DAY, section, "revalidate");
    if any.ok_or(Reported)?.is_zero() {
        return Ok(None);
    }
    let interval = text.within(seconds(10)..=DAY, section, "revalidate");
    interval.map(Some).ok_or(Reported)
}

fn parse_provider_url(text: &str, allow_http: bool) -> Result<Url, Fault> {
    let form = "write it as https://sso.example.org/realms/main";
    let url = parse_url(text, form)?;
    match url.scheme() {
        _ if url.query().is_some() => Err(Fault::new("has a query", form)),
        "https" => Ok(url),
        "http" if allow_http => Ok(url),
        "http" => Err(Fault::new(
            "not https, so that an attacker on the network path could sign in as any user",
            "use https, or set insecure_http_issuer = true for a test",
        )),
        _ => Err(Fault::new("not an https URL", form)),
    }
}

fn parse_proxy_url(text: &str) -> Result<Url, Fault> {
    let form = "write it as http://proxy.internal:3128";
    let url = parse_url(text, form)?;
    if url.scheme() == "http" && url.has_host() {
        Ok(url)
    } else {
        Err(Fault::new("not an http URL", form))
    }
}

fn check_scopes(scopes: Vec<String>) -> Result<Vec<String>, Fault> {
    if !scopes.iter().any(|scope| scope == "openid") {
        let what = "openid is missing, without which it is not OpenID Connect";
        return Err(Fault::new(what, "add \"openid\""));
    }
    // The characters of a scope token (RFC 6749 § 3.3).
    let is_scope_char = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
    let invalid = scopes
        .iter()
        .find(|scope| scope.is_empty() || !scope.chars().all(is_scope_char));
    match invalid {
        Some(invalid) => Err(Fault::new(
            format!("{invalid:?} is not a scope"),
            "write each scope as its own list entry",
        )),
        None => Ok(scopes),
    }
}

/// The path of the redirect URI, which the id of one of several providers follows.
const CALLBACK_PATH: &str = "/_gateway/callback";
/// The path of the post-logout redirect URI.
const SIGNED_OUT_PATH: &str = "/_gateway/signed-out";
