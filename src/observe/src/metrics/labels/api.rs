//! Labels of the API for other systems.

use super::label_values;

label_values! {
    /// An operation of the API.
    pub enum ApiOperation {
        /// `POST meetings`.
        CreateMeeting = "create_meeting",
        /// `POST links`.
        CreateLink = "create_link",
        /// `DELETE links/{id}`.
        RevokeLink = "revoke_link",
        /// `GET rooms/{room}`.
        Room = "room",
        /// `GET openapi.json`.
        Document = "document",
        /// A path or method that is no operation.
        Unknown = "unknown",
    }
}

label_values! {
    /// How a request to the API ended.
    pub enum ApiOutcome {
        /// Done.
        Ok = "ok",
        /// `401`: no key, or several.
        KeyMissing = "key_missing",
        /// `401`: the key is not of any integration.
        KeyUnknown = "key_unknown",
        /// `403` or `404`: the room or link belongs to another integration.
        Foreign = "foreign",
        /// `429`: too many requests with one key.
        TooMany = "too_many",
        /// Another `4xx`: path, method, body or header.
        Invalid = "invalid",
        /// `503`: the store is unavailable.
        Unavailable = "unavailable",
    }
}
