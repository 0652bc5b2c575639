//! Requests and sign-ins of one client address in a minute.
//!
//! Each worker counts its own, so that no request takes a lock: an address with connections to several
//! workers has a rate at each.

use std::{
    cell::RefCell,
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use model::headers::client_network;

/// A limit of requests per minute for each address, with bursts of as many: the generic cell rate
/// algorithm (GCRA, ITU-T I.371), as for API keys.
///
/// The state of an address is the theoretical arrival time of its next request. Each request moves it
/// ahead by one interval; it may be at most a minute ahead of the current time.
#[derive(Debug)]
pub(crate) struct AddressRate {
    interval: Duration,
    arrivals: RefCell<HashMap<IpAddr, Instant>>,
}

/// The rates of a worker.
#[derive(Debug)]
pub(crate) struct RequestRates {
    /// Requests for pages and files.
    pub(crate) requests: AddressRate,
    /// Sign-ins that begin or end, guests that enter, and API keys that are wrong.
    pub(crate) sign_ins: AddressRate,
}

// === impl AddressRate ===

impl AddressRate {
    /// Allows each address so many requests a minute, at least one.
    pub(crate) fn per_minute(requests: u32) -> Self {
        Self {
            interval: MINUTE / requests.max(1),
            arrivals: RefCell::default(),
        }
    }

    /// Takes one request of the client's network; false if it has none left.
    pub(crate) fn take(&self, client: IpAddr, now: Instant) -> bool {
        let network = client_network(client);
        let mut arrivals = self.arrivals.borrow_mut();
        let arrival = arrivals.get(&network).copied().unwrap_or(now);
        let next = arrival.max(now) + self.interval;
        if next > now + MINUTE {
            return false;
        }
        if arrivals.len() >= MAX_ADDRESSES {
            // Whose rate is whole again needs no entry.
            arrivals.retain(|_, arrival| *arrival > now);
        }
        // More addresses at once are a flood that no rate of an address ends.
        if arrivals.len() < MAX_ADDRESSES {
            arrivals.insert(network, next);
        }
        true
    }
}

const MINUTE: Duration = Duration::from_mins(1);

/// A megabyte of addresses.
const MAX_ADDRESSES: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn a_burst_of_a_minute_passes_and_then_one_request_per_interval() {
        let rate = AddressRate::per_minute(60);
        let now = Instant::now();
        assert!((0..60).all(|_| rate.take(address(1), now)));
        assert!(!rate.take(address(1), now));
        assert!(rate.take(address(2), now), "another address");
        let later = now + Duration::from_secs(2);
        assert!(rate.take(address(1), later) && rate.take(address(1), later));
        assert!(!rate.take(address(1), later));
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let rate = AddressRate::per_minute(1);
        let now = Instant::now();
        let (one, other, elsewhere) = ("2001:db8::1", "2001:db8::ffff", "2001:db8:0:1::1");
        assert!(rate.take(one.parse().unwrap(), now));
        assert!(!rate.take(other.parse().unwrap(), now));
        assert!(rate.take(elsewhere.parse().unwrap(), now));
    }

    #[test]
    fn addresses_without_recent_requests_are_forgotten() {
        let rate = AddressRate::per_minute(60);
        let now = Instant::now();
        for number in 0..50_000 {
            assert!(rate.take(address(number), now));
        }
        assert_eq!(rate.arrivals.borrow().len(), MAX_ADDRESSES);
        assert!(rate.take(address(1), now + MINUTE));
        assert_eq!(rate.arrivals.borrow().len(), 1);
    }
}
