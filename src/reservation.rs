//! The answers to Prosody before it opens a room.
