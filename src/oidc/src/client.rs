//! The code flow in the words of the `openidconnect` crate, which no other file sees.
//!
//! The crate builds the requests (PKCE, client authentication, logout) and reads the answers of the
//! token endpoint. The tokens themselves are checked by [`jws`](super::jws) and
//! [`id_token`](super::id_token): we need the same checks for logout tokens, which it does not know,
//! and a claim of an unforeseen type must not end a sign-in as an unreadable answer.

use std::fmt;

use openidconnect::{
    AdditionalClaims, AuthType, AuthUrl, AuthenticationFlow, AuthorizationCode, ClientId,
    ClientSecret, CsrfToken, EndSessionUrl, EndpointNotSet, EndpointSet, ExtraTokenFields, IdToken,
    IssuerUrl, JsonWebKeySet, LoginHint, LogoutRequest, Nonce, OAuth2TokenResponse,
    PkceCodeChallenge, PkceCodeVerifier, PostLogoutRedirectUrl, RedirectUrl, RequestTokenError,
    Scope, StandardErrorResponse, StandardTokenResponse, TokenResponse, TokenUrl,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreResponseType,
        CoreRevocableToken, CoreTokenType,
    },
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    ClientAuth, Prompt, Settings, SetupError, SignInFailure, SignInOptions,
    discovery::Endpoints,
    http::{Fetcher, Wanted},
};

/// Builds the requests of one client at one provider.
pub(super) struct Flow {
    client: Client,
    scopes: Vec<Scope>,
    end_session: Option<EndSessionUrl>,
    signed_out: PostLogoutRedirectUrl,
}

/// What the token endpoint gave for a code.
pub(super) struct Tokens {
    pub(super) access: SecretString,
    pub(super) id: SecretString,
}

type Client = openidconnect::Client<
    NoClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    TokenAnswer,
    openidconnect::core::CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    openidconnect::core::CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
    EndpointNotSet,
>;

type TokenAnswer = StandardTokenResponse<RawIdToken, CoreTokenType>;

/// The ID token as the text it came as.
#[derive(Deserialize, Serialize)]
struct RawIdToken {
    id_token: Option<String>,
}

/// Claims are read by us, not by the crate.
#[derive(Debug, Deserialize, Serialize)]
struct NoClaims {}

// === impl Flow ===

impl Flow {
    pub(super) fn new(settings: &Settings, endpoints: &Endpoints) -> Result<Self, SetupError> {
        let issuer = IssuerUrl::new(settings.issuer.clone()).map_err(|_| SetupError::Issuer)?;
        let id = ClientId::new(settings.client_id.clone());
        let mut client = openidconnect::Client::new(id, issuer, JsonWebKeySet::default())
            .set_auth_uri(AuthUrl::from_url(endpoints.authorization.clone()))
            .set_token_uri(TokenUrl::from_url(endpoints.token.clone()))
            .set_redirect_uri(RedirectUrl::from_url(settings.redirect_uri.clone()))
            .set_auth_type(match settings.client_auth {
                ClientAuth::Basic => AuthType::BasicAuth,
                ClientAuth::Post => AuthType::RequestBody,
            });
        if let Some(secret) = &settings.client_secret {
            let secret = ClientSecret::new(secret.expose_secret().to_owned());
            client = client.set_client_secret(secret);
        }
        let scopes = settings.scopes.iter().filter(|&scope| scope != OPENID);
        let end_session = endpoints.end_session.clone().map(EndSessionUrl::from_url);
        Ok(Self {
            client,
            scopes: scopes.cloned().map(Scope::new).collect(),
            end_session,
            signed_out: PostLogoutRedirectUrl::from_url(settings.signed_out_uri.clone()),
        })
    }

    /// Where to send the browser.
    pub(super) fn authorization_url(
        &self,
        state: &str,
        nonce: &str,
        verifier: &str,
        options: &SignInOptions,
    ) -> Url {
        let verifier = PkceCodeVerifier::new(verifier.to_owned());
        let (state, nonce) = (state.to_owned(), nonce.to_owned());
        let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let mut request = self
            .client
            .authorize_url(flow, || CsrfToken::new(state), || Nonce::new(nonce))
            .add_scopes(self.scopes.iter().cloned())
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        if let Some(prompt) = options.prompt {
            request = request.add_prompt(match prompt {
                Prompt::None => CoreAuthPrompt::None,
                Prompt::Login => CoreAuthPrompt::Login,
                Prompt::SelectAccount => CoreAuthPrompt::SelectAccount,
            });
        }
        if let Some(hint) = &options.login_hint {
            request = request.set_login_hint(LoginHint::new(hint.clone()));
        }
        let (url, _, _) = request.url();
        url
    }

    /// Redeems a code (OpenID Connect Core 1.0 § 3.1.3).
    pub(super) async fn redeem(
        &self,
        code: &SecretString,
        verifier: &str,
        fetcher: &Fetcher,
    ) -> Result<Tokens, SignInFailure> {
        // The library wants the exchange to outlive any borrow, so it gets a handle of its own.
        let fetch = |request| {
            let fetcher = fetcher.clone();
            async move { fetcher.fetch(Wanted::Tokens, request).await }
        };
        let answer = self
            .client
            .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.to_owned()))
            .request_async(&fetch)
            .await
            .map_err(|error| match error {
                RequestTokenError::Request(error) => SignInFailure::TokenEndpoint(error),
                RequestTokenError::ServerResponse(answer) => {
                    SignInFailure::of_token_error(answer.error().as_ref())
                }
                // Both may quote the answer, which may contain tokens.
                RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                    SignInFailure::TokenUnreadable
                }
            })?;
        if *answer.token_type() != CoreTokenType::Bearer {
            return Err(SignInFailure::TokenUnreadable);
        }
        let id = answer.extra_fields().id_token.clone();
        Ok(Tokens {
            access: answer.access_token().secret().clone().into(),
            id: id.ok_or(SignInFailure::NoIdToken)?.into(),
        })
    }

    /// Where to send the browser to end the provider's session as well (RP-Initiated Logout 1.0
    /// § 2), if the provider has such a place.
    pub(super) fn end_session_url(
        &self,
        id_token_hint: Option<&str>,
        state: Option<&str>,
    ) -> Option<Url> {
        let mut request = LogoutRequest::from(self.end_session.clone()?)
            .set_client_id(self.client.client_id().clone())
            .set_post_logout_redirect_uri(self.signed_out.clone());
        if let Some(state) = state {
            request = request.set_state(CsrfToken::new(state.to_owned()));
        }
        let mut url = request.http_get_url();
        if let Some(hint) = id_token_hint {
            // The crate would parse the token, and it is ours to hand back as it came.
            url.query_pairs_mut().append_pair("id_token_hint", hint);
        }
        Some(url)
    }
}

// === impl RawIdToken ===

impl ExtraTokenFields for RawIdToken {}

impl fmt::Debug for RawIdToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawIdToken(_)")
    }
}

impl
    TokenResponse<
        NoClaims,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    > for TokenAnswer
{
    fn id_token(
        &self,
    ) -> Option<
        &IdToken<
            NoClaims,
            CoreGenderClaim,
            CoreJweContentEncryptionAlgorithm,
            CoreJwsSigningAlgorithm,
        >,
    > {
        None
    }
}

// === impl NoClaims ===

impl AdditionalClaims for NoClaims {}

/// The crate adds this scope by itself.
const OPENID: &str = "openid";
