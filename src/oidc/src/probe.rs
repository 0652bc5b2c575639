//! A look at the provider without a person, for whoever sets a deployment up.

use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode};
use secrecy::SecretString;

use super::{
    FetchError, Prompt, Settings, SetupError, SignInFailure, SignInOptions,
    client::Flow,
    discovery::{DiscoveryError, Endpoints, Faces},
    http::{Fetcher, in_full},
};

/// Asks a provider what can be asked without signing in.
pub struct Probe {
    settings: Arc<Settings>,
    faces: Faces,
    fetcher: Fetcher,
}

/// What the provider says of itself.
pub struct Description {
    /// The heads of its answer.
    pub headers: HeaderMap,
    /// Whether it says that it tells of sign-outs elsewhere.
    pub back_channel_logout: bool,
    flow: Flow,
}

/// Why the provider's description, or its key set, is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptionError {
    /// There is no way to the provider.
    #[error("{0}")]
    Unreachable(String),
    /// Something else is there.
    #[error("the description was answered with {0}")]
    Answer(StatusCode),
    /// The provider is another one, by its own words.
    #[error("the description is of issuer {found:?}")]
    Issuer {
        /// What it calls itself.
        found: String,
    },
    /// The description cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// The key set cannot be had or used.
    #[error("{0}")]
    Keys(String),
}

// === impl Probe ===

impl Probe {
    /// Connects to nothing yet.
    pub fn new(settings: &Settings) -> Result<Self, SetupError> {
        Ok(Self {
            faces: Faces::new(settings)?,
            fetcher: Fetcher::new(settings)?,
            settings: Arc::new(settings.clone()),
        })
    }

    /// Fetches the description and the keys.
    pub async fn describe(&self) -> Result<Description, DescriptionError> {
        let head = self.fetcher.look(&self.faces.description()).await;
        let headers = match head {
            Ok(answer) => answer.headers().clone(),
            Err(error) => return Err(DescriptionError::Unreachable(in_full(&error))),
        };
        let endpoints = Endpoints::discover(&self.settings.issuer, &self.faces, &self.fetcher);
        let endpoints = endpoints.await.map_err(DescriptionError::of)?;
        let keys = endpoints.keys(&self.fetcher).await;
        keys.map_err(|error| DescriptionError::Keys(in_full(&error)))?;
        let flow = Flow::new(&self.settings, &endpoints)
            .map_err(|error| DescriptionError::Unusable(in_full(&error)))?;
        Ok(Description {
            headers,
            back_channel_logout: endpoints.back_channel_logout,
            flow,
        })
    }

    /// Asks as a browser would that is sent to sign somebody in, but for nobody.
    pub async fn ask(
        &self,
        provider: &Description,
        state: &str,
        nonce: &str,
        verifier: &str,
    ) -> Result<Response<Vec<u8>>, FetchError> {
        let options = SignInOptions {
            prompt: Some(Prompt::None),
            login_hint: None,
        };
        let url = provider
            .flow
            .authorization_url(state, nonce, verifier, &options);
        self.fetcher.look(&url).await
    }

    /// Asks as a browser would that is sent to sign out, but whom nobody signed in; `None` if the
    /// provider has no place for that.
    pub async fn sign_out(
        &self,
        provider: &Description,
    ) -> Option<Result<Response<Vec<u8>>, FetchError>> {
        let url = provider.flow.end_session_url(None, None)?;
        Some(self.fetcher.look(&url).await)
    }

    /// Redeems a code that the provider never issued: what it says then tells whether it knows the
    /// client and its secret.
    pub async fn redeem(
        &self,
        provider: &Description,
        code: SecretString,
        verifier: &str,
    ) -> Result<(), SignInFailure> {
        let redeemed = provider.flow.redeem(&code, verifier, &self.fetcher).await;
        redeemed.map(drop)
    }
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Probe({})", self.settings.issuer)
    }
}

// === impl Description ===

impl std::fmt::Debug for Description {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Description")
    }
}

// === impl DescriptionError ===

impl DescriptionError {
    fn of(error: DiscoveryError) -> Self {
        match error {
            DiscoveryError::Fetch(_, error) => Self::Unreachable(in_full(&error)),
            DiscoveryError::Status(_, status) => Self::Answer(status),
            DiscoveryError::Issuer { found, .. } => Self::Issuer { found },
            other => Self::Unusable(in_full(&other)),
        }
    }
}
