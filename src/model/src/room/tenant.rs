//! Tenants: the first segment of a `/<tenant>/<room>` address.

use std::fmt;

use super::{
    RoomError,
    canonical::{decode, folded},
};
use crate::route::is_reserved_tenant;

/// A tenant in canonical form: lower case, with underscores for the dots of the address.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(std::sync::Arc<str>);

// === impl Tenant ===

impl Tenant {
    /// Parses a raw (still percent-encoded) path segment.
    ///
    /// # Errors
    ///
    /// [`RoomError::Tenant`].
    pub fn parse(segment: &str) -> Result<Self, RoomError> {
        let decoded = decode(segment).ok_or(RoomError::Tenant)?;
        let name = folded(&decoded);
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let well_formed = (1..=MAX_TENANT_CHARS).contains(&name.len())
            && name.chars().all(allowed)
            && !name.starts_with(['-', '.'])
            && !name.ends_with(['-', '.'])
            && !is_reserved_tenant(&name);
        if well_formed {
            // The client replaces the dots before it builds a host name from the tenant, so `a.b`
            // and `a_b` are one tenant (docker-jitsi-meet and jitsi-meet `config.js`: `subdomain`).
            Ok(Self(name.replace('.', "_").into()))
        } else {
            Err(RoomError::Tenant)
        }
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tenant({self})")
    }
}

/// The limit above which the web client warns (jitsi-meet `react/features/base/util/uri.ts`).
const MAX_TENANT_CHARS: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_are_lower_case_host_labels_with_underscores() {
        assert_eq!(Tenant::parse("Acme").unwrap().as_str(), "acme");
        assert_eq!(Tenant::parse("a_b-1").unwrap().as_str(), "a_b-1");
        // Both become rooms `[a_b]…` in Jitsi's client and in Prosody.
        assert_eq!(Tenant::parse("A.b").unwrap(), Tenant::parse("a_b").unwrap());
        for bad in [
            "",
            "-a",
            "a-",
            "..",
            "a b",
            "a%20b",
            "caf%C3%A9",
            "*",
            "[x]",
            &"x".repeat(64),
            "Libs",
            "socket.io",
            "_gateway",
            "admin",
            "HTTP-bind",
        ] {
            assert_eq!(Tenant::parse(bad), Err(RoomError::Tenant), "{bad}");
        }
    }
}
