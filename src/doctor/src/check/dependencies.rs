//! Which checks depend on each other: a failed check makes its dependents meaningless.

use std::iter;

use super::Check;

// === impl Check ===

impl Check {
    /// The check that has to pass before this one is meaningful.
    const fn prerequisite(self) -> Option<Self> {
        Some(match self {
            Self::ProviderLogout | Self::ProviderRules => Self::Provider,
            Self::WebConfig | Self::WebSignalling => Self::WebPage,
            Self::ConferenceRequests => Self::WebConfig,
            Self::BoshSession => Self::BoshEndpoint,
            Self::BoshAffinity => Self::BoshSession,
            Self::SaslMechanisms | Self::GuestDomain | Self::RecorderDomain => Self::BoshAffinity,
            Self::MissingToken
            | Self::ForgedToken
            | Self::ExpiredToken
            | Self::UnsignedToken
            | Self::ForeignIssuer
            | Self::ForeignAudience => Self::SaslMechanisms,
            Self::ValidToken => Self::ForgedToken,
            Self::WebSocket | Self::RoomCreation | Self::PublicLogin => Self::ValidToken,
            Self::OwnRoom | Self::Lobby => Self::RoomCreation,
            Self::OtherRoom
            | Self::Roles
            | Self::SecondOccupant
            | Self::Tenants
            | Self::GuestRoom
            | Self::RecorderRoom => Self::OwnRoom,
            Self::PublicAddress => Self::Certificate,
            Self::PublicKeys | Self::Bypass => Self::PublicAddress,
            Self::ForgedRequest | Self::IdleWebSocket | Self::IdleBosh | Self::HeadSize => {
                Self::PublicLogin
            }
            Self::Replicas => Self::Store,
            Self::Certificate
            | Self::Clocks
            | Self::Provider
            | Self::WebPage
            | Self::Locations
            | Self::BoshEndpoint
            | Self::Bridges
            | Self::Store
            | Self::LoggedTokens => return None,
        })
    }

    /// Whether this check is meaningless after `cause` failed.
    fn depends_on(self, cause: Self) -> bool {
        let prerequisites = iter::successors(self.prerequisite(), |check| check.prerequisite());
        prerequisites.into_iter().any(|check| check == cause)
    }

    /// The checks that are meaningless after this one failed, in order.
    pub(crate) fn dependents(self) -> impl Iterator<Item = Self> {
        let all = Self::ALL.iter().copied();
        all.filter(move |check| check.depends_on(self))
    }

    /// This check and its dependents.
    pub(crate) fn with_dependents(self) -> impl Iterator<Item = Self> {
        iter::once(self).chain(self.dependents())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependents_follow_prerequisites_through_all_levels() {
        let of = |check: Check| -> Vec<&str> { check.dependents().map(Check::id).collect() };
        assert_eq!(of(Check::Certificate), ["K1", "P1", "P2"]);
        assert_eq!(
            of(Check::RoomCreation),
            ["J2", "J3", "J4", "J6", "J7", "J8", "G2", "H2"]
        );
        assert_eq!(of(Check::PublicLogin), ["S6", "S2", "S3", "R3"]);
        assert_eq!(of(Check::Provider), ["C5", "C6"]);
        assert_eq!(of(Check::Bridges), [""; 0]);
        let bosh = of(Check::BoshEndpoint);
        for id in ["B2", "B4", "A2", "A7", "S1", "J3", "S4", "R3"] {
            assert!(bosh.contains(&id), "{id}");
        }
        for check in Check::ALL {
            assert!(!check.depends_on(*check), "{check}");
        }
    }
}
