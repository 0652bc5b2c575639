//! A bound on log lines that strangers can cause.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use model::clock::Timestamp;

/// Permits the first line of an address in a minute, and at most `MAX_LINES` lines a minute from
/// all addresses; counts the rest.
#[derive(Debug, Default)]
pub struct LineLimit(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    ends: Option<Timestamp>,
    seen: HashSet<IpAddr>,
    suppressed: u64,
}

// === impl LineLimit ===

impl LineLimit {
    /// Whether a line about this client may be written: the number of lines suppressed since the
    /// last permitted one, or `None` if this line is to be suppressed, too.
    pub fn permit(&self, client: IpAddr, now: Timestamp) -> Option<u64> {
        // A panic between two fields would only miscount.
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.ends.is_none_or(|ends| now >= ends) {
            window.ends = Some(now.after(WINDOW));
            window.seen.clear();
        }
        if window.seen.len() < MAX_LINES && window.seen.insert(network(client)) {
            Some(std::mem::take(&mut window.suppressed))
        } else {
            window.suppressed += 1;
            None
        }
    }
}

/// An IPv6 client owns at least a /64, so its addresses count as one.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let prefix = address.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(prefix).into()
        }
    }
}

const WINDOW: Duration = Duration::from_mins(1);

/// Lines from all addresses in one window; also bounds the memory of the window.
const MAX_LINES: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn the_first_line_of_an_address_and_minute_is_permitted_with_the_suppressed_count() {
        let limit = LineLimit::default();
        let at = Timestamp::from_unix;
        assert_eq!(limit.permit(v4(1), at(1000)), Some(0));
        assert_eq!(limit.permit(v4(1), at(1001)), None);
        assert_eq!(limit.permit(v4(1), at(1059)), None);
        assert_eq!(limit.permit(v4(2), at(1059)), Some(2));
        assert_eq!(limit.permit(v4(1), at(1060)), Some(0));
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let limit = LineLimit::default();
        let at = Timestamp::from_unix(1000);
        let permit = |address: &str| limit.permit(address.parse().unwrap(), at);
        assert_eq!(permit("2001:db8::1"), Some(0));
        assert_eq!(permit("2001:db8::2:1"), None);
        assert_eq!(permit("2001:db8:0:1::1"), Some(1));
        assert_eq!(permit("192.0.2.1"), Some(0));
        assert_eq!(permit("::ffff:192.0.2.1"), None);
    }

    #[test]
    fn lines_from_many_addresses_are_bounded() {
        let limit = LineLimit::default();
        let at = Timestamp::from_unix(1000);
        let permitted = (0..=255).filter(|last| limit.permit(v4(*last), at).is_some());
        assert_eq!(permitted.count(), MAX_LINES);
    }
}
