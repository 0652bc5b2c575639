//! Error messages with their causes, for logs.

use std::{error::Error, iter};

/// The error and its sources on one line, separated by colons.
pub(crate) fn error_chain(error: &dyn Error) -> String {
    iter::successors(Some(error), |&error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
