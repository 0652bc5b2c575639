//! A rate limit on log lines that unauthenticated clients can cause.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use model::{clock::Timestamp, headers::client_network};

/// Permits a number of lines per minute for each address, and one for all addresses together;
/// counts the suppressed lines.
#[derive(Debug)]
pub struct LineLimit {
    of_address: usize,
    /// Lines per minute in total; also bounds the size of `lines`.
    of_all: usize,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    ends: Option<Timestamp>,
    /// Lines by address.
    lines: HashMap<Option<IpAddr>, usize>,
    total: usize,
    suppressed: u64,
}

// === impl LineLimit ===

impl LineLimit {
    /// Creates a limit of `of_address` lines per address and `of_all` lines in total, per minute.
    pub fn new(of_address: usize, of_all: usize) -> Self {
        Self {
            of_address,
            of_all,
            window: Mutex::default(),
        }
    }

    /// Whether a line about this client may be written: the number of lines suppressed since the
    /// last permitted one, or `None` if this line is suppressed, too. All clients without an address count as
    /// one.
    pub fn permit(&self, client: impl Into<Option<IpAddr>>, now: Timestamp) -> Option<u64> {
        let network = client.into().map(client_network);
        // A panic between two fields would only cause a wrong count.
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.ends.is_none_or(|ends| now >= ends) {
            window.ends = Some(now.after(WINDOW));
            window.lines.clear();
            window.total = 0;
        }
        let full = window.total >= self.of_all;
        let lines = window.lines.get(&network).copied().unwrap_or_default();
        if full || lines >= self.of_address {
            window.suppressed += 1;
            return None;
        }
        window.lines.insert(network, lines + 1);
        window.total += 1;
        Some(std::mem::take(&mut window.suppressed))
    }
}

const WINDOW: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_LINES_OF_ADDRESS: usize = 3;
    const MAX_LINES: usize = 60;

    fn limit() -> LineLimit {
        LineLimit::new(MAX_LINES_OF_ADDRESS, MAX_LINES)
    }

    fn v4(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    /// Exhausts the limit of an address.
    fn exhaust(limit: &LineLimit, client: IpAddr, at: Timestamp) {
        for _ in 0..MAX_LINES_OF_ADDRESS {
            assert!(limit.permit(client, at).is_some());
        }
    }

    #[test]
    fn the_lines_of_an_address_and_minute_are_bounded_and_the_suppressed_ones_counted() {
        let limit = limit();
        let at = Timestamp::from_unix;
        exhaust(&limit, v4(1), at(1000));
        assert_eq!(limit.permit(v4(1), at(1001)), None);
        assert_eq!(limit.permit(v4(1), at(1059)), None);
        assert_eq!(limit.permit(v4(2), at(1059)), Some(2));
        assert_eq!(limit.permit(v4(1), at(1060)), Some(0));
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let limit = limit();
        let at = Timestamp::from_unix(1000);
        let permit = |address: &str| limit.permit(address.parse::<IpAddr>().unwrap(), at);
        exhaust(&limit, "2001:db8::1".parse().unwrap(), at);
        assert_eq!(permit("2001:db8::2:1"), None);
        assert_eq!(permit("2001:db8:0:1::1"), Some(1));
        exhaust(&limit, "192.0.2.1".parse().unwrap(), at);
        assert_eq!(permit("::ffff:192.0.2.1"), None);
    }

    #[test]
    fn lines_from_many_addresses_are_bounded() {
        let limit = limit();
        let at = Timestamp::from_unix(1000);
        let addresses = (0..=255).cycle().take(3 * MAX_LINES);
        let permitted = addresses.filter(|last| limit.permit(v4(*last), at).is_some());
        assert_eq!(permitted.count(), MAX_LINES);
    }
}
