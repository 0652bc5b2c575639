//! The query of signalling requests: read, judged, and written anew for Prosody.
//!
//! Prosody decodes parameter names before it compares them, and of a repeated one takes the last; a
//! `token` in the query beats the one in the head even when it is empty. So nothing of the client's
//! query is passed on as it came.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use crate::room::{MAX_NODE_BYTES, RoomKey, Tenant};

/// The parameters of a signalling request that mean something to Prosody and may come from a
/// client.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SignallingQuery {
    room: Option<String>,
    token: Option<String>,
    passed: Vec<(&'static str, String)>,
}

/// Why a signalling query is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// `room` comes twice with different values.
    #[error("the query names two rooms")]
    TwoRooms,
    /// The query is longer than any client makes.
    #[error("the query is too long")]
    TooLong,
}

// === impl SignallingQuery ===

impl SignallingQuery {
    /// Reads a raw query.
    pub fn parse(raw: &str) -> Result<Self, QueryError> {
        if raw.len() > MAX_BYTES {
            return Err(QueryError::TooLong);
        }
        let mut query = Self::default();
        let mut tokens = 0;
        for (name, value) in form_urlencoded::parse(raw.as_bytes()) {
            match name.as_ref() {
                // Clients send the node or its readable form, which is shorter. More would make
                // the head longer than Prosody reads, whatever short name it comes down to.
                "room" if value.len() > MAX_NODE_BYTES => return Err(QueryError::TooLong),
                "room" => match &query.room {
                    Some(other) if *other != value => return Err(QueryError::TwoRooms),
                    _ => query.room = Some(value.into_owned()),
                },
                "token" => {
                    tokens += 1;
                    query.token = Some(value.into_owned());
                }
                name => query.pass(name, &value),
            }
        }
        // Which of two was meant, nobody knows.
        query.token = query.token.filter(|token| tokens == 1 && !token.is_empty());
        Ok(query)
    }

    /// The client's `token`, if it has one: to be verified by us, never to be passed on.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Whether the connection takes up an earlier one (XEP-0198 § 5).
    pub fn resumes(&self) -> bool {
        self.passed.iter().any(|(name, _)| *name == "previd")
    }

    /// `vnode`: the Prosody for people who only watch that the client was sent to.
    pub fn visitor_node(&self) -> Option<&str> {
        let mut passed = self.passed.iter();
        let (_, node) = passed.find(|(name, _)| *name == VISITOR_NODE)?;
        Some(node)
    }

    /// Passes no `vnode` on.
    pub fn drop_visitor_node(&mut self) {
        self.passed.retain(|(name, _)| *name != VISITOR_NODE);
    }

    /// The `room` value, decoded once.
    pub fn room(&self) -> Option<&str> {
        self.room.as_deref()
    }

    /// The query for Prosody: each parameter once, ours last.
    pub fn for_prosody(&self, tenant: Option<&Tenant>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(room) = &self.room {
            query.append_pair("room", room);
        }
        for (name, value) in &self.passed {
            query.append_pair(name, value);
        }
        if let Some(tenant) = tenant {
            query.append_pair("prefix", tenant.as_str());
        }
        query.finish()
    }

    fn pass(&mut self, name: &str, value: &str) {
        let Some(&name) = PASSED.iter().find(|known| **known == name) else {
            return;
        };
        // Ids and node names; anything else in them is somebody trying something.
        let plain =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '=' | '+' | '/');
        if value.is_empty() || value.len() > MAX_VALUE_BYTES || !value.chars().all(plain) {
            return;
        }
        self.passed.retain(|(known, _)| *known != name);
        self.passed.push((name, value.to_owned()));
    }
}

/// Without the token.
impl std::fmt::Debug for SignallingQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignallingQuery")
            .field("room", &self.room)
            .field("passed", &self.passed)
            .finish_non_exhaustive()
    }
}

/// The query of a page's address: what it brings along for us, and the rest for Jitsi.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PageQuery {
    /// `jwt`: a token of an integration, or a client token of ours.
    pub jwt: Option<String>,
    /// `invite`: the token of a link.
    pub invite: Option<String>,
    /// The rest as it was written, without what only we may say.
    pub rest: String,
}

/// The room of an address that has it in its query, as of `config.js`; if it is one.
pub fn room_of(tenant: Option<Tenant>, raw: &str) -> Option<RoomKey> {
    let query = SignallingQuery::parse(raw).ok()?;
    RoomKey::from_query(tenant, query.room()?).ok()
}

// === impl PageQuery ===

impl PageQuery {
    /// Takes a raw query apart. What comes twice is nobody's.
    pub fn parse(raw: &str) -> Self {
        let only = |wanted: &str| {
            let mut values = form_urlencoded::parse(raw.as_bytes())
                .filter(|(name, value)| name == wanted && !value.is_empty())
                .map(|(_, value)| value.into_owned());
            values.next().filter(|_| values.next().is_none())
        };
        Self {
            jwt: only("jwt"),
            invite: only("invite"),
            rest: without_tokens(raw).into_owned(),
        }
    }
}

/// Without the tokens.
impl std::fmt::Debug for PageQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PageQuery")
    }
}

/// A query without what only we may say: tokens and tenants. The rest stays as it was written.
pub fn without_tokens(raw: &str) -> Cow<'_, str> {
    let is_ours = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        let name = percent_decode_str(name).decode_utf8_lossy();
        matches!(name.as_ref(), "jwt" | "token" | "prefix" | "invite")
    };
    if raw.split('&').any(|pair| is_ours(&pair)) {
        let kept: Vec<_> = raw.split('&').filter(|pair| !is_ours(pair)).collect();
        Cow::Owned(kept.join("&"))
    } else {
        Cow::Borrowed(raw)
    }
}

/// What Jitsi's client adds to the address of its connection, beside `room` and `token`
/// (lib-jitsi-meet `modules/xmpp/ResumeTask.ts`, jitsi-meet `react/features/base/conference`).
const PASSED: &[&str] = &["previd", VISITOR_NODE, "customusername", "release"];

const VISITOR_NODE: &str = "vnode";

/// A room of 512 bytes doubly encoded, and the rest with room to spare.
const MAX_BYTES: usize = 8192;

/// Stream ids and node names are shorter than this.
pub const MAX_VALUE_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rebuilt(raw: &str) -> String {
        SignallingQuery::parse(raw).unwrap().for_prosody(None)
    }

    #[test]
    fn what_means_something_is_kept_and_nothing_else() {
        assert_eq!(
            rebuilt("room=team%20call&previd=abc&vnode=v0&customusername=u-1&release=9&x=1"),
            "room=team+call&previd=abc&vnode=v0&customusername=u-1&release=9"
        );
        assert_eq!(rebuilt("room=caf%25c3%25a9"), "room=caf%25c3%25a9");
        assert_eq!(rebuilt(""), "");
        assert_eq!(rebuilt("&&;="), "");
    }

    #[test]
    fn tokens_and_prefixes_of_clients_never_pass() {
        let hostile = [
            "token=x",
            "token=",
            "%74oken=x",
            "t%6Fken=x",
            "TOKEN=x&token=y&token=z",
            "prefix=other",
            "%70refix=other",
            "prefix=a&prefix=b",
            "+token=x",
            "token%00=x",
            "previd=a%26token%3Db",
            "vnode=v0%0d%0aX:%20y",
            "release=%26prefix=other",
            "customusername=a b",
        ];
        for raw in hostile {
            let query = rebuilt(&format!("room=r&{raw}&room=r"));
            assert_eq!(query, "room=r", "{raw}");
        }
        let acme = Tenant::parse("acme").unwrap();
        let query = SignallingQuery::parse("prefix=other&room=r").unwrap();
        assert_eq!(query.for_prosody(Some(&acme)), "room=r&prefix=acme");
    }

    #[test]
    fn two_rooms_are_no_room() {
        assert_eq!(
            SignallingQuery::parse("room=a&room=b"),
            Err(QueryError::TwoRooms)
        );
        assert_eq!(
            SignallingQuery::parse("room=a&%72oom=b"),
            Err(QueryError::TwoRooms)
        );
        assert!(SignallingQuery::parse(&"a".repeat(9000)).is_err());
    }

    #[test]
    fn other_queries_only_lose_what_is_ours() {
        assert_eq!(without_tokens("v=1&lang=de"), "v=1&lang=de");
        assert_eq!(without_tokens("jwt=x&v=1&%74oken=y&pre%66ix=z&a"), "v=1&a");
        assert_eq!(without_tokens("jwt"), "");
    }

    proptest! {
        #[test]
        fn no_query_smuggles_a_token_or_prefix(raw in "[ -~]{0,60}") {
            if let Ok(query) = SignallingQuery::parse(&raw) {
                let rebuilt = query.for_prosody(None);
                for (name, _) in form_urlencoded::parse(rebuilt.as_bytes()) {
                    prop_assert!(name == "room" || PASSED.contains(&name.as_ref()));
                }
            }
        }
    }
}
