//! `[room.features]`: Jitsi's features in a room.

use schemars::JsonSchema;
use serde::Deserialize;

use model::policy::{FeatureAccess, Features};

/// Who may use which of Jitsi's features: `"everyone"`, `"moderators"` or `"nobody"`. The client and
/// Prosody's plugins read them from `context.features` (jitsi-meet
/// `react/features/base/jwt/constants.ts`, `resources/prosody-plugins/util.lib.lua`).
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawFeatures {
    /// The branding of the room by a branding service.
    branding: Option<RawAllowed>,
    /// Calendar integration.
    calendar: Option<RawAllowed>,
    /// Creating polls.
    create_polls: Option<RawAllowed>,
    /// Sharing files in the chat.
    file_upload: Option<RawAllowed>,
    /// Moving a call to another device.
    flip: Option<RawAllowed>,
    /// Joining by telephone.
    inbound_call: Option<RawAllowed>,
    /// The list of view-only occupants.
    list_visitors: Option<RawAllowed>,
    /// Live translation.
    live_translation: Option<RawAllowed>,
    /// Receiving live translations.
    live_translation_subscribe: Option<RawAllowed>,
    /// Streaming the meeting.
    livestreaming: Option<RawAllowed>,
    /// Enabling the lobby.
    lobby: Option<RawAllowed>,
    /// Audio and video moderation.
    moderation: Option<RawAllowed>,
    /// The display name is that of the account and cannot be changed.
    name_readonly: Option<RawAllowed>,
    /// Calling telephone numbers.
    outbound_call: Option<RawAllowed>,
    /// Recording the meeting.
    recording: Option<RawAllowed>,
    /// Information about the room from the room service.
    room: Option<RawAllowed>,
    /// Sharing the screen.
    screen_sharing: Option<RawAllowed>,
    /// Writing in the chat.
    send_groupchat: Option<RawAllowed>,
    /// Joining by SIP device.
    sip_inbound_call: Option<RawAllowed>,
    /// Calling SIP devices.
    sip_outbound_call: Option<RawAllowed>,
    /// Transcribing the meeting.
    transcription: Option<RawAllowed>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum RawAllowed {
    Everyone,
    Moderators,
    Nobody,
}

// === impl RawFeatures ===

impl From<RawFeatures> for Features {
    fn from(raw: RawFeatures) -> Self {
        let all = [
            ("branding", raw.branding),
            ("calendar", raw.calendar),
            ("create-polls", raw.create_polls),
            ("file-upload", raw.file_upload),
            ("flip", raw.flip),
            ("inbound-call", raw.inbound_call),
            ("list-visitors", raw.list_visitors),
            ("live-translation", raw.live_translation),
            ("live-translation-subscribe", raw.live_translation_subscribe),
            ("livestreaming", raw.livestreaming),
            ("lobby", raw.lobby),
            ("moderation", raw.moderation),
            ("name-readonly", raw.name_readonly),
            ("outbound-call", raw.outbound_call),
            ("recording", raw.recording),
            ("room", raw.room),
            ("screen-sharing", raw.screen_sharing),
            ("send-groupchat", raw.send_groupchat),
            ("sip-inbound-call", raw.sip_inbound_call),
            ("sip-outbound-call", raw.sip_outbound_call),
            ("transcription", raw.transcription),
        ];
        let allowed = |raw| match raw {
            RawAllowed::Everyone => FeatureAccess::Everyone,
            RawAllowed::Moderators => FeatureAccess::Moderators,
            RawAllowed::Nobody => FeatureAccess::Nobody,
        };
        let set = all
            .into_iter()
            .filter_map(|(name, raw)| Some((name.to_owned(), allowed(raw?))));
        Self::new(set.collect())
    }
}
