//! Room keys: the one name of a room in policy, tokens, routing, metrics and audit.
//!
//! Jitsi's web client turns the address of its page into the node of the room's MUC address;
//! Prosody compares that node with the token's `room` claim. [`RoomKey`] is that node. The steps
//! are those of the client (jitsi-meet `react/features/base/util/uri.ts`): drop the characters that
//! the client drops, percent-decode, NFKC, lower case, `encodeURIComponent`, lower case again. Beyond
//! the client, an encoded apostrophe is dropped as a plain one is, and names of paths are reserved.
//! `docs/room-names.md` is the rule in full.

mod canonical;
mod tenant;

use std::{borrow::Cow, fmt, sync::Arc};

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use self::canonical::{
    NOT_SERVED, decode, decode_again, is_settled_by_client, node, path_segment,
    without_apostrophes, without_dropped,
};
pub use self::{canonical::MAX_NODE_BYTES, tenant::Tenant};

/// A room in canonical form, with its tenant if the deployment has tenants.
///
/// Serialized as `tenant/node` or `node`; deserialization refuses any other spelling.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RoomKey {
    tenant: Option<Tenant>,
    node: Arc<str>,
}

/// The room of a page address, and the address's canonical spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRoom {
    /// The room.
    pub key: RoomKey,
    /// The path to redirect to, if Jitsi's client and Prosody would read different rooms from this
    /// spelling (a doubly encoded name, an apostrophe, a slash too many, marks in another order), or
    /// Jitsi's web server has no page for it (a character that the client drops).
    pub respelled: Option<String>,
}

/// Why a text is not a room name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    /// Nothing is left of the name; usually an address that ends in `/`.
    #[error("the room name is empty")]
    Empty,
    /// The name is longer than [`MAX_NODE_BYTES`] once encoded, with the tenant.
    #[error("the room name is too long")]
    TooLong,
    /// The name's percent-encoding is broken, not UTF-8, or there more than twice.
    #[error("the room name is not readable text")]
    Encoding,
    /// The name has a character that no XMPP room address can carry.
    #[error("the room name has a character that rooms cannot have: {0:?}")]
    Character(char),
    /// The name is a path of Jitsi or the gateway, reserved for Jitsi's own use, or means every room.
    #[error("the room name is reserved")]
    Reserved,
    /// A stored name is not in canonical form.
    #[error("the room name is not in canonical form")]
    NotCanonical,
    /// The tenant has a character other than letters, digits, `.`, `_` and `-`, or is over 63
    /// characters.
    #[error("the tenant name is not valid")]
    Tenant,
}

// === impl RoomKey ===

impl RoomKey {
    /// Parses the raw (still percent-encoded) path segments of a page address.
    ///
    /// A doubly encoded name means the same room, but Jitsi's client decodes only once;
    /// [`PageRoom::respelled`] is then the spelling that both read alike.
    ///
    /// # Errors
    ///
    /// Any [`RoomError`] but `NotCanonical`.
    pub fn from_page(tenant: Option<&str>, segment: &str) -> Result<PageRoom, RoomError> {
        let tenant = tenant.map(Tenant::parse).transpose()?;
        let once = decode(&without_dropped(segment)).ok_or(RoomError::Encoding)?;
        let decoded = decode_again(&once).unwrap_or_else(|| once.clone());
        let name = without_apostrophes(&decoded);
        let key = Self::new(tenant, node(&name)?)?;
        let respelled = if !is_settled_by_client(&name) {
            Some(key.page_path())
        } else if name != once || segment.contains(NOT_SERVED) {
            Some(page_path(key.tenant(), &name))
        } else {
            None
        };
        Ok(PageRoom { key, respelled })
    }

    /// Parses a `room=` query value that was form-decoded once.
    ///
    /// Clients before March 2026 encode the name twice, later ones once (jitsi-meet pull request
    /// 17108); both spellings give the same key.
    ///
    /// # Errors
    ///
    /// Any [`RoomError`] that is about the name.
    pub fn from_query(tenant: Option<Tenant>, value: &str) -> Result<Self, RoomError> {
        let twice = decode_again(value);
        Self::new(tenant, node(twice.as_deref().unwrap_or(value))?)
    }

    /// Parses a typed name: `name` or `tenant/name`, not percent-encoded.
    ///
    /// Escapes are decoded and slashes read as in an address, so every key has an address.
    ///
    /// # Errors
    ///
    /// Any [`RoomError`] but `NotCanonical`.
    pub fn from_text(text: &str) -> Result<Self, RoomError> {
        let (tenant, name) = split_typed(text);
        let tenant = tenant.map(Tenant::parse).transpose()?;
        Self::from_words(tenant, &without_dropped(name))
    }

    /// Whether the `room` claim of another system's token names this room.
    ///
    /// Systems write the name there as people see it, and in the address either encoded, so that all its
    /// characters count, or plain, so that Jitsi's client drops some.
    ///
    /// # Errors
    ///
    /// Any [`RoomError`] that is about the name.
    pub fn is_named_by(&self, claim: &str) -> Result<bool, RoomError> {
        let read = |name: &str| Self::from_words(self.tenant.clone(), name);
        let encoded = read(claim)?;
        let plain = read(&without_dropped(claim));
        Ok(encoded == *self || plain.is_ok_and(|room| room == *self))
    }

    fn from_words(tenant: Option<Tenant>, name: &str) -> Result<Self, RoomError> {
        Self::new(tenant, node(&read_words(name))?)
    }

    fn new(tenant: Option<Tenant>, node: Arc<str>) -> Result<Self, RoomError> {
        let prefix = tenant
            .as_ref()
            .map_or(0, |tenant| TENANT_BRACKETS.len() + tenant.as_str().len());
        if prefix + node.len() > MAX_NODE_BYTES {
            return Err(RoomError::TooLong);
        }
        Ok(Self { tenant, node })
    }

    /// The path of the room's page.
    pub fn page_path(&self) -> String {
        page_path(self.tenant.as_ref(), &self.readable())
    }

    /// The path of the room's page in a spelling of the name that was typed: Jitsi's page shows the name as
    /// its address has it, and the key has small letters only.
    pub fn page_path_as(&self, typed: &str) -> String {
        let name = read_words(&without_dropped(split_typed(typed).1));
        let segment = path_segment(&name);
        let tenant = self.tenant.as_ref().map(Tenant::as_str);
        let own = Self::from_page(tenant, &segment)
            .is_ok_and(|page| page.key == *self && page.respelled.is_none());
        if own {
            page_path(self.tenant.as_ref(), &name)
        } else {
            self.page_path()
        }
    }

    /// The name to type for this room in place of a typed one that has more than is read of it: as in an
    /// address, some characters are dropped, and of several tenants all but the last.
    pub fn shortened(&self, typed: &str) -> Option<String> {
        let (_, name) = split_typed(typed);
        let slashes = typed.trim().trim_matches('/').matches('/').count();
        if slashes <= 1 && without_dropped(name) == name {
            return None;
        }
        decode(self.page_path_as(typed).trim_start_matches('/'))
    }

    /// The MUC node, which is also the token's `room` claim; without the tenant.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The tenant, if the address had one.
    pub fn tenant(&self) -> Option<&Tenant> {
        self.tenant.as_ref()
    }

    /// The percent-decoded name. Hostile text: escape it for the format it is written to.
    pub fn readable(&self) -> String {
        self.decoded().into_owned()
    }

    /// The [readable](Self::readable) name, without a copy of one that has no escapes.
    pub fn decoded(&self) -> Cow<'_, str> {
        percent_decode_str(&self.node).decode_utf8_lossy()
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
        if room.to_string() == text {
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

/// Splits a typed name into tenant and name. As in an address, slashes at the ends mean nothing, and of
/// several tenants the last counts.
fn split_typed(text: &str) -> (Option<&str>, &str) {
    let text = text.trim().trim_matches('/');
    match text.rsplit_once('/') {
        Some((tenants, name)) => {
            let tenant = tenants.trim_end_matches('/').rsplit('/').next();
            (tenant, name.trim())
        }
        None => (None, text),
    }
}

/// The name in a text that may be encoded, as in an address, or not.
fn read_words(text: &str) -> String {
    let once = decode_again(text);
    let once = once.as_deref().unwrap_or(text);
    without_apostrophes(&decode_again(once).unwrap_or_else(|| once.to_owned()))
}

fn page_path(tenant: Option<&Tenant>, name: &str) -> String {
    let name = path_segment(name);
    match tenant {
        Some(tenant) => format!("/{tenant}/{name}"),
        None => format!("/{name}"),
    }
}

/// What a tenant is written in before the room in a node at Prosody.
const TENANT_BRACKETS: &str = "[]";

#[cfg(test)]
mod tests;
