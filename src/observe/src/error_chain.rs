//! Errors in one line.

use std::{error::Error, iter};

/// The messages of an error and of its sources, joined by colons.
pub fn error_chain(error: &dyn Error) -> String {
    let chain = iter::successors(Some(error), |&error| error.source());
    chain
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the key")]
    struct Outer(#[from] io::Error);

    #[test]
    fn sources_follow_their_error() {
        let error = Outer(io::Error::other("no such file"));
        assert_eq!(error_chain(&error), "cannot read the key: no such file");
    }
}
