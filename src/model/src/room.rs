//! The one name of a room: what policy, token, routing, metrics and audit all mean by it.
//!
//! Jitsi's web client turns the address it was opened with into the node of the room's MUC address;
//! Prosody compares that node with the token's `room` claim. [`RoomKey`] is that node. The steps
//! are those of the client (jitsi-meet `react/features/base/util/uri.ts`): drop the characters the
//! client drops, percent-decode, NFKC, lower case, `encodeURIComponent`, lower case again.

use std::{fmt, sync::Arc};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// A room in canonical form, with its tenant if the deployment has tenants.
///
/// Written as `tenant/node` or `node`, and read back only if that is canonical.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RoomKey {
    tenant: Option<Tenant>,
    node: Arc<str>,
}

/// A tenant in canonical form: the first path segment of `/<tenant>/<room>`, with underscores for
/// its dots.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(Arc<str>);

/// The room that a page address names, and how the address should be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRoom {
    /// The room.
    pub key: RoomKey,
    /// The address to redirect to, if this spelling would make Jitsi's client and Prosody disagree
    /// on the room: a doubly encoded name.
    pub respelled: Option<String>,
}

/// Why a text names no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    /// Nothing is left of the name; usually an address that ends in `/`.
    #[error("the room name is empty")]
    Empty,
    /// The name is longer than [`MAX_NODE_BYTES`] once encoded.
    #[error("the room name is too long")]
    TooLong,
    /// The name's percent-encoding is broken or not UTF-8.
    #[error("the room name is not readable text")]
    Encoding,
    /// The name has a character that no XMPP room address can carry.
    #[error("the room name has a character that rooms cannot have: {0:?}")]
    Character(char),
    /// The name is kept for Jitsi's own use, or means every room.
    #[error("the room name is reserved")]
    Reserved,
    /// A stored name is not in canonical form.
    #[error("the room name is not in canonical form")]
    NotCanonical,
    /// The tenant is not made of letters, digits, `.`, `_` and `-`, or is over 63 characters.
    #[error("the tenant name is not valid")]
    Tenant,
}

// === impl RoomKey ===

impl RoomKey {
    /// Reads the room of a page address, from raw (still encoded) path segments.
    ///
    /// A doubly encoded name means the same room, but Jitsi's client decodes only once; the
    /// answer then says how to spell the address so that both agree.
    pub fn from_page(tenant: Option<&str>, segment: &str) -> Result<PageRoom, RoomError> {
        let tenant = tenant.map(Tenant::parse).transpose()?;
        let kept: String = segment
            .chars()
            .filter(|c| !DROPPED_BY_CLIENT.contains(*c))
            .collect();
        let once = decode(&kept).ok_or(RoomError::Encoding)?;
        let twice = decode_again(&once);
        let node = node(twice.as_deref().unwrap_or(&once))?;
        let respelled = twice.map(|name| {
            let name = utf8_percent_encode(&name, ENCODED_IN_PATH);
            tenant
                .as_ref()
                .map_or_else(|| format!("/{name}"), |tenant| format!("/{tenant}/{name}"))
        });
        Ok(PageRoom {
            key: Self { tenant, node },
            respelled,
        })
    }

    /// Reads the room of a `room=` query value that was form-decoded once.
    ///
    /// Clients before March 2026 encode the name twice, later ones once (jitsi-meet pull request
    /// 17108); both give the same room.
    pub fn from_query(tenant: Option<Tenant>, value: &str) -> Result<Self, RoomError> {
        let twice = decode_again(value);
        Ok(Self {
            tenant,
            node: node(twice.as_deref().unwrap_or(value))?,
        })
    }

    /// Reads what people type: a name, or `tenant/name`, not percent-encoded.
    pub fn from_text(text: &str) -> Result<Self, RoomError> {
        let (tenant, name) = match text.split_once('/') {
            Some((tenant, name)) => (Some(Tenant::parse(tenant)?), name),
            None => (None, text),
        };
        let name: String = name
            .trim()
            .chars()
            .filter(|c| !DROPPED_BY_CLIENT.contains(*c))
            .collect();
        // What an address would decode is decoded here, so that every key has an address.
        Self::from_query(tenant, &name)
    }

    /// The path of the room's page.
    pub fn page_path(&self) -> String {
        let name = self.readable();
        let name = utf8_percent_encode(&name, ENCODED_IN_PATH);
        match &self.tenant {
            Some(tenant) => format!("/{tenant}/{name}"),
            None => format!("/{name}"),
        }
    }

    /// The room as the token's `room` claim and the MUC node have it, without the tenant.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The tenant, if the address had one.
    pub fn tenant(&self) -> Option<&Tenant> {
        self.tenant.as_ref()
    }

    /// The name as people read it. Hostile text: escape it where it is shown.
    pub fn readable(&self) -> String {
        percent_decode_str(&self.node)
            .decode_utf8_lossy()
            .into_owned()
    }
}

impl From<RoomKey> for String {
    fn from(room: RoomKey) -> Self {
        room.to_string()
    }
}

impl TryFrom<String> for RoomKey {
    type Error = RoomError;

    fn try_from(text: String) -> Result<Self, RoomError> {
        let (tenant, node) = match text.split_once('/') {
            Some((tenant, node)) => (Some(Tenant::parse(tenant)?), node),
            None => (None, text.as_str()),
        };
        let room = Self::from_query(tenant, node)?;
        // What still looks encoded has no page of its own.
        if room.to_string() == text && decode_again(&room.readable()).is_none() {
            Ok(room)
        } else {
            Err(RoomError::NotCanonical)
        }
    }
}

impl fmt::Display for RoomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tenant) = &self.tenant {
            write!(f, "{tenant}/")?;
        }
        f.write_str(&self.node)
    }
}

impl fmt::Debug for RoomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoomKey({self})")
    }
}

// === impl Tenant ===

impl Tenant {
    /// Reads a tenant from a raw path segment.
    pub fn parse(segment: &str) -> Result<Self, RoomError> {
        let decoded = decode(segment).ok_or(RoomError::Tenant)?;
        let name: String = decoded.nfkc().collect::<String>().to_lowercase();
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let well_formed = (1..=MAX_TENANT_CHARS).contains(&name.len())
            && name.chars().all(allowed)
            && !name.starts_with(['-', '.'])
            && !name.ends_with(['-', '.']);
        if well_formed {
            // The client does the same before it makes a host name of it, so that `a.b` and `a_b`
            // are one tenant (docker-jitsi-meet and jitsi-meet `config.js`: `subdomain`).
            Ok(Self(name.replace('.', "_").into()))
        } else {
            Err(RoomError::Tenant)
        }
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tenant({self})")
    }
}

/// Percent-decodes a whole text, refusing broken escapes and text that is not UTF-8.
fn decode(text: &str) -> Option<String> {
    escapes_are_whole(text).then(|| {
        percent_decode_str(text)
            .decode_utf8()
            .ok()
            .map(std::borrow::Cow::into_owned)
    })?
}

/// Percent-decodes a text that was decoded once already, if it still holds an encoded name.
fn decode_again(text: &str) -> Option<String> {
    if text.contains('%') {
        decode(text).filter(|decoded| decoded != text)
    } else {
        None
    }
}

fn escapes_are_whole(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        let mut hex = rest.bytes();
        matches!((hex.next(), hex.next()),
            (Some(high), Some(low)) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
    })
}

/// The MUC node of a decoded room name.
fn node(name: &str) -> Result<Arc<str>, RoomError> {
    let name: String = name.nfkc().collect::<String>().to_lowercase();
    if let Some(character) = name
        .chars()
        .find(|c| c.is_control() || NOT_IN_ROOMS.contains(*c))
    {
        return Err(RoomError::Character(character));
    }
    if name.trim().is_empty() {
        return Err(RoomError::Empty);
    }
    if name.starts_with(RESERVED_PREFIX) || name == ANY_ROOM {
        return Err(RoomError::Reserved);
    }
    let node = utf8_percent_encode(&name, ENCODED_BY_CLIENT)
        .to_string()
        .to_ascii_lowercase();
    if node.len() > MAX_NODE_BYTES {
        return Err(RoomError::TooLong);
    }
    Ok(node.into())
}

/// What the client deletes from each part of the path before it decodes it
/// (`_ROOM_EXCLUDE_PATTERN` in jitsi-meet `react/features/base/util/uri.ts`).
const DROPPED_BY_CLIENT: &str = ":?#[]@!$&'()*+,;=></\"";

/// Decoded characters that no room can have: a path separator would make two addresses of one
/// room, and an apostrophe is not allowed in an XMPP node (RFC 7622 § 3.3.1) although
/// `encodeURIComponent` leaves it alone.
const NOT_IN_ROOMS: &str = "/\\'";

/// Prosody's room names for Jicofo's health checks.
const RESERVED_PREFIX: &str = "__jicofo-health-check";

/// What a token says that is for every room (jitsi-meet `resources/prosody-plugins/token/util.lib.lua`;
/// 8x8 reads it likewise).
const ANY_ROOM: &str = "*";

/// Half of what an XMPP node may be (1023 bytes, RFC 7622 § 3.1), so that `[tenant]` fits too and
/// the token stays small.
pub const MAX_NODE_BYTES: usize = 512;

/// As the web client warns (jitsi-meet `react/features/base/util/uri.ts`).
const MAX_TENANT_CHARS: usize = 63;

/// JavaScript's `encodeURIComponent` leaves letters, digits and `-_.!~*'()` (ECMA-262 § 19.2.6.4).
const ENCODED_BY_CLIENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// In a page address the characters that the client drops must be encoded to survive.
const ENCODED_IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Raw path segment → node, as Jitsi's client would have it.
    const SPELLINGS: &[(&str, &str)] = &[
        ("TeamCall", "teamcall"),
        ("teamcall", "teamcall"),
        ("TEAMCALL", "teamcall"),
        ("Team%20Call", "team%20call"),
        ("team%20call", "team%20call"),
        ("Team%2520Call", "team%20call"),
        ("Team+Call", "teamcall"),
        ("Team%2BCall", "team%2bcall"),
        ("Caf%C3%A9", "caf%c3%a9"),
        ("caf%c3%a9", "caf%c3%a9"),
        ("CAF%C3%89", "caf%c3%a9"),
        ("Cafe%CC%81", "caf%c3%a9"),
        ("caf%25c3%25a9", "caf%c3%a9"),
        ("Caf%25C3%25A9", "caf%c3%a9"),
        (
            "%D0%9F%D0%BB%D0%B0%D0%BD%D0%B5%D1%80%D0%BA%D0%B0",
            "%d0%bf%d0%bb%d0%b0%d0%bd%d0%b5%d1%80%d0%ba%d0%b0",
        ),
        (
            "%d0%bf%d0%bb%d0%b0%d0%bd%d0%b5%d1%80%d0%ba%d0%b0",
            "%d0%bf%d0%bb%d0%b0%d0%bd%d0%b5%d1%80%d0%ba%d0%b0",
        ),
        (
            "%D0%9F%D0%9B%D0%90%D0%9D%D0%95%D0%A0%D0%9A%D0%90",
            "%d0%bf%d0%bb%d0%b0%d0%bd%d0%b5%d1%80%d0%ba%d0%b0",
        ),
        ("%E4%BC%9A%E8%AD%B0", "%e4%bc%9a%e8%ad%b0"),
        ("%EF%BC%A1%EF%BC%A2", "ab"),
        ("%EF%AC%81sh", "fish"),
        ("%C3%84rger", "%c3%a4rger"),
        ("STRA%C3%9FE", "stra%c3%9fe"),
        (
            "%CE%A3%CE%9F%CE%A6%CE%9F%CE%A3",
            "%cf%83%ce%bf%cf%86%ce%bf%cf%82",
        ),
        ("%F0%9F%8E%89Party", "%f0%9f%8e%89party"),
        ("a-b_c.d~e", "a-b_c.d~e"),
        ("%61%62c", "abc"),
        ("room:1", "room1"),
        ("room%3A1", "room%3a1"),
        ("what%3F", "what%3f"),
        ("50%25off", "50%25off"),
        ("100%25", "100%25"),
        ("(private)", "private"),
        ("%28private%29", "(private)"),
        ("a!b", "ab"),
        ("a%21b", "a!b"),
        ("a*b", "ab"),
        ("a%2Ab", "a*b"),
        ("a&b=c", "abc"),
        ("a%26b%3Dc", "a%26b%3dc"),
        ("a@b", "ab"),
        ("a%40b", "a%40b"),
        ("a%C2%A0b", "a%20b"),
        ("%E2%91%A0", "1"),
        ("Q&A", "qa"),
        ("x%22y", "x%22y"),
        ("%3Cscript%3E", "%3cscript%3e"),
    ];

    #[test]
    fn every_spelling_of_a_page_gives_the_node_that_the_client_uses() {
        assert!(SPELLINGS.len() >= 40);
        for (spelling, expected) in SPELLINGS {
            let room = RoomKey::from_page(None, spelling).unwrap();
            assert_eq!(room.key.node(), *expected, "{spelling}");
        }
    }

    #[test]
    fn old_and_new_clients_query_values_give_the_key_of_the_page() {
        for (spelling, expected) in SPELLINGS {
            let key = RoomKey::from_page(None, spelling).unwrap().key;
            // New clients send the decoded name, old ones the node; both form-encoded once more.
            assert_eq!(
                RoomKey::from_query(None, &key.readable()).unwrap(),
                key,
                "{spelling}"
            );
            assert_eq!(
                RoomKey::from_query(None, expected).unwrap(),
                key,
                "{spelling}"
            );
        }
    }

    #[test]
    fn a_doubly_encoded_page_is_respelled_so_that_one_decoding_is_enough() {
        let room = RoomKey::from_page(Some("Acme"), "Caf%25C3%25A9%2520X").unwrap();
        assert_eq!(room.respelled.as_deref(), Some("/acme/Caf%C3%A9%20X"));
        assert_eq!(
            RoomKey::from_page(Some("acme"), "Caf%C3%A9%20X")
                .unwrap()
                .respelled,
            None
        );
    }

    #[test]
    fn names_that_are_no_room_are_refused() {
        let refused = |segment: &str| RoomKey::from_page(None, segment).unwrap_err();
        assert_eq!(refused(""), RoomError::Empty);
        assert_eq!(refused("%20"), RoomError::Empty);
        assert_eq!(refused("()"), RoomError::Empty);
        assert_eq!(refused("a%ZZ"), RoomError::Encoding);
        assert_eq!(refused("a%E9"), RoomError::Encoding);
        assert_eq!(refused("a%00"), RoomError::Character('\0'));
        assert_eq!(refused("a%0D%0Ab"), RoomError::Character('\r'));
        assert_eq!(refused("a%2Fb"), RoomError::Character('/'));
        assert_eq!(refused("a%252Fb"), RoomError::Character('/'));
        assert_eq!(refused("it%27s"), RoomError::Character('\''));
        assert_eq!(refused("__jicofo-health-check1"), RoomError::Reserved);
        // To Prosody and to 8x8 a token for it is a token for every room.
        assert_eq!(refused("%2A"), RoomError::Reserved);
        assert_eq!(refused("%252A"), RoomError::Reserved);
        assert_eq!(refused("%EF%BC%8A"), RoomError::Reserved);
        let tenant = Tenant::parse("acme").unwrap();
        let in_query = RoomKey::from_query(Some(tenant), "*");
        assert_eq!(in_query, Err(RoomError::Reserved));
        assert!(RoomKey::try_from("*".to_owned()).is_err());
        assert_eq!(refused(&"x".repeat(MAX_NODE_BYTES + 1)), RoomError::TooLong);
    }

    #[test]
    fn tenants_are_lower_case_host_like_words() {
        assert_eq!(Tenant::parse("Acme").unwrap().as_str(), "acme");
        assert_eq!(Tenant::parse("a_b-1").unwrap().as_str(), "a_b-1");
        // Both are rooms `[a_b]…` for Jitsi's client and Prosody.
        assert_eq!(Tenant::parse("A.b").unwrap(), Tenant::parse("a_b").unwrap());
        for bad in [
            "",
            "-a",
            "a-",
            "..",
            "a b",
            "a%20b",
            "caf%C3%A9",
            "*",
            "[x]",
            &"x".repeat(64),
        ] {
            assert_eq!(Tenant::parse(bad), Err(RoomError::Tenant), "{bad}");
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        for text in [
            "x",
            "acme/x",
            "caf%c3%a9",
            "a%20b",
            "100%25",
            "(private)",
            "a!*b",
        ] {
            let json = serde_json::to_string(text).unwrap();
            let room: RoomKey = serde_json::from_str(&json).unwrap();
            assert_eq!(serde_json::to_string(&room).unwrap(), json);
            // And its page is its own.
            let path = room.page_path();
            let (tenant, segment) = path[1..]
                .split_once('/')
                .map_or((None, &path[1..]), |(t, s)| (Some(t), s));
            let page = RoomKey::from_page(tenant, segment).unwrap();
            assert_eq!((page.key, page.respelled), (room, None), "{path}");
        }
        for text in [
            "",
            "X",
            "caf%C3%A9",
            "a b",
            "A.B/x",
            "a.b/x",
            "a/b/c",
            "caf%25c3%25a9",
        ] {
            let json = serde_json::to_string(text).unwrap();
            assert!(serde_json::from_str::<RoomKey>(&json).is_err(), "{text}");
        }
        let typed = RoomKey::from_text("  Team Ünit #1 ").unwrap();
        assert_eq!(typed.page_path(), "/team%20%C3%BCnit%201");
        assert_eq!(RoomKey::from_text("a.b/X").unwrap().to_string(), "a_b/x");
        assert_eq!(RoomKey::from_text("100%25").unwrap().node(), "100%25");
    }

    proptest! {
        #[test]
        fn the_key_of_a_key_is_itself(name in "\\PC{1,40}") {
            let encoded = utf8_percent_encode(&name, ENCODED_IN_PATH).to_string();
            if let Ok(room) = RoomKey::from_page(None, &encoded) {
                prop_assert!(room.key.node().is_ascii());
                let readable = utf8_percent_encode(&room.key.readable(), ENCODED_IN_PATH).to_string();
                // A name that still looks encoded after two decodings converges at the next step.
                if room.respelled.is_none() && decode_again(&room.key.readable()).is_none() {
                    prop_assert_eq!(RoomKey::from_page(None, &readable).unwrap().key, room.key);
                }
            }
        }
    }
}
