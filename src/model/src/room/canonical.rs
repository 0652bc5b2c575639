//! The canonical form of a room's name: the node of its MUC address.

use std::{borrow::Cow, sync::Arc};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use unicode_normalization::UnicodeNormalization;

use super::RoomError;
use crate::route::is_reserved_room;

/// Computes the MUC node of a percent-decoded room name: NFKC and lower case until both change nothing,
/// `encodeURIComponent`, lower case again.
pub(super) fn node(name: &str) -> Result<Arc<str>, RoomError> {
    let name = settled(name);
    // Its address would name another room.
    if decode_again(&name).is_some() {
        return Err(RoomError::Encoding);
    }
    if let Some(character) = name
        .chars()
        .find(|c| c.is_control() || NOT_IN_ROOMS.contains(*c))
    {
        return Err(RoomError::Character(character));
    }
    if name.trim().is_empty() {
        return Err(RoomError::Empty);
    }
    if name.starts_with(RESERVED_PREFIX) || name == ANY_ROOM || is_reserved_room(&name) {
        return Err(RoomError::Reserved);
    }
    let node = utf8_percent_encode(&name, ENCODED_BY_CLIENT)
        .to_string()
        .to_ascii_lowercase();
    Ok(node.into())
}

/// Removes apostrophes, also full-width ones, from a percent-decoded name: the client deletes them from
/// the address unless they are encoded, and then Prosody has no such room.
pub(super) fn without_apostrophes(name: &str) -> String {
    name.replace(APOSTROPHES, "")
}

/// A text in NFKC and lower case. Every poll names its room, and NFKC, which leaves ASCII as it is,
/// takes some hundred instructions per character.
pub(super) fn folded(text: &str) -> String {
    if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        text.nfkc().collect::<String>().to_lowercase()
    }
}

/// A text of which the client makes itself. The client folds once; a capital `İ` then becomes two
/// characters, and with another mark behind it their order is not that of NFKC.
fn settled(text: &str) -> String {
    let mut text = folded(text);
    for _ in 0..MAX_FOLDS {
        let again = folded(&text);
        if again == text {
            break;
        }
        text = again;
    }
    text
}

/// Whether the client makes the same node of a percent-decoded name.
pub(super) fn is_settled_by_client(name: &str) -> bool {
    name.is_ascii() || folded(name) == settled(name)
}

/// Removes the characters that the client deletes from a path segment before it decodes it.
pub(super) fn without_dropped(text: &str) -> String {
    text.chars()
        .filter(|c| !DROPPED_BY_CLIENT.contains(*c))
        .collect()
}

/// Percent-decodes a whole text; `None` for a broken escape or text that is not UTF-8.
pub(super) fn decode(text: &str) -> Option<String> {
    if !has_whole_escapes(text) {
        return None;
    }
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.ok().map(Cow::into_owned)
}

/// Percent-decodes a text a second time; `None` if it holds nothing that is still encoded.
pub(super) fn decode_again(text: &str) -> Option<String> {
    if text.contains('%') {
        decode(text).filter(|decoded| decoded != text)
    } else {
        None
    }
}

/// Encodes a readable name as a path segment from which the client reads the same name.
pub(super) fn path_segment(name: &str) -> String {
    utf8_percent_encode(name, ENCODED_IN_PATH).to_string()
}

fn has_whole_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        let mut hex = rest.bytes();
        matches!((hex.next(), hex.next()),
            (Some(high), Some(low)) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
    })
}

/// No name is known that needs more than two.
const MAX_FOLDS: usize = 4;

/// `_ROOM_EXCLUDE_PATTERN` in jitsi-meet `react/features/base/util/uri.ts`.
const DROPPED_BY_CLIENT: &str = ":?#[]@!$&'()*+,;=></\"";

/// Those of them that no location for pages of Jitsi's nginx matches: `[^/?&:'"]` in docker-jitsi-meet
/// `web/rootfs/defaults/meet.conf`, and in jitsi-meet `doc/debian/jitsi-meet/jitsi-meet.example`.
pub(super) const NOT_SERVED: [char; 4] = ['&', ':', '\'', '"'];

/// Decoded characters that no room can have: a path separator would give a room two addresses, and
/// an XMPP node cannot contain an apostrophe (RFC 7622 § 3.3.1), which `encodeURIComponent` leaves
/// unencoded.
const NOT_IN_ROOMS: &str = "/\\'";

/// The characters that NFKC makes an apostrophe of.
const APOSTROPHES: [char; 2] = ['\'', '\u{ff07}'];

/// Prosody's room names for Jicofo's health checks.
const RESERVED_PREFIX: &str = "__jicofo-health-check";

/// The `room` claim of a token for every room (jitsi-meet
/// `resources/prosody-plugins/token/util.lib.lua`); 8x8 reads it the same way.
const ANY_ROOM: &str = "*";

/// The length limit of an XMPP node (RFC 7622 § 3.3); Prosody and Jicofo refuse longer ones. A tenant's
/// rooms have the node `[tenant]room` at Prosody (jitsi-meet `mod_muc_domain_mapper`).
pub const MAX_NODE_BYTES: usize = 1023;

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

/// All but the unreserved characters (RFC 3986 § 2.3): the client would delete the others.
const ENCODED_IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
