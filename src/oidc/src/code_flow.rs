//! The authorization code flow, by the `openidconnect` crate; no other module uses that crate.
//!
//! It builds the requests (PKCE, client authentication, logout) and parses token responses. The
//! tokens are validated by [`jws`](model::jws) and [`id_token`](crate::id_token) instead: logout
//! tokens, which the crate does not support, need the same checks, and the crate would refuse a
//! whole token response for one claim of an unexpected type.

use std::{fmt, pin::Pin};

use observe::error_chain;
use openidconnect::{
    AdditionalClaims, AuthType, AuthUrl, AuthenticationFlow, AuthorizationCode, ClientId,
    ClientSecret, CsrfToken, EndSessionUrl, EndpointNotSet, EndpointSet, ExtraTokenFields,
    HttpRequest, HttpResponse, IdToken, IssuerUrl, JsonWebKeySet, LogoutRequest, Nonce,
    OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, PostLogoutRedirectUrl, RedirectUrl,
    RefreshToken, RequestTokenError, Scope, StandardErrorResponse, StandardTokenResponse,
    TokenResponse, TokenUrl,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreResponseType,
        CoreRevocableToken, CoreTokenType,
    },
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tracing::warn;
use url::Url;

use crate::{
    AuthenticationError, AuthorizationOptions, ClientAuth, OidcSettings, OidcSetupError,
    client_assertion::ClientAssertions,
    discovery::ProviderMetadata,
    http::{Endpoint, FetchError, Fetcher},
    pushed_request::PushedRequests,
};
use model::{
    authorization_parameters::AuthorizationParameters, clock::Clock, jws::ClaimsSet, random::Random,
};

/// `prompt` of an authorization request (OpenID Connect Core 1.0 § 3.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// No page: the provider responds at once, with an error if a page is needed.
    None,
    /// A choice of accounts.
    SelectAccount,
    /// The person authenticates anew.
    Login,
}

/// Builds the requests of one client at one provider.
pub(crate) struct CodeFlow {
    client: Client,
    /// The authentication of a client that has a key.
    assertions: Option<ClientAssertions>,
    scopes: Vec<Scope>,
    parameters: AuthorizationParameters,
    form_post: bool,
    pushed_requests: Option<PushedRequests>,
    end_session: Option<EndSessionUrl>,
    signed_out: PostLogoutRedirectUrl,
}

/// The tokens of a token response.
pub(crate) struct Tokens {
    pub(crate) access: SecretString,
    /// In compact form, not verified yet. Always there after a sign-in, not after each refresh
    /// (OpenID Connect Core 1.0 § 12.2).
    pub(crate) id: Option<SecretString>,
    pub(crate) refresh: Option<SecretString>,
}

/// The error of a token request by the crate.
type TokenRequestError =
    RequestTokenError<FetchError, StandardErrorResponse<CoreErrorResponseType>>;

type Client = openidconnect::Client<
    NoClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    TokenResponseBody,
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

type TokenResponseBody = StandardTokenResponse<RawIdToken, CoreTokenType>;

/// The ID token of a token response, unparsed.
#[derive(Deserialize, Serialize)]
struct RawIdToken {
    id_token: Option<String>,
}

/// The additional claims that the crate parses: none.
#[derive(Debug, Deserialize, Serialize)]
struct NoClaims {}

// === impl CodeFlow ===

impl CodeFlow {
    pub(crate) fn new(
        settings: &OidcSettings,
        metadata: &ProviderMetadata,
        clock: &Clock,
        random: &Random,
    ) -> Result<Self, OidcSetupError> {
        let issuer = IssuerUrl::new(settings.issuer.clone()).map_err(|_| OidcSetupError::Issuer)?;
        let id = ClientId::new(settings.client_id.clone());
        let mut client = openidconnect::Client::new(id, issuer, JsonWebKeySet::default())
            .set_auth_uri(AuthUrl::from_url(metadata.authorization.clone()))
            .set_token_uri(TokenUrl::from_url(metadata.token.clone()))
            .set_redirect_uri(RedirectUrl::from_url(settings.redirect_uri.clone()))
            .set_auth_type(match &settings.client_auth {
                ClientAuth::Basic => AuthType::BasicAuth,
                ClientAuth::Post | ClientAuth::Key(_) => AuthType::RequestBody,
            });
        if let Some(secret) = &settings.client_secret {
            let secret = ClientSecret::new(secret.expose_secret().to_owned());
            client = client.set_client_secret(secret);
        }
        let scopes = settings.scopes.iter().filter(|&scope| scope != OPENID);
        let end_session = metadata.end_session.clone().map(EndSessionUrl::from_url);
        let assertions = match &settings.client_auth {
            ClientAuth::Basic | ClientAuth::Post => None,
            ClientAuth::Key(authentication) => Some(ClientAssertions::new(
                authentication,
                &settings.client_id,
                &settings.issuer,
                clock.clone(),
                random.clone(),
            )),
        };
        Ok(Self {
            client,
            assertions,
            scopes: scopes.cloned().map(Scope::new).collect(),
            parameters: settings.parameters.clone(),
            form_post: settings.form_post,
            pushed_requests: PushedRequests::new(settings, metadata)?,
            end_session,
            signed_out: PostLogoutRedirectUrl::from_url(settings.signed_out_uri.clone()),
        })
    }

    /// URL of an authorization request with PKCE (RFC 7636, S256).
    pub(crate) fn authorization_url(
        &self,
        state: &str,
        nonce: &str,
        verifier: &str,
        options: &AuthorizationOptions<'_>,
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
                Prompt::SelectAccount => CoreAuthPrompt::SelectAccount,
                Prompt::Login => CoreAuthPrompt::Login,
            });
        }
        if self.form_post {
            request = request.add_extra_param("response_mode", "form_post");
        }
        let (mut url, _, _) = request.url();
        options.add_to(&mut url, &self.parameters);
        url
    }

    /// Whether authorization requests are pushed.
    pub(crate) fn pushes_requests(&self) -> bool {
        self.pushed_requests.is_some()
    }

    /// The address that the browser is sent to for an authorization request: a reference to it, if requests are
    /// pushed.
    pub(crate) async fn push(
        &self,
        request: Url,
        fetcher: &Fetcher,
    ) -> Result<Url, AuthenticationError> {
        let Some(pushed_requests) = &self.pushed_requests else {
            return Ok(request);
        };
        let pushed = pushed_requests.push(&request, self.assertion_parameters(), fetcher);
        match pushed.await {
            Err(error) if !pushed_requests.is_required => {
                let reason = error_chain(&error);
                warn!(
                    provider = fetcher.metrics.provider(),
                    reason,
                    "an authorization request was not pushed; its parameters go through the browser"
                );
                Ok(request)
            }
            outcome => outcome,
        }
    }

    /// Exchanges the code for tokens (OpenID Connect Core 1.0 § 3.1.3).
    pub(crate) async fn redeem(
        &self,
        code: &SecretString,
        verifier: &str,
        fetcher: &Fetcher,
    ) -> Result<Tokens, AuthenticationError> {
        let mut request = self
            .client
            .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.to_owned()));
        for (name, value) in self.assertion_parameters() {
            request = request.add_extra_param(name, value);
        }
        tokens_of(request.request_async(&token_endpoint(fetcher)).await)
    }

    /// Exchanges a refresh token for tokens (OpenID Connect Core 1.0 § 12.1).
    pub(crate) async fn refresh(
        &self,
        token: &SecretString,
        fetcher: &Fetcher,
    ) -> Result<Tokens, AuthenticationError> {
        let token = RefreshToken::new(token.expose_secret().to_owned());
        let mut request = self.client.exchange_refresh_token(&token);
        for (name, value) in self.assertion_parameters() {
            request = request.add_extra_param(name, value);
        }
        tokens_of(request.request_async(&token_endpoint(fetcher)).await)
    }

    /// What authenticates a client with a key in one token request.
    fn assertion_parameters(&self) -> impl Iterator<Item = (&'static str, String)> {
        let parameters = self.assertions.as_ref().map(ClientAssertions::parameters);
        parameters.into_iter().flatten()
    }

    /// URL of a logout request (RP-Initiated Logout 1.0 § 2); `None` if the provider has no
    /// `end_session_endpoint`.
    pub(crate) fn end_session_url(
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
            // Not by the crate, which would parse and re-encode the token.
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
    > for TokenResponseBody
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

/// A request to the token endpoint. The crate requires the returned future not to borrow from the
/// closure.
fn token_endpoint(
    fetcher: &Fetcher,
) -> impl Fn(HttpRequest) -> Pin<Box<dyn Future<Output = Result<HttpResponse, FetchError>> + Send>>
{
    let fetcher = fetcher.clone();
    move |request| {
        let fetcher = fetcher.clone();
        Box::pin(async move {
            let response = fetcher.fetch(Endpoint::Token, request).await?;
            Ok(response.map(without_unused_members))
        })
    }
}

fn tokens_of(
    response: Result<TokenResponseBody, TokenRequestError>,
) -> Result<Tokens, AuthenticationError> {
    let response = response.map_err(|error| match error {
        RequestTokenError::Request(error) => AuthenticationError::TokenEndpoint(error),
        RequestTokenError::ServerResponse(response) => {
            AuthenticationError::from_token_error(response.error().as_ref())
        }
        // Both may quote the response body, which may contain tokens.
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            AuthenticationError::TokenUnreadable
        }
    })?;
    if *response.token_type() != CoreTokenType::Bearer {
        return Err(AuthenticationError::TokenUnreadable);
    }
    let refresh = response.refresh_token().map(RefreshToken::secret);
    Ok(Tokens {
        access: response.access_token().secret().clone().into(),
        id: response.extra_fields().id_token.clone().map(Into::into),
        refresh: refresh
            .filter(|token| (1..=MAX_REFRESH_TOKEN_BYTES).contains(&token.len()))
            .map(|token| token.clone().into()),
    })
}

/// The token response without the members that the gateway does not use. Providers write
/// `expires_in` as a text or with a fraction, and `scope` as a list; the crate would refuse the
/// response for them. What is not a JSON object stays as it is.
fn without_unused_members(body: Vec<u8>) -> Vec<u8> {
    let Ok(mut members) = serde_json::from_slice::<ClaimsSet>(&body) else {
        return body;
    };
    members.retain(|name, value| match name.as_str() {
        "access_token" | "token_type" | "id_token" | "error" => true,
        // A sign-in does not need it.
        "refresh_token" => value.is_string(),
        _ => false,
    });
    // Infallible: the members were JSON.
    serde_json::to_vec(&members).unwrap_or(body)
}

/// The store keeps one for each session; those of real providers have a few kilobytes at most.
const MAX_REFRESH_TOKEN_BYTES: usize = 16 * 1024;

/// The crate adds this scope itself.
const OPENID: &str = "openid";
