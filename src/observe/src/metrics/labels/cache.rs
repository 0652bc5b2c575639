//! Labels of the cache of Jitsi's files.

use super::label_values;

label_values! {
    /// How a request for a static file was answered.
    pub enum CacheOutcome {
        /// A fresh stored file.
        Hit = "hit",
        /// Fetched for this request.
        Miss = "miss",
        /// Fetched for another request at the same time.
        Collapsed = "collapsed",
        /// Stored, and validated for this request.
        Revalidated = "revalidated",
        /// Stored and stale, because the web server failed.
        Stale = "stale",
        /// Forwarded: not storable, or the client asked for it.
        Bypass = "bypass",
    }
}
