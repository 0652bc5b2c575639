//! Invitation links: `https://HOST/<room>?invite=<token>` admits its holder to one room.
//!
//! The token is the sealed link itself, so any replica opens it without a store. Only use counts and
//! revocation need the store, by the link's id.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    room::RoomKey,
    seal::{Keyring, Purpose, Sealer},
};

/// The content of an invitation link. The short field names keep the token short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationLink {
    /// The random id, for use counts and revocation.
    #[serde(rename = "i")]
    pub id: String,
    /// The room that it opens.
    #[serde(rename = "r")]
    pub room: RoomKey,
    /// Whether the holder is a host.
    #[serde(rename = "h", default, skip_serializing_if = "std::ops::Not::not")]
    pub host: bool,
    /// The name of its recipient, if it is personal.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The e-mail address of its recipient, if it is personal.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The first second of its validity; `None` is at once.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub begins: Option<Timestamp>,
    /// The first second after its validity.
    #[serde(rename = "x")]
    pub expires: Timestamp,
    /// The number of uses; `None` is unlimited.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// Its creator for the audit log: a member's subject or an integration's id.
    #[serde(rename = "b")]
    pub by: String,
}

/// Issues and opens tokens of invitation links.
pub struct InvitationLinks {
    sealer: Sealer,
}

/// Why a link is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The token was changed or truncated, or sealed by another deployment or a removed key.
    #[error("the link is not one of this deployment")]
    Unreadable,
    /// The link's validity has ended.
    #[error("the link has expired")]
    Expired,
    /// The link's validity begins at this time.
    #[error("the link opens the room only later")]
    TooEarly(Timestamp),
}

// === impl InvitationLinks ===

impl InvitationLinks {
    /// Creates the issuer of the deployment at `origin`.
    pub fn new(keyring: &Keyring, origin: &str) -> Self {
        Self {
            sealer: keyring.sealer(Purpose::Link, origin),
        }
    }

    /// Issues the link's token: base64url, which needs no encoding in a query.
    pub fn issue(&self, link: &InvitationLink) -> String {
        // Infallible: the fields are texts, numbers and booleans.
        let plain = serde_json::to_vec(link).expect("texts and numbers always serialize");
        self.sealer.seal(&plain)
    }

    /// Opens a token. Use count and revocation are left to the store.
    ///
    /// # Errors
    ///
    /// [`LinkError`].
    pub fn open(&self, token: &str, now: Timestamp) -> Result<InvitationLink, LinkError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(LinkError::Unreadable);
        }
        let link: InvitationLink = self
            .sealer
            .open(token)
            .and_then(|plain| serde_json::from_slice(&plain).ok())
            .ok_or(LinkError::Unreadable)?;
        if now >= link.expires {
            return Err(LinkError::Expired);
        }
        match link.begins {
            Some(begins) if now < begins => Err(LinkError::TooEarly(begins)),
            _ => Ok(link),
        }
    }
}

impl fmt::Debug for InvitationLinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InvitationLinks")
    }
}

/// Typical tokens have 200 bytes; with the longest name and address of the API they have 3000.
const MAX_TOKEN_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_000_000);

    fn links(key: u8, origin: &str) -> InvitationLinks {
        InvitationLinks::new(&Keyring::single([key; 32]), origin)
    }

    fn link() -> InvitationLink {
        InvitationLink {
            id: "lU4mSxTwQ0uJ3n2b".to_owned(),
            room: RoomKey::from_text("acme/calm-otter-4821-k7qd3m2a").unwrap(),
            host: false,
            name: None,
            email: None,
            begins: None,
            expires: NOW.after(Duration::from_hours(1)),
            uses: None,
            by: "248289761001".to_owned(),
        }
    }

    #[test]
    fn a_token_opens_as_the_issued_link_until_it_expires() {
        let links = links(1, "https://a");
        let full = InvitationLink {
            host: true,
            name: Some("Zoë <b>".to_owned()),
            email: Some("zoe@example.org".to_owned()),
            uses: Some(1),
            ..link()
        };
        for link in [link(), full] {
            let token = links.issue(&link);
            assert_eq!(links.open(&token, NOW), Ok(link.clone()));
            let last = link.expires.before(Duration::from_secs(1));
            assert!(links.open(&token, last).is_ok());
            assert_eq!(links.open(&token, link.expires), Err(LinkError::Expired));
        }
    }

    #[test]
    fn a_link_opens_from_its_begin() {
        let links = links(1, "https://a");
        let begins = NOW.after(Duration::from_mins(5));
        let later = InvitationLink {
            begins: Some(begins),
            ..link()
        };
        let token = links.issue(&later);
        assert_eq!(links.open(&token, NOW), Err(LinkError::TooEarly(begins)));
        assert_eq!(links.open(&token, begins), Ok(later));
    }

    #[test]
    fn tokens_are_short_and_url_safe() {
        let token = links(1, "https://a").issue(&link());
        assert!(token.len() <= 200, "{}", token.len());
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        assert!(token.chars().all(plain), "{token}");
    }

    #[test]
    fn the_longest_link_of_the_api_opens() {
        // A script with three bytes per character, at the limits of the API.
        let room = format!("{}/{}", "t".repeat(63), "%e4%bc%9a".repeat(56));
        let longest = InvitationLink {
            id: format!("{}.{}", "i".repeat(32), "r".repeat(16)),
            room: RoomKey::try_from(room).unwrap(),
            host: true,
            name: Some("會".repeat(128)),
            email: Some(format!("{}@x", "會".repeat(252))),
            begins: Some(NOW),
            uses: Some(10_000),
            by: "s".repeat(255),
            ..link()
        };
        let links = links(1, "https://a");
        assert_eq!(links.open(&links.issue(&longest), NOW), Ok(longest));
    }

    #[test]
    fn tokens_of_other_deployments_keys_and_purposes_are_refused() {
        let ours = links(1, "https://a");
        let plain = serde_json::to_vec(&link()).unwrap();
        let cookie = Keyring::single([1; 32])
            .sealer(Purpose::Session, "https://a")
            .seal(&plain);
        let other_text = Keyring::single([1; 32])
            .sealer(Purpose::Link, "https://a")
            .seal(b"{}");
        for token in [
            links(2, "https://a").issue(&link()),
            links(1, "https://b").issue(&link()),
            cookie,
            other_text,
            "A".repeat(5000),
            String::new(),
        ] {
            assert_eq!(ours.open(&token, NOW), Err(LinkError::Unreadable));
        }
    }

    proptest! {
        #[test]
        fn a_changed_or_truncated_token_is_refused(at: usize, to in "[A-Za-z0-9_-]", cut: usize) {
            let links = links(1, "https://a");
            let token = links.issue(&link());
            let at = at % token.len();
            let mut changed = token.clone();
            changed.replace_range(at..=at, &to);
            if changed != token {
                prop_assert_eq!(links.open(&changed, NOW), Err(LinkError::Unreadable));
            }
            let cut = token.get(..cut % token.len()).unwrap();
            prop_assert_eq!(links.open(cut, NOW), Err(LinkError::Unreadable));
        }
    }
}
