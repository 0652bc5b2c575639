//! Checks of a provider that need no user, for `doctor`.

use std::{fmt, sync::Arc};

use http::{HeaderMap, Response, StatusCode};
use model::{clock::Clock, random::Random};
use observe::{error_chain, metrics::ProviderMetrics};
use secrecy::SecretString;

use crate::{
    AuthenticationError, AuthorizationOptions, FetchError, GroupLookup, GroupLookupError,
    OidcSettings, OidcSetupError, Prompt, SupportedValues,
    code_flow::CodeFlow,
    discovery::{DiscoveryError, Document, ProviderMetadata},
    endpoint_rewriter::EndpointRewriter,
    group_lookup::google_directory,
    http::Fetcher,
};

/// Sends single requests to the provider as the gateway or a browser would.
pub struct ProviderProbe {
    settings: Arc<OidcSettings>,
    rewriter: EndpointRewriter,
    fetcher: Fetcher,
    clock: Clock,
    random: Random,
}

/// Result of [`ProviderProbe::describe`].
pub struct ProviderDescription {
    /// Headers of the response with the discovery document.
    pub headers: HeaderMap,
    /// `backchannel_logout_supported`.
    pub back_channel_logout: bool,
    /// `frontchannel_logout_supported`.
    pub front_channel_logout: bool,
    /// Lists of supported values.
    pub supported: SupportedValues,
    flow: CodeFlow,
}

/// Why the provider's discovery document or key set cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderProbeError {
    /// No response; the error with its causes.
    #[error("{0}")]
    Unreachable(String),
    /// No client accepts the provider's certificate; the reason.
    #[error("{0}")]
    Certificate(String),
    /// Another status than 200: the URL is probably not an issuer.
    #[error("the request for the discovery document was answered with {0}")]
    Status(StatusCode),
    /// The document is of another issuer than the configured one.
    #[error("the discovery document is of issuer {found:?}")]
    Issuer {
        /// `issuer` of the document.
        found: String,
    },
    /// The document is malformed or has a refused endpoint.
    #[error("{0}")]
    Unusable(String),
    /// The key set cannot be fetched, or has no usable key.
    #[error("{0}")]
    Keys(String),
}

// === impl ProviderProbe ===

impl ProviderProbe {
    /// Reads certificate authorities; opens no connection.
    pub fn new(
        settings: &OidcSettings,
        clock: Clock,
        random: Random,
    ) -> Result<Self, OidcSetupError> {
        Ok(Self {
            clock,
            random,
            rewriter: EndpointRewriter::new(&settings.issuer, settings.internal_url.as_ref())?,
            fetcher: Fetcher::new(settings, ProviderMetrics::default())?,
            settings: Arc::new(settings.clone()),
        })
    }

    /// Fetches the discovery document and the key set.
    pub async fn describe(&self) -> Result<ProviderDescription, ProviderProbeError> {
        let response = self.fetcher.get(&self.rewriter.discovery_url()).await;
        let headers = match response {
            Ok(response) => response.headers().clone(),
            Err(error @ FetchError::Certificate(_)) => {
                return Err(ProviderProbeError::Certificate(error.to_string()));
            }
            Err(error) => return Err(ProviderProbeError::Unreachable(error_chain(&error))),
        };
        let metadata =
            ProviderMetadata::discover(&self.settings.issuer, &self.rewriter, &self.fetcher)
                .await
                .map_err(ProviderProbeError::from_discovery)?;
        metadata
            .fetch_keys(&self.fetcher)
            .await
            .map_err(|error| ProviderProbeError::Keys(error_chain(&error)))?;
        let flow = CodeFlow::new(&self.settings, &metadata, &self.clock, &self.random)
            .map_err(|error| ProviderProbeError::Unusable(error_chain(&error)))?;
        Ok(ProviderDescription {
            headers,
            back_channel_logout: metadata.back_channel_logout,
            front_channel_logout: metadata.front_channel_logout,
            supported: metadata.supported,
            flow,
        })
    }

    /// Sends an authorization request with `prompt=none`, without any session at the provider.
    pub async fn authorize(
        &self,
        provider: &ProviderDescription,
        state: &str,
        nonce: &str,
        verifier: &str,
    ) -> Result<Response<Vec<u8>>, FetchError> {
        let options = AuthorizationOptions {
            prompt: Some(Prompt::None),
            ..AuthorizationOptions::default()
        };
        let url = provider
            .flow
            .authorization_url(state, nonce, verifier, &options);
        // A refusal shows in the answer to the plain request, and in that to the request for tokens.
        let address = match provider.flow.push(url.clone(), &self.fetcher).await {
            Err(AuthenticationError::PushEndpoint(error)) => return Err(error),
            pushed => pushed.unwrap_or(url),
        };
        self.fetcher.get(&address).await
    }

    /// Reads the directory of groups with the gateway's own account; `None` if there is no directory, or one that is read with
    /// the access token of a person.
    pub async fn read_groups(&self) -> Option<Result<(), GroupLookupError>> {
        match self.settings.group_lookup.as_ref()? {
            GroupLookup::MicrosoftGraph { .. } => None,
            GroupLookup::GoogleDirectory { url, account } => {
                Some(google_directory::probe(url, account, self.clock.now(), &self.fetcher).await)
            }
        }
    }

    /// Sends a logout request without a session; `None` if the provider has no
    /// `end_session_endpoint`.
    pub async fn end_session(
        &self,
        provider: &ProviderDescription,
    ) -> Option<Result<Response<Vec<u8>>, FetchError>> {
        let url = provider.flow.end_session_url(None, None)?;
        Some(self.fetcher.get(&url).await)
    }

    /// Redeems a code that the provider never issued. The error distinguishes an unknown client
    /// or a wrong secret ([`AuthenticationError::ClientRefused`]) from a refused code.
    pub async fn redeem(
        &self,
        provider: &ProviderDescription,
        code: SecretString,
        verifier: &str,
    ) -> Result<(), AuthenticationError> {
        provider
            .flow
            .redeem(&code, verifier, &self.fetcher)
            .await
            .map(drop)
    }
}

impl fmt::Debug for ProviderProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProviderProbe({})", self.settings.issuer)
    }
}

// === impl ProviderDescription ===

impl fmt::Debug for ProviderDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProviderDescription")
    }
}

// === impl ProviderProbeError ===

impl ProviderProbeError {
    fn from_discovery(error: DiscoveryError) -> Self {
        match error {
            DiscoveryError::Fetch(Document::Metadata, error) => {
                Self::Unreachable(error_chain(&error))
            }
            DiscoveryError::Status(Document::Metadata, status) => Self::Status(status),
            DiscoveryError::Issuer { found, .. } => Self::Issuer { found },
            other => Self::Unusable(error_chain(&other)),
        }
    }
}
