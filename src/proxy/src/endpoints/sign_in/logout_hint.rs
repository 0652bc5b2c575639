//! The ID token of a session, which a cookie keeps for the logout at its provider.

use model::provider::ProviderId;
use oidc::RelyingParty;
use secrecy::{ExposeSecret, SecretString};

/// `id_token_hint` of a later logout request (RP-Initiated Logout 1.0 § 2), and the provider that it is
/// for.
pub(super) struct LogoutHint {
    /// The [scope](model::provider::SubjectScope::provider) of the provider.
    pub(super) provider: Option<ProviderId>,
    pub(super) id_token: SecretString,
}

// === impl LogoutHint ===

impl LogoutHint {
    /// The ID token for its provider, and for no other.
    pub(super) fn for_party(&self, party: &RelyingParty) -> Option<&str> {
        let is_its = self.provider.as_ref() == party.scope().provider();
        is_its.then(|| self.id_token.expose_secret())
    }

    /// The content of the cookie: the token, with the id of one of several providers before it.
    pub(super) fn to_text(&self) -> SecretString {
        let token = self.id_token.expose_secret();
        match &self.provider {
            Some(provider) => format!("{provider} {token}").into(),
            None => token.to_owned().into(),
        }
    }

    /// Reads the content of the cookie.
    pub(super) fn parse(content: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(content).ok()?;
        // A compact token (RFC 7515 § 7.1) has no space.
        let (provider, id_token) = match text.split_once(' ') {
            Some((provider, token)) => (Some(provider.parse().ok()?), token),
            None => (None, text),
        };
        Some(Self {
            provider,
            id_token: id_token.to_owned().into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_keeps_its_provider_and_that_of_the_only_one_is_the_token() {
        for (provider, text) in [(None, "ey.J.w"), (Some("school"), "school ey.J.w")] {
            let hint = LogoutHint {
                provider: provider.map(|id| id.parse().unwrap()),
                id_token: "ey.J.w".to_owned().into(),
            };
            assert_eq!(hint.to_text().expose_secret(), text);
            let read = LogoutHint::parse(text.as_bytes()).unwrap();
            assert_eq!(read.provider, hint.provider);
            assert_eq!(read.id_token.expose_secret(), "ey.J.w");
        }
        assert!(LogoutHint::parse(b"School ey.J.w").is_none());
        assert!(LogoutHint::parse(b"\xff").is_none());
    }
}
