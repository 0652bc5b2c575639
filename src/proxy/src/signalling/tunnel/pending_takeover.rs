//! The end of a stream that its own connection does not end.

use std::{pin::Pin, rc::Rc};

use model::negotiation::ResumableStream;

/// Takes a stream over with a connection of the gateway, and ends it there.
pub(in crate::signalling) type Takeover =
    Rc<dyn Fn(LostStream) -> Pin<Box<dyn Future<Output = ()>>>>;

/// A stream that Prosody keeps although its connection is of no use any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LostStream {
    pub(in crate::signalling) stream: ResumableStream,
    /// The stanzas that Prosody sent over the connection.
    pub(in crate::signalling) stanzas: u32,
    /// Prosody still has the connection.
    pub(in crate::signalling) connected: bool,
}

/// The takeover of a stream that Prosody keeps.
pub(super) struct PendingTakeover {
    /// None for recorders, which log in by password.
    takeover: Option<Takeover>,
    stream: Option<LostStream>,
}

// === impl PendingTakeover ===

impl PendingTakeover {
    pub(super) fn new(takeover: Option<Takeover>, stream: Option<LostStream>) -> Self {
        Self { takeover, stream }
    }

    /// Whether Prosody keeps the stream without its connection.
    pub(super) fn has_stream(&self) -> bool {
        self.stream.is_some()
    }

    /// Ends the stream.
    pub(super) async fn run(self) {
        if let Some((takeover, stream)) = self.takeover.zip(self.stream) {
            takeover(stream).await;
        }
    }
}
