//! Jitsi's web server and the pages in its place: room pages, `config.js`, files.

pub(crate) mod assets;
pub(crate) mod embedding;
pub(crate) mod jaas_page;
mod page_completion;
pub(crate) mod room_page;

use model::token::SignerError;

/// Why the gateway cannot make a page or a request for Jitsi's web server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebError {
    /// The key of the `JaaS` account does not sign.
    #[error("the backend token cannot be signed")]
    Token(#[from] SignerError),
    /// The script of 8x8 has no address.
    #[error("internal error: script URL is not a valid URI")]
    ScriptUrl,
    /// The canonical path cannot be a request target.
    #[error("internal error: a canonical path is not a target")]
    Target,
}
