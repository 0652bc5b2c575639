//! The relying party: signing people in by OpenID Connect.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

/// The provider and what to ask of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The issuer, exactly as the provider writes it.
    pub issuer: String,
    /// Where the provider is reached from here, if not at the issuer's own address.
    pub internal_url: Option<Url>,
    /// Our id at the provider.
    pub client_id: String,
    /// Our secret; a public client has none.
    pub client_secret: Option<SecretString>,
    /// How the secret is sent to the token endpoint.
    pub client_auth: ClientAuth,
    /// Scopes to ask for, `openid` among them.
    pub scopes: Vec<String>,
    /// Where in the claims things are.
    pub claims: ClaimPaths,
    /// Signature algorithms that an ID token may have (JOSE names, as `RS256`); never `none` or HS*.
    pub algorithms: Vec<String>,
    /// PEM of certificate authorities to trust instead of the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// An HTTP proxy to reach the provider through.
    pub http_proxy: Option<Url>,
    /// How long one request to the provider may take.
    pub timeout: Duration,
    /// How far the provider's clock may be off.
    pub leeway: Duration,
    /// Where the provider sends people back to: `<public_url>/_gateway/callback`.
    pub redirect_uri: Url,
    /// Where the provider sends people after signing out.
    pub signed_out_uri: Url,
    /// Treat addresses as verified although the provider does not say so. Weakens e-mail rules.
    pub insecure_trust_unverified_email: bool,
}

/// How the client secret is sent (OpenID Connect Core § 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Post,
}

/// Dotted paths of claims, as `realm_access.roles`; a key with dots in it (as a namespaced
/// `https://example.org/groups`) is tried whole first.
#[derive(Clone, Debug)]
pub struct ClaimPaths {
    /// The person's stable id.
    pub id: String,
    /// The name to show.
    pub name: String,
    /// The e-mail address.
    pub email: String,
    /// Whether the address is verified.
    pub email_verified: String,
    /// The address of a picture.
    pub avatar: String,
    /// Groups: an array of texts, or one text with spaces or commas.
    pub groups: String,
}
