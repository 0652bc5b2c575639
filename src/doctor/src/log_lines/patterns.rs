//! The known lines. The first pattern that matches a line explains it.

mod jitsi;
mod network;
mod prosody;

/// A kind of line and its explanation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// Parts of the line in lower case; a line has to contain all of them.
    parts: &'static [&'static str],
    pub(super) meaning: &'static str,
    pub(super) remedy: &'static str,
    /// The checks that confirm it, for `--only`.
    pub(super) checks: Option<&'static str>,
}

// === impl Pattern ===

impl Pattern {
    /// Matches a line in lower case.
    pub(super) fn matches(&self, line: &str) -> bool {
        self.parts.iter().all(|part| line.contains(part))
    }
}

const fn pattern(
    parts: &'static [&'static str],
    checks: Option<&'static str>,
    meaning: &'static str,
    remedy: &'static str,
) -> Pattern {
    Pattern {
        parts,
        meaning,
        remedy,
        checks,
    }
}

/// All patterns: causes before consequences, specific lines before general ones.
pub(super) fn patterns() -> impl Iterator<Item = &'static Pattern> {
    [
        prosody::STARTUP,
        prosody::LOGIN,
        prosody::ROOMS,
        network::ADDRESSES,
        jitsi::JICOFO_AND_BRIDGE,
        network::NEIGHBOURS,
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests;
