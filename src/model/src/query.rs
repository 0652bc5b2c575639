//! Queries of signalling requests: parsed, and rebuilt for Prosody.
//!
//! Prosody decodes parameter names before it compares them and takes the last of a repeated one;
//! even an empty `token` in the query takes precedence over the `Authorization` header. No byte of
//! a client's query is therefore forwarded: [`SignallingQuery::parse`] reads it into values, and
//! [`ForwardedParameters::with_room`] writes a new one.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use crate::room::{MAX_NODE_BYTES, RoomError, RoomKey, Tenant};

/// The query of a BOSH request or WebSocket handshake.
#[derive(Clone, PartialEq, Eq)]
pub struct SignallingQuery {
    /// The room, in the spelling that policy, token and Prosody share.
    pub room: RoomKey,
    /// The client's `token`; the gateway verifies it and never forwards it.
    pub token: Option<String>,
    /// The other parameters that Prosody gets.
    pub forwarded: ForwardedParameters,
}

/// The client's parameters that Prosody's modules read, apart from `room` and `token`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardedParameters(Vec<(&'static str, String)>);

/// Why a signalling query is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// There is no `room`.
    #[error("the query names no room")]
    NoRoom,
    /// `room` is not a valid room name.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// `room` occurs twice with different values.
    #[error("the query names two rooms")]
    TwoRooms,
    /// The query is longer than Jitsi's clients ever send.
    #[error("the query is too long")]
    TooLong,
}

// === impl SignallingQuery ===

impl SignallingQuery {
    /// Parses a raw query; `tenant` is that of the path.
    ///
    /// # Errors
    ///
    /// [`QueryError`].
    pub fn parse(tenant: Option<Tenant>, raw: &str) -> Result<Self, QueryError> {
        if raw.len() > MAX_BYTES {
            return Err(QueryError::TooLong);
        }
        let (mut room, mut token, mut tokens) = (None, None, 0);
        let mut forwarded = ForwardedParameters::default();
        for (name, value) in form_urlencoded::parse(raw.as_bytes()) {
            match name.as_ref() {
                // Clients send the node or its decoded form, which is shorter.
                "room" if value.len() > MAX_NODE_BYTES => return Err(QueryError::TooLong),
                "room" => match &room {
                    Some(other) if *other != value => return Err(QueryError::TwoRooms),
                    _ => room = Some(value),
                },
                "token" => {
                    tokens += 1;
                    token = Some(value.into_owned());
                }
                name => forwarded.push(name, &value),
            }
        }
        Ok(Self {
            room: RoomKey::from_query(tenant, &room.ok_or(QueryError::NoRoom)?)?,
            // A repeated token is ambiguous, so neither is used.
            token: token.filter(|token| tokens == 1 && !token.is_empty()),
            forwarded,
        })
    }

    /// The query of a BOSH request, which resumes no stream: BOSH sessions have ids of their own.
    #[must_use]
    pub fn for_bosh(mut self) -> Self {
        self.forwarded.set_previous(None);
        self
    }
}

/// Without the token, which is a credential.
impl std::fmt::Debug for SignallingQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignallingQuery")
            .field("room", &self.room)
            .field("forwarded", &self.forwarded)
            .finish_non_exhaustive()
    }
}

// === impl ForwardedParameters ===

impl ForwardedParameters {
    /// Whether the connection resumes an earlier stream (`previd`, XEP-0198 § 5).
    pub fn resumes(&self) -> bool {
        self.previous().is_some()
    }

    /// `previd`: the client's id of the stream to resume.
    pub fn previous(&self) -> Option<&str> {
        let (_, id) = self.0.iter().find(|(name, _)| *name == PREVIOUS)?;
        Some(id)
    }

    /// Sets `previd` to Prosody's id of the stream, or removes it.
    pub fn set_previous(&mut self, id: Option<&str>) {
        self.0.retain(|(name, _)| *name != PREVIOUS);
        self.0.extend(id.map(|id| (PREVIOUS, id.to_owned())));
    }

    /// `vnode`: the visitor node that the client was sent to.
    pub fn visitor_node(&self) -> Option<&str> {
        let mut parameters = self.0.iter();
        let (_, node) = parameters.find(|(name, _)| *name == VISITOR_NODE)?;
        Some(node)
    }

    /// Removes `vnode`.
    pub fn drop_visitor_node(&mut self) {
        self.0.retain(|(name, _)| *name != VISITOR_NODE);
    }

    /// Formats the query for Prosody: the room's node as in the token's `room` claim and in the MUC
    /// address, each parameter once, and the tenant as `prefix`.
    ///
    /// Jitsi's modules look rooms up by this `room` (`get_room_by_name_and_subdomain` in jitsi-meet
    /// `resources/prosody-plugins/util.lib.lua`).
    pub fn with_room(&self, room: &RoomKey) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("room", room.node());
        for (name, value) in &self.0 {
            query.append_pair(name, value);
        }
        if let Some(tenant) = room.tenant() {
            query.append_pair("prefix", tenant.as_str());
        }
        query.finish()
    }

    fn push(&mut self, name: &str, value: &str) {
        let Some(&name) = FORWARDED.iter().find(|known| **known == name) else {
            return;
        };
        // Stream ids and node names consist of these characters; any other character may be an
        // injection.
        let plain =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '=' | '+' | '/');
        if value.is_empty() || value.len() > MAX_VALUE_BYTES || !value.chars().all(plain) {
            return;
        }
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, value.to_owned()));
    }
}

/// The query of a room page: credentials for the gateway, and the rest for Jitsi.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PageQuery {
    /// `jwt`: a token of an integration, or a client token of the gateway.
    pub jwt: Option<String>,
    /// `invite`: the token of a link.
    pub invite: Option<String>,
    /// The rest as the client wrote it, without the parameters that only the gateway may set.
    pub rest: String,
}

/// Whether a text has the parts of a token (RFC 7515 § 7.1). Pages that build an address from a variable
/// without a value write `undefined` or `null`, which is no credential.
fn has_parts_of_token(text: &str) -> bool {
    text.split('.').count() >= 3
}

/// The room that an address names in its `room` parameter, such as that of `config.js`.
pub fn room_of(tenant: Option<Tenant>, raw: &str) -> Option<RoomKey> {
    let query = SignallingQuery::parse(tenant, raw).ok()?;
    Some(query.room)
}

/// The room that a request names in its `room` parameter, if it has one.
///
/// # Errors
///
/// [`QueryError`], if the parameters name two rooms, or none that is valid: servers differ in which of two
/// they take.
pub fn named_room(tenant: Option<Tenant>, raw: &str) -> Result<Option<RoomKey>, QueryError> {
    match SignallingQuery::parse(tenant, raw) {
        Ok(query) => Ok(Some(query.room)),
        Err(QueryError::NoRoom) => Ok(None),
        Err(error) => Err(error),
    }
}

// === impl PageQuery ===

impl PageQuery {
    /// Parses a raw query. A repeated credential is ambiguous and ignored.
    pub fn parse(raw: &str) -> Self {
        let only = |wanted: &str| {
            let mut values = form_urlencoded::parse(raw.as_bytes())
                .filter(|(name, value)| name == wanted && !value.is_empty())
                .map(|(_, value)| value.into_owned());
            values.next().filter(|_| values.next().is_none())
        };
        Self {
            jwt: only("jwt").filter(|jwt| has_parts_of_token(jwt)),
            invite: only("invite"),
            rest: without_tokens(raw).into_owned(),
        }
    }
}

/// Without the tokens, which are credentials.
impl std::fmt::Debug for PageQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PageQuery")
    }
}

/// Removes the parameters that only the gateway may set (tokens and tenants) and leaves the rest
/// unchanged.
pub fn without_tokens(raw: &str) -> Cow<'_, str> {
    let is_reserved = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        let name = percent_decode_str(name).decode_utf8_lossy();
        matches!(name.as_ref(), "jwt" | "token" | "prefix" | "invite")
    };
    if raw.split('&').any(|pair| is_reserved(&pair)) {
        let kept: Vec<_> = raw.split('&').filter(|pair| !is_reserved(pair)).collect();
        Cow::Owned(kept.join("&"))
    } else {
        Cow::Borrowed(raw)
    }
}

/// Whether a query of a file names a version, as `?v=8319` does in Jitsi's pages.
pub fn has_version(raw: &str) -> bool {
    raw.split('&')
        .filter_map(|pair| pair.strip_prefix("v="))
        .any(|version| !version.is_empty())
}

/// The parameters that Jitsi's client adds to the address of its connection, beside `room` and
/// `token` (lib-jitsi-meet `modules/xmpp/ResumeTask.ts`, jitsi-meet
/// `react/features/base/conference`).
const FORWARDED: &[&str] = &[PREVIOUS, VISITOR_NODE, "customusername", "release"];

const PREVIOUS: &str = "previd";

const VISITOR_NODE: &str = "vnode";

/// A percent-encoded room has at most 1.5 KiB; the rest is space for the client's token.
const MAX_BYTES: usize = 8192;

/// Stream ids are UUIDs, and names of visitor nodes are short.
pub const MAX_VALUE_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rebuilt(raw: &str) -> String {
        let query = SignallingQuery::parse(None, raw).unwrap();
        query.forwarded.with_room(&query.room)
    }

    #[test]
    fn known_parameters_are_kept_and_no_others() {
        assert_eq!(
            rebuilt("room=team%20call&previd=abc&vnode=v0&customusername=u-1&release=9&x=1"),
            "room=team%2520call&previd=abc&vnode=v0&customusername=u-1&release=9"
        );
    }

    #[test]
    fn prosody_gets_the_room_in_the_spelling_of_the_token() {
        for raw in ["room=Caf%C3%A9", "room=caf%25c3%25a9", "room=CAF%25C3%2589"] {
            let query = SignallingQuery::parse(None, raw).unwrap();
            assert_eq!(query.room.node(), "caf%c3%a9");
            let forwarded = query.forwarded.with_room(&query.room);
            assert_eq!(forwarded, "room=caf%25c3%25a9", "{raw}");
        }
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
        let query = SignallingQuery::parse(Some(acme), "prefix=other&room=r").unwrap();
        let forwarded = query.forwarded.with_room(&query.room);
        assert_eq!(forwarded, "room=r&prefix=acme");
    }

    #[test]
    fn queries_without_exactly_one_room_are_refused() {
        for (raw, error) in [
            ("", QueryError::NoRoom),
            ("&&;=", QueryError::NoRoom),
            ("room=", QueryError::Room(RoomError::Empty)),
            ("room=a&room=b", QueryError::TwoRooms),
            ("room=a&%72oom=b", QueryError::TwoRooms),
        ] {
            assert_eq!(SignallingQuery::parse(None, raw), Err(error), "{raw}");
        }
        assert!(SignallingQuery::parse(None, &"a".repeat(9000)).is_err());
    }

    #[test]
    fn page_queries_lose_only_tokens_and_tenants() {
        assert_eq!(without_tokens("v=1&lang=de"), "v=1&lang=de");
        assert_eq!(without_tokens("jwt=x&v=1&%74oken=y&pre%66ix=z&a"), "v=1&a");
        assert_eq!(without_tokens("jwt"), "");
    }

    #[test]
    fn an_invalid_token_in_a_page_counts_as_no_token() {
        for (value, is_token) in [
            ("", false),
            ("undefined", false),
            ("null", false),
            ("%20", false),
            ("[object%20Object]", false),
            ("a.b", false),
            ("a.b.c", true),
            ("a.b.", true),
            ("a.b.c.d.e", true),
        ] {
            let page = PageQuery::parse(&format!("jwt={value}&a=1"));
            assert_eq!(
                (page.jwt.is_some(), &*page.rest),
                (is_token, "a=1"),
                "{value}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_query_smuggles_a_token_or_prefix(raw in "[ -~]{0,60}") {
            if let Ok(query) = SignallingQuery::parse(None, &format!("room=r&{raw}")) {
                let rebuilt = query.forwarded.with_room(&query.room);
                for (name, _) in form_urlencoded::parse(rebuilt.as_bytes()) {
                    prop_assert!(name == "room" || FORWARDED.contains(&name.as_ref()));
                }
            }
        }
    }
}
