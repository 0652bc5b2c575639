//! The catalogue: every check and every finding, with the ids that scripts and docs/doctor.md use.

use std::fmt;

use serde::{Serialize, Serializer};

mod dependencies;

/// Declares [`Check`] and [`FindingKind`] from one table, so that each finding belongs to one
/// check.
macro_rules! catalogue {
    ($($check:ident $id:literal $title:literal { $($kind:ident $word:literal,)* })*) => {
        /// One thing that the doctor examines. Causes come before their consequences in this order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Check {
            $(#[doc = concat!($id, ": ", $title, ".")] $check,)*
        }

        impl Check {
            /// All checks, in order.
            pub const ALL: &'static [Self] = &[$(Self::$check,)*];

            /// The stable id, as `B1`.
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$check => $id,)*
                }
            }

            /// The subject of the check, for progress and reports.
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$check => $title,)*
                }
            }
        }

        /// What a check can find.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum FindingKind {
            $($(#[doc = concat!("`", $id, ".", $word, "`")] $kind,)*)*
            /// No HTTP response from a server that the check contacts.
            Unreached(Check, NetworkFault),
        }

        impl FindingKind {
            /// All findings, in the order of their checks.
            pub fn all() -> impl Iterator<Item = Self> {
                let findings = [$($(Self::$kind,)*)*].into_iter();
                let contacting = Check::ALL.iter().filter(|check| check.contacts_server());
                findings.chain(contacting.flat_map(|check| {
                    NetworkFault::ALL.map(|fault| Self::Unreached(*check, fault))
                }))
            }

            /// The check that makes this finding.
            pub const fn check(self) -> Check {
                match self {
                    $($(Self::$kind => Check::$check,)*)*
                    Self::Unreached(check, _) => check,
                }
            }

            /// The part of the id behind the dot, as `issuer` of `A1.issuer`.
            pub const fn word(self) -> &'static str {
                match self {
                    $($(Self::$kind => $word,)*)*
                    Self::Unreached(_, fault) => fault.word(),
                }
            }
        }
    };
}

catalogue! {
    Certificate "C2" "the certificate of the public address" {
        CertificateExpired "expired",
        CertificateName "name",
        CertificateTrust "trust",
        CertificateUnissued "unissued",
        CertificateEndsSoon "soon",
        CertificateStale "stale",
    }
    Clocks "C3" "the clocks of Prosody and the OpenID provider" {
        ProsodyClock "prosody",
        ProviderClock "provider",
    }
    Provider "C4" "the OpenID provider: discovery, client and redirect URI" {
        ProviderSettings "settings",
        ProviderUnreached "unreached",
        ProviderIssuer "issuer",
        ProviderDiscovery "description",
        ProviderKeys "keys",
        ProviderClient "client",
        ProviderSecret "secret",
        ProviderRedirectUri "redirect",
        ProviderScope "scope",
        ProviderFlow "flow",
        ProviderTokenEndpoint "token-endpoint",
        GroupDirectory "groups",
    }
    ProviderLogout "C5" "logout at the OpenID provider" {
        LogoutRedirectUri "redirect",
        LogoutUnsupported "no-logout",
        BackChannelUnsupported "no-back-channel",
    }
    ProviderRules "C6" "what the rules need from the OpenID provider" {
        ProviderAcr "acr",
        ProviderClaims "claims",
    }
    WebPage "W1" "Jitsi's page" {
        PageStatus "status",
        PageForeign "other",
        PageEncoded "encoding",
        PageCharset "charset",
    }
    WebConfig "W2" "Jitsi's config.js" {
        ConfigMissing "missing",
        ConfigDomain "domain",
        ConfigLocalhost "localhost",
        ConfigAddress "address",
        ConfigQuotes "quotes",
        ConfigScheme "scheme",
        ConfigEncoded "encoding",
        ConfigCharset "charset",
    }
    WebSignalling "W3" "the web server's ways to Prosody" {
        WebLeadsToProsody "signalling",
    }
    Locations "W4" "what stands beside the meetings" {
        LocationMissing "missing",
    }
    ConferenceRequests "W5" "conference requests over HTTP" {
        ConferenceRequestRefused "jicofo",
        ConferenceRequestRemoved "removed",
        ConferenceRequestUnused "unused",
    }
    BoshEndpoint "B1" "Prosody's BOSH endpoint" {
        BoshHost "host",
        BoshModule "module",
        BoshWebServer "web",
        BoshProxyDown "down",
        BoshForeign "strange",
    }
    BoshSession "B2" "a BOSH session for the XMPP domain" {
        SessionDomain "domain",
        SessionRewritten "rewritten",
        SessionForeign "strange",
        SessionTerminated "ended",
    }
    BoshAffinity "B3" "one BOSH session over several connections" {
        SessionSeveralServers "several",
        SessionLost "lost",
    }
    SaslMechanisms "B4" "SASL mechanisms of Prosody" {
        SaslNone "no-mechanism",
        SaslPasswords "passwords",
    }
    GuestDomain "G1" "Prosody's domain for guests" {
        GuestDomainMissing "domain",
        GuestDomainMechanism "mechanism",
        GuestRoomsElsewhere "rooms",
    }
    RecorderDomain "H1" "Prosody's domains for recorders" {
        RecorderDomainMissing "domain",
        RecorderDomainAnonymous "anonymous",
        RecorderPage "page",
    }
    PublicKeys "K1" "the public keys that Prosody fetches" {
        KeyUnpublished "unpublished",
    }
    ValidToken "A1" "a valid token logs in" {
        TokenKey "key",
        TokenSecret "secret",
        TokenAlgorithm "algorithm",
        TokenKeyServer "key-server",
        TokenIssuer "issuer",
        TokenAudience "audience",
        TokenClock "clock",
        TokenLost "lost",
        TokenType "type",
        TokenBanned "banned",
        TokenRefused "refused",
        TokenUnanswered "no-answer",
    }
    MissingToken "A2" "a login without a token is refused" {
        MissingTokenAccepted "empty-token",
    }
    ForgedToken "A3" "a token signed by another key is refused" {
        ForgedTokenAccepted "forged",
    }
    ExpiredToken "A4" "an expired token is refused" {
        ExpiredTokenAccepted "expired",
    }
    UnsignedToken "A5" "a token without a signature is refused" {
        UnsignedTokenAccepted "unsigned",
    }
    ForeignIssuer "A6" "a token of another issuer is refused" {
        AnyIssuerAccepted "any-issuer",
    }
    ForeignAudience "A7" "a token for another audience is refused" {
        AnyAudienceAccepted "any-audience",
    }
    RoomCreation "J1" "Jicofo opens a room" {
        JicofoAbsent "absent",
        JicofoSilent "silent",
        JicofoAddress "address",
        JicofoUnauthorized "not-authorized",
        JicofoReservation "reservation",
    }
    OwnRoom "J2" "a valid token enters its room" {
        MucMissing "muc",
        RoomMissing "room",
        RoomSubject "subject",
        RoomClaim "claim",
        RoomLobby "lobby",
        RoomSilent "silent",
        RoomRefused "refused",
    }
    OtherRoom "J3" "a token for another room is refused" {
        OtherRoomOpen "open",
        OtherRoomMucName "muc-name",
    }
    Roles "J4" "occupants have the roles of their tokens" {
        ParticipantIsOwner "everybody",
        ModeratorIsNotOwner "nobody",
    }
    Bridges "J5" "Jicofo has a bridge" {
        BridgesNone "none",
        BridgesUnknown "strange",
    }
    SecondOccupant "J6" "two occupants of a room see each other" {
        OccupantUnseen "alone",
        SecondLobby "lobby",
        SecondRefused "refused",
    }
    Tenants "J7" "a token of another tenant is refused" {
        TenantsNotCompared "off",
    }
    Lobby "J8" "a lobby holds participants and no moderators" {
        LobbyAbsent "none",
        LobbyHoldsModerators "moderators",
    }
    GuestRoom "G2" "people without a token enter rooms only if the gateway sends them" {
        GuestsRefused "refused",
        GuestDomainOpen "open",
    }
    RecorderRoom "H2" "a recorder enters a room" {
        RecorderElsewhere "domain",
        RecorderLogin "login",
        RecorderRefused "refused",
    }
    WebSocket "S1" "Prosody's WebSocket endpoint" {
        WebSocketOff "off",
        WebSocketOrigin "origin",
        WebSocketProtocol "protocol",
        WebSocketUpgrade "upgrade",
        WebSocketLogin "login",
    }
    PublicAddress "P1" "the public address leads to the gateway" {
        PublicAddressElsewhere "elsewhere",
    }
    Bypass "P2" "Prosody is not reachable past the gateway" {
        BypassOpen "bypass",
    }
    PublicLogin "S4" "a login through the public address" {
        LoginHop "hop",
        LoginGateway "gateway",
        LoginProxy "proxy",
        LoginDiffers "differs",
    }
    ForgedRequest "S6" "forged headers and parameters have no effect" {
        ForgedTokenHonoured "token",
        ForgedHeaderHonoured "changed",
    }
    IdleWebSocket "S2" "an idle WebSocket through the public address stays open" {
        IdleWebSocketCut "cut",
    }
    IdleBosh "S3" "a held BOSH request through the public address is answered" {
        IdleBoshCut "cut",
    }
    Store "R1" "the store" {
        StorePassword "password",
        StoreUnreached "unreached",
        StoreUnusable "unusable",
        StorePubSub "deaf",
        StoreVersion "version",
        StoreEviction "eviction",
        StoreClock "clock",
    }
    Replicas "R2" "all replicas have the same keys, settings and version" {
        ReplicaCookieKeys "cookie-keys",
        ReplicaSigningKeys "signing-keys",
        ReplicaRing "ring",
        ReplicaSettings "settings",
        ReplicaVersion "version",
    }
    HeadSize "R3" "response heads fit the buffers of proxies" {
        HeadTooLarge "size",
    }
    LoggedTokens "L1" "tokens in Prosody's log expire soon" {
        TokenLifetime "lifetime",
    }
}

/// Why a server that was contacted gave no HTTP response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NetworkFault {
    /// Its name does not resolve.
    Name,
    /// Nothing listens at its address.
    Refused,
    /// It did not respond in time.
    Timeout,
    /// The TLS handshake failed.
    Tls,
    /// The connection ended, or did not carry HTTP.
    Broken,
}

// === impl Check ===

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

// === impl FindingKind ===

/// The stable id: the check and, behind a dot, the word.
impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.check(), self.word())
    }
}

impl Serialize for FindingKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

// === impl NetworkFault ===

impl NetworkFault {
    /// All faults.
    pub const ALL: [Self; 5] = [
        Self::Name,
        Self::Refused,
        Self::Timeout,
        Self::Tls,
        Self::Broken,
    ];

    /// The part of a finding's id behind the dot.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Broken => "broken",
        }
    }
}

#[cfg(test)]
mod tests;
