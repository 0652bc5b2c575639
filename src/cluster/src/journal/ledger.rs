//! The content of a journal: what its lines amount to.

use std::collections::HashMap;

use model::clock::Timestamp;

use super::entry::{self, Entry, LineError};
use crate::revocation::{Kind, Record};

/// The live facts of a journal, one per id or key.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    facts: HashMap<Subject, Entry>,
}

/// The thing that a fact is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Subject {
    Revoked(Kind, String),
    Used(String),
    Stored(String),
}

/// A journal that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Replay {
    /// The facts of its intact lines.
    pub(super) ledger: Ledger,
    /// The bytes behind the last intact line, which a crash left.
    pub(super) torn: usize,
}

/// Why the content of a file is not a journal. Nothing of it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalDamage {
    /// The first line is another one.
    #[error("it does not begin like a journal of this release")]
    Header,
    /// A line is not as it was written.
    #[error("line {0} is damaged")]
    Line(usize),
    /// A line has entries that this release does not know.
    #[error("line {0} was written by a later release")]
    Unknown(usize),
}

// === impl Ledger ===

impl Ledger {
    /// Takes a fact; `false` if it says nothing that is not known.
    pub(super) fn apply(&mut self, entry: Entry) -> bool {
        let subject = Subject::of(&entry);
        let known = self.facts.get(&subject);
        if known.is_some_and(|known| !supersedes(&entry, known)) {
            return false;
        }
        if let Entry::Revoked { record, .. } = &entry
            && self.covers(record)
        {
            return false;
        }
        let replaces = match &entry {
            Entry::Revoked { record, .. } => record.kind.is_coarse(),
            Entry::Used { .. } | Entry::Stored { .. } => false,
        };
        self.facts.insert(subject, entry);
        if replaces {
            self.drop_replaced();
        }
        true
    }

    /// Whether a coarser revocation has replaced this one, or would.
    fn covers(&self, record: &Record) -> bool {
        record.coarser().into_iter().any(|(kind, id)| {
            let coarse = self.facts.get(&Subject::Revoked(kind, id.to_string()));
            matches!(coarse, Some(Entry::Revoked { record: coarse, .. }) if record.limit() <= coarse.time())
        })
    }

    fn drop_replaced(&mut self) {
        let replaced = self.facts.iter().filter(|(_, entry)| match entry {
            Entry::Revoked { record, .. } => self.covers(record),
            Entry::Used { .. } | Entry::Stored { .. } => false,
        });
        let replaced: Vec<_> = replaced.map(|(subject, _)| subject.clone()).collect();
        for subject in replaced {
            self.facts.remove(&subject);
        }
    }

    /// Removes expired facts.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.facts.retain(|_, entry| now < entry.expires());
    }

    /// The facts, in no particular order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.facts.values()
    }

    /// The number of facts.
    pub(super) fn len(&self) -> usize {
        self.facts.len()
    }

    /// The whole content of a file that has these facts.
    pub(super) fn to_file(&self) -> Vec<u8> {
        let mut file = HEADER.to_vec();
        file.extend(entry::encode_all(self.entries()));
        file
    }
}

/// Whether a fact about the same subject says more than the known one.
fn supersedes(new: &Entry, known: &Entry) -> bool {
    match (new, known) {
        (Entry::Revoked { record, .. }, Entry::Revoked { record: known, .. }) => {
            known.time() < record.time()
        }
        (Entry::Used { used, .. }, Entry::Used { used: known, .. }) => known < used,
        // The first value stays until it expires. That a new one comes shows that it has.
        (Entry::Stored { expires, .. }, Entry::Stored { expires: known, .. }) => known < expires,
        _ => true,
    }
}

// === impl Subject ===

impl Subject {
    fn of(entry: &Entry) -> Self {
        match entry {
            Entry::Revoked { record, .. } => Self::Revoked(record.kind, record.id.clone()),
            Entry::Used { key, .. } => Self::Used(key.clone()),
            Entry::Stored { key, .. } => Self::Stored(key.clone()),
        }
    }
}

/// Reads the content of a file.
///
/// A crash during the write of a line leaves a beginning of it, or holes of zeros in it, at the end
/// of the file; it was not acknowledged then, and is left out. Any other change is damage.
pub(super) fn replay(file: &[u8]) -> Result<Replay, JournalDamage> {
    let mut rest = file.strip_prefix(HEADER).ok_or(JournalDamage::Header)?;
    let mut ledger = Ledger::default();
    let mut number = 1;
    while !rest.is_empty() {
        number += 1;
        let end = rest.iter().position(|byte| *byte == b'\n');
        let Some((line, behind)) = end.and_then(|end| rest.split_at_checked(end + 1)) else {
            break;
        };
        match entry::decode(line.strip_suffix(b"\n").unwrap_or(line)) {
            Ok(entries) => {
                for entry in entries {
                    ledger.apply(entry);
                }
            }
            Err(LineError::Damaged) if rest.contains(&0) && !has_intact_line(behind) => break,
            Err(LineError::Damaged) => return Err(JournalDamage::Line(number)),
            Err(LineError::Unknown) => return Err(JournalDamage::Unknown(number)),
        }
        rest = behind;
    }
    let torn = rest.len();
    Ok(Replay { ledger, torn })
}

fn has_intact_line(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    lines.any(|line| entry::decode(line).is_ok())
}

/// The first line: the name of the format, and its version.
pub(super) const HEADER: &[u8] = b"jitsi-auth-gateway journal 1\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn used(key: &str, used: u32) -> Entry {
        Entry::Used {
            key: key.to_owned(),
            used,
            expires: Timestamp::from_unix(100),
        }
    }

    /// A file of ten lines, and the ledger after each.
    fn written() -> (Vec<u8>, Vec<(usize, Ledger)>) {
        let mut file = HEADER.to_vec();
        let mut states = vec![(file.len(), Ledger::default())];
        for n in 0..10 {
            let entries = [used("shared", n + 1), used(&format!("key {n}"), 1)];
            file.extend(entry::encode_all(&entries));
            let ledger = replay(&file).unwrap().ledger;
            states.push((file.len(), ledger));
        }
        (file, states)
    }

    #[test]
    fn every_truncation_reads_as_the_lines_that_were_complete() {
        let (file, states) = written();
        assert_eq!(states.last().unwrap().1.len(), 11);
        for length in HEADER.len()..=file.len() {
            let read = replay(&file[..length]).unwrap();
            let complete = states.iter().rev().find(|(end, _)| *end <= length);
            let (end, ledger) = complete.unwrap();
            assert_eq!(&read.ledger, ledger, "{length} bytes");
            assert_eq!(read.torn, length - end, "{length} bytes");
        }
        for length in 0..HEADER.len() {
            assert_eq!(replay(&file[..length]), Err(JournalDamage::Header));
        }
    }

    #[test]
    fn holes_of_zeros_in_the_last_line_are_a_torn_write() {
        let (file, states) = written();
        let (last, ledger) = &states[9];
        for at in *last..file.len() {
            let mut torn = file.clone();
            torn[at..].fill(0);
            assert_eq!(&replay(&torn).unwrap().ledger, ledger, "from {at}");
            let mut torn = file.clone();
            torn[*last..=at].fill(0);
            assert_eq!(&replay(&torn).unwrap().ledger, ledger, "up to {at}");
        }
    }

    #[test]
    fn every_other_changed_byte_is_damage() {
        let (file, states) = written();
        let number_at = |at: usize| states.iter().filter(|(end, _)| *end <= at).count() + 1;
        for at in 0..file.len() - 1 {
            let mut changed = file.clone();
            changed[at] ^= 1;
            let damage = replay(&changed).expect_err("a changed byte");
            if at < HEADER.len() {
                assert_eq!(damage, JournalDamage::Header, "byte {at}");
            } else {
                assert_eq!(damage, JournalDamage::Line(number_at(at)), "byte {at}");
            }
        }
        // A hole before an intact line was acknowledged.
        let mut hole = file.clone();
        hole[HEADER.len()..HEADER.len() + 20].fill(0);
        assert_eq!(replay(&hole), Err(JournalDamage::Line(2)));
    }

    #[test]
    fn a_compacted_file_has_the_same_facts() {
        let (file, states) = written();
        let ledger = &states.last().unwrap().1;
        let compacted = ledger.to_file();
        assert!(compacted.len() < file.len());
        let read = replay(&compacted).unwrap();
        assert_eq!((&read.ledger, read.torn), (ledger, 0));
    }

    #[test]
    fn of_two_facts_about_one_thing_the_stricter_stays() {
        let mut ledger = Ledger::default();
        assert!(ledger.apply(used("a", 2)));
        assert!(!ledger.apply(used("a", 2)));
        assert!(!ledger.apply(used("a", 1)));
        assert!(ledger.apply(used("a", 3)));
        ledger.sweep(Timestamp::from_unix(99));
        assert_eq!(ledger.len(), 1);
        ledger.sweep(Timestamp::from_unix(100));
        assert_eq!(ledger.len(), 0);
    }
}
