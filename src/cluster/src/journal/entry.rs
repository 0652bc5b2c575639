//! The lines of a journal: a checksum, a space, the entries of one commit as JSON.

use model::clock::Timestamp;
use serde::{Deserialize, Serialize};

use crate::revocation::Record;

/// One fact that a restart must not undo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "e", rename_all = "snake_case")]
pub(crate) enum Entry {
    /// Sessions or a link are revoked.
    Revoked {
        /// The revocation.
        record: Record,
        /// When everything that it revokes has ended.
        expires: Timestamp,
    },
    /// A limited resource was used.
    Used {
        /// The resource.
        key: String,
        /// How often so far.
        used: u32,
        /// When the resource ends.
        expires: Timestamp,
    },
    /// A value that is written once.
    Stored {
        /// Its key.
        key: String,
        /// The value.
        value: String,
        /// When it expires.
        expires: Timestamp,
    },
}

/// Why a line cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineError {
    /// The checksum is not that of the line.
    Damaged,
    /// The line is intact, and this release does not know its content.
    Unknown,
}

// === impl Entry ===

impl Entry {
    /// When nothing is lost by forgetting it.
    pub(super) fn expires(&self) -> Timestamp {
        match self {
            Self::Revoked { expires, .. }
            | Self::Used { expires, .. }
            | Self::Stored { expires, .. } => *expires,
        }
    }
}

/// Formats entries as lines of a bounded length, for a file that is written as a whole.
pub(super) fn encode_all<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Vec<u8> {
    let entries: Vec<_> = entries.into_iter().collect();
    entries.chunks(LINE_ENTRIES).flat_map(encode).collect()
}

/// Formats entries as one line: after a crash it is there as a whole or not at all.
pub(super) fn encode(entries: &[&Entry]) -> Vec<u8> {
    // Infallible: the types have string keys and no fallible `Serialize`.
    let json = serde_json::to_string(entries).expect("entries serialize to JSON");
    format!("{:08x} {json}\n", crc32(json.as_bytes())).into_bytes()
}

/// Parses a line without its line feed.
pub(super) fn decode(line: &[u8]) -> Result<Vec<Entry>, LineError> {
    let (sum, json) = line.split_at_checked(8).ok_or(LineError::Damaged)?;
    let json = json.strip_prefix(b" ").ok_or(LineError::Damaged)?;
    if sum != format!("{:08x}", crc32(json)).as_bytes() {
        return Err(LineError::Damaged);
    }
    serde_json::from_slice(json).map_err(|_| LineError::Unknown)
}

/// The CRC-32 of IEEE 802.3, which finds every burst of errors up to 32 bits. A table would make it
/// faster than the disk needs.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = crc & 1;
            crc = (crc >> 1) ^ (carry * POLYNOMIAL);
        }
    }
    !crc
}

/// Keeps lines at about 100 KiB.
const LINE_ENTRIES: usize = 500;

/// The reversed generator polynomial of CRC-32.
const POLYNOMIAL: u32 = 0xEDB8_8320;

#[cfg(test)]
mod tests {
    use super::*;

    fn used(key: &str) -> Entry {
        Entry::Used {
            key: key.to_owned(),
            used: 1,
            expires: Timestamp::from_unix(9),
        }
    }

    #[test]
    fn the_checksum_is_the_crc_32_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let entries = [used("a\n\"b\""), used("ü")];
        let line = encode_all(&entries);
        let (feed, content) = line.split_last().unwrap();
        assert_eq!(*feed, b'\n');
        assert!(!content.contains(&b'\n'));
        assert_eq!(decode(content).unwrap(), entries);
    }

    #[test]
    fn every_changed_byte_is_found() {
        let line = encode(&[&used("a")]);
        let content = line.strip_suffix(b"\n").unwrap();
        for at in 0..content.len() {
            let mut changed = content.to_vec();
            changed[at] ^= 1;
            assert_eq!(decode(&changed), Err(LineError::Damaged), "byte {at}");
        }
        for short in ["", "0", "00000000", "00000000 ", "00000000x"] {
            let read = decode(short.as_bytes());
            assert!(read.is_err(), "{short:?}: {read:?}");
        }
    }

    #[test]
    fn an_intact_line_of_a_later_release_is_unknown() {
        let json = r#"[{"e":"device","key":"k"}]"#;
        let line = format!("{:08x} {json}", crc32(json.as_bytes()));
        assert_eq!(decode(line.as_bytes()), Err(LineError::Unknown));
    }
}
