//! OpenID Connect relying party.
//!
//! [`RelyingParty`] builds the authorization request, completes the authorization code flow, and
//! validates logout tokens. It is the only maker of a [`VerifiedIdentity`](model::identity::VerifiedIdentity)
//! identity. [`RelyingParty::run`] keeps the provider's metadata and keys fresh; the provider may be
//! down at startup and at any time later.
//!
//! A sign-in passes these modules in order:
//!
//! ```text
//! callback           query of the redirect back to the gateway
//! code_flow          code → tokens, at the token endpoint
//! model::jws         signature of the ID token, by the key set of provider_cache
//! claims_validation  iss, aud, azp, exp, nbf, iat
//! id_token           nonce, at_hash, sub
//! identification     the sources of claims: the ID token, and
//! group_lookup       the provider's directory, for groups that no claim has
//! userinfo           the userinfo endpoint, for claims missing in the ID token
//! claims             claims → identity
//! ```
//!
//! [`RelyingParties`] has one for each provider; none of them knows of the others.
//!
//! [`RelyingParty::refresh`] passes the same checks later with a refresh token, which shows whether
//! the provider still confirms a session.

mod authentication_context;
mod authentication_error;
mod authorization_options;
mod callback;
mod claims;
mod claims_validation;
mod client_assertion;
mod client_key;
mod code_flow;
mod discovery;
mod endpoint_rewriter;
mod group_lookup;
mod http;
mod id_token;
mod identification;
mod logout_token;
mod probe;
mod provider_cache;
mod pushed_request;
mod refresh;
mod relying_parties;
mod relying_party;
mod settings;
mod supported_values;
pub mod trust;
mod tunnel;
mod userinfo;

pub use self::{
    authentication_context::authentication_context,
    authentication_error::{AuthenticationError, AuthenticationErrorClass},
    authorization_options::AuthorizationOptions,
    callback::{Callback, CallbackError},
    claims::identity_from_claims,
    client_assertion::KeyAuthentication,
    client_key::{AlgorithmMismatch, CertificateMismatch, ClientKey, ClientKeyError},
    code_flow::Prompt,
    discovery::{DiscoveryError, Document, ProviderMetadata, PushEndpoint},
    endpoint_rewriter::EndpointRewriter,
    group_lookup::{GroupLookup, GroupLookupError, ServiceAccount, ServiceAccountError},
    http::FetchError,
    logout_token::{LogoutRequest, LogoutTokenError},
    probe::{ProviderDescription, ProviderProbe, ProviderProbeError},
    provider_cache::ProviderStatus,
    pushed_request::PushPolicy,
    refresh::{RefreshError, RefreshGrant, RefreshedUser, SessionEnd},
    relying_parties::RelyingParties,
    relying_party::{AuthenticatedUser, ProviderUnavailable, RelyingParty},
    settings::{ClaimPaths, ClientAuth, ListedProvider, OidcSettings, OidcSetupError},
    supported_values::SupportedValues,
};
pub use model::jws::TokenError;
