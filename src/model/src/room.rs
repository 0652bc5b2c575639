//! Room keys: the one name of a room in policy, tokens, routing, metrics and audit.
//!
//! Jitsi's web client turns the address of its page into the node of the room's MUC address;
//! Prosody compares that node with the token's `room` claim. [`RoomKey`] is that node. The steps
//! are those of the client (jitsi-meet `react/features/base/util/uri.ts`): drop the characters that
//! the client drops, percent-decode, NFKC, lower case, `encodeURIComponent`, lower case again.

mod canonical;
mod tenant;

use std::{borrow::Cow, fmt, sync::Arc};

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use self::canonical::{NOT_SERVED, decode, decode_again, node, path_segment, without_dropped};
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
    /// spelling (a doubly encoded name), or Jitsi's web server has no page for it (a character that the
    /// client drops).
    pub respelled: Option<String>,
}

/// Why a text is not a room name.
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
    /// The name is reserved for Jitsi's own use, or means every room.
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
        let twice = decode_again(&once);
        let node = node(twice.as_deref().unwrap_or(&once))?;
        let unserved = segment.contains(NOT_SERVED);
        let respelled = twice.or(unserved.then_some(once));
        let respelled = respelled.map(|name| page_path(tenant.as_ref(), &name));
        Ok(PageRoom {
            key: Self { tenant, node },
            respelled,
        })
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
        Ok(Self {
            tenant,
            node: node(twice.as_deref().unwrap_or(value))?,
        })
    }

    /// Parses a typed name: `name` or `tenant/name`, not percent-encoded.
    ///
    /// Escapes are decoded as in an address, so every key has an address.
    ///
    /// # Errors
    ///
    /// Any [`RoomError`] but `NotCanonical`.
    pub fn from_text(text: &str) -> Result<Self, RoomError> {
        let (tenant, name) = match text.split_once('/') {
            Some((tenant, name)) => (Some(Tenant::parse(tenant)?), name),
            None => (None, text),
        };
        Self::from_query(tenant, &without_dropped(name.trim()))
    }

    /// The path of the room's page.
    pub fn page_path(&self) -> String {
        page_path(self.tenant.as_ref(), &self.readable())
    }

    /// The path of the room's page in a spelling of the name that was typed: Jitsi's page shows the name as
    /// its address has it, and the key has small letters only.
    pub fn page_path_as(&self, typed: &str) -> String {
        let name = typed.split_once('/').map_or(typed, |(_, name)| name);
        let name = without_dropped(name.trim());
        let name = decode_again(&name).unwrap_or(name);
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
        // A name that still looks encoded has no page: its address would name another room.
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

fn page_path(tenant: Option<&Tenant>, name: &str) -> String {
    let name = path_segment(name);
    match tenant {
        Some(tenant) => format!("/{tenant}/{name}"),
        None => format!("/{name}"),
    }
}

#[cfg(test)]
mod tests;
