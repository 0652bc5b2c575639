//! What the tunnel knows of the bytes that passed.

use std::borrow::Cow;

use model::negotiation::StreamNegotiation;

use super::{
    FrameBoundary, Side,
    answers::{Answers, Reviewed},
    client_frames::{Accepted, ClientEnd, ClientFrames},
    pending_takeover::LostStream,
    server_frames::ServerFrames,
};
use crate::limits::ByteBudget;

/// What the tunnel knows of the bytes that passed.
#[derive(Debug)]
pub(super) struct Inspection {
    client: ClientFrames,
    answers: Answers,
    server: ServerFrames,
    negotiation: StreamNegotiation,
    /// The stanzas of Prosody since stream management began.
    stanzas: u32,
    /// Prosody ended the stream (RFC 7395 § 3.6).
    stream_over: bool,
}

// === impl Inspection ===

impl Inspection {
    pub(super) fn new(negotiation: StreamNegotiation, budget: &ByteBudget) -> Self {
        Self {
            client: ClientFrames::within(budget),
            answers: Answers::default(),
            server: ServerFrames::default(),
            negotiation,
            stanzas: 0,
            stream_over: false,
        }
    }

    /// The stream that Prosody keeps, or would keep, without this connection.
    pub(super) fn lost_stream(&self, side: Side) -> Option<LostStream> {
        let stream = self.negotiation.resumable().filter(|_| !self.stream_over)?;
        Some(LostStream {
            stream: stream.clone(),
            stanzas: self.stanzas,
            connected: side != Side::Server,
        })
    }

    pub(super) fn of_client<'b>(&mut self, bytes: &'b [u8]) -> Accepted<'b> {
        self.client.accept(bytes, &mut self.negotiation)
    }

    pub(super) fn of_prosody<'b>(&mut self, bytes: &'b [u8]) -> Accepted<'b> {
        if self.negotiation.is_settled() {
            self.follow(bytes);
            let forward = Cow::Borrowed(bytes);
            return Accepted { forward, end: None };
        }
        let Reviewed {
            forward,
            unread,
            error,
        } = self.answers.review(bytes, &mut self.negotiation);
        let unread = bytes.len().saturating_sub(unread);
        self.follow(bytes.get(unread..).unwrap_or_default());
        let end = error.map(|error| ClientEnd::Refused(error.into()));
        Accepted { forward, end }
    }

    fn follow(&mut self, bytes: &[u8]) {
        self.server.pass(bytes, |beginning| match beginning {
            b"<message" | b"<presenc" | [b'<', b'i', b'q', ..] => self.stanzas += 1,
            [b'<', b'c', b'l', b'o', b's', b'e', ..] => self.stream_over = true,
            _ => {}
        });
    }
}

impl FrameBoundary for Inspection {
    fn is_whole(&self) -> bool {
        self.answers.is_whole() && self.server.is_whole()
    }
}
