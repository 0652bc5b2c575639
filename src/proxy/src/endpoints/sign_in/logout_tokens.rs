//! The logout tokens that any replica accepted.

use std::fmt::Write as _;

use cluster::store::PutOutcome;
use oidc::LogoutRequest;
use tracing::debug;

use crate::store_client::StoreClient;

/// The `jti` of accepted logout tokens in the store (OpenID Connect Back-Channel Logout 1.0 § 2.6, step 8):
/// a token that was sent to one replica ends no later session by another.
#[derive(Debug)]
pub(crate) struct AcceptedLogoutTokens {
    store: StoreClient,
}

// === impl AcceptedLogoutTokens ===

impl AcceptedLogoutTokens {
    pub(crate) fn new(store: StoreClient) -> Self {
        Self { store }
    }

    /// Notes a token; `false` if a replica accepted it before. While the store fails, each replica knows
    /// its own: a logout must not wait for the store.
    pub(in crate::endpoints) async fn accept(&self, logout: &LogoutRequest) -> bool {
        let noted = self
            .store
            .put_if_absent(key(logout), VALUE.to_owned(), logout.lifetime)
            .await;
        match noted {
            Ok(outcome) => outcome == PutOutcome::Stored,
            Err(error) => {
                debug!(%error, "the other replicas do not know an accepted logout token");
                true
            }
        }
    }

    /// Forgets a token, which the provider may send again.
    pub(in crate::endpoints) async fn forget(&self, logout: &LogoutRequest) {
        if let Err(error) = self.store.take(key(logout)).await {
            debug!(%error, "a repeated logout token may be refused");
        }
    }
}

fn key(logout: &LogoutRequest) -> String {
    let mut key = "logout-token:".to_owned();
    for byte in logout.id() {
        // Infallible for a `String`.
        let _ = write!(key, "{byte:02x}");
    }
    key
}

const VALUE: &str = r#"{"v":1}"#;
