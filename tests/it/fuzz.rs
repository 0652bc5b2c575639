//! The properties of `tests/fuzz` for the stored seeds and for thousands of changes of them, which are the
//! same in every run. `tests/fuzz/README.md` has the long runs.

use std::{fs, path::Path};

#[path = "../fuzz/properties.rs"]
mod properties;

use self::properties::TARGETS;

#[test]
fn properties_hold_for_the_seeds_and_for_changes_of_them() {
    let mut executions = 0;
    let rounds = rounds();
    for (name, property, cost) in TARGETS {
        let rounds = rounds / cost;
        let seeds = seeds(name);
        assert!(seeds.len() >= 3, "{name}: {} seeds", seeds.len());
        for seed in &seeds {
            property(seed);
        }
        let mut mutator = Mutator::new(name);
        for _ in 0..rounds {
            let bytes = mutator.changed(&seeds);
            // The failing input is part of the message.
            let outcome = std::panic::catch_unwind(|| property(&bytes));
            assert!(outcome.is_ok(), "{name}: {}", bytes.escape_ascii());
        }
        executions += seeds.len() + rounds;
    }
    println!("{} properties, {executions} executions", TARGETS.len());
}

#[test]
fn the_seeds_are_small() {
    let all = TARGETS.iter().flat_map(|(name, ..)| seeds(name));
    let bytes: usize = all.map(|seed| seed.len()).sum();
    assert!(bytes < 300 * 1024, "{bytes}");
}

#[expect(clippy::disallowed_methods, reason = "an option of a test")]
fn rounds() -> usize {
    let text = std::env::var("GATEWAY_FUZZ_ROUNDS");
    text.map_or(ROUNDS, |text| text.parse().unwrap())
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/seeds")
        .join(name);
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Changes seeds by a sequence of numbers that depends on the name alone.
struct Mutator(u64);

impl Mutator {
    fn new(name: &str) -> Self {
        let start = name.bytes().fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(start)
    }

    /// The next number below `end` (xorshift64).
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end.max(1)
    }

    fn changed(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(12)).min(bytes.len());
            match self.below(6) {
                0 => drop(bytes.drain(at..end)),
                1 => {
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part);
                }
                2 => {
                    let token = TOKENS[self.below(TOKENS.len())];
                    bytes.splice(at..at, token.bytes());
                }
                3 => {
                    let other = &seeds[self.below(seeds.len())];
                    let from = self.below(other.len() + 1);
                    let to = (from + self.below(40)).min(other.len());
                    bytes.splice(at..end, other[from..to].iter().copied());
                }
                4 => bytes.truncate(at),
                _ if at < bytes.len() => bytes[at] = u8::try_from(self.below(256)).unwrap(),
                _ => {}
            }
        }
        bytes
    }
}

/// Texts that parsers treat in a way of their own.
const TOKENS: &[&str] = &[
    "%",
    "%2f",
    "%2e",
    "%25",
    "%252f",
    "%00",
    "%C3%A9",
    "/",
    "//",
    "/../",
    "\\",
    ".",
    "..",
    ";",
    "#",
    "?",
    "&",
    "=",
    "+",
    " ",
    "\r\n",
    "\n",
    "\0",
    "é",
    "İ",
    "ß",
    "\u{300}",
    "\u{200b}",
    "\u{feff}",
    "'",
    "\"",
    "<",
    ">",
    "</script>",
    "<!--",
    "-->",
    "<head>",
    "</head>",
    "&amp;",
    "&#0;",
    "<![CDATA[",
    "]]>",
    "[",
    "]",
    "{",
    "}",
    "room=",
    "jwt=",
    "token=",
    "http-bind",
    "_gateway",
    "-1",
    "1e300",
    "18446744073709551616",
];

/// For each property, divided by its cost; all of them take some seconds in a debug build.
const ROUNDS: usize = 5000;
