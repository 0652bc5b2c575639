//! The client connections of the process, in all and by address.
//!
//! A connection is counted from `accept(2)` until its socket is closed: a WebSocket, too, which has left
//! HTTP by then. Counting takes a lock at the beginning and the end of a connection; requests take none.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use model::{
    clock::Clock,
    headers::{PeerAddr, TrustedProxies, client_network},
};
use observe::{logs::LineLimit, metrics::LimitKind};
use tracing::warn;

use super::{DescriptorLimit, Limits};

/// Counts the client connections of a process.
#[derive(Debug)]
pub struct ConnectionCounts {
    limits: Limits,
    descriptors: DescriptorLimit,
    /// Proxies in front: their connections carry many clients.
    proxies: TrustedProxies,
    open: AtomicUsize,
    addresses: Mutex<HashMap<IpAddr, usize>>,
    lines: RefusalLines,
    clock: Clock,
}

/// One line a minute for each limit; the metrics have the numbers.
#[derive(Debug)]
struct RefusalLines {
    connections: LineLimit,
    of_address: LineLimit,
    accept: LineLimit,
}

/// A counted connection; it ends with its socket.
#[derive(Debug)]
pub struct ConnectionPermit {
    counts: Arc<ConnectionCounts>,
    network: Option<IpAddr>,
}

// === impl ConnectionCounts ===

impl ConnectionCounts {
    /// No connection is open yet.
    pub fn new(
        limits: Limits,
        descriptors: DescriptorLimit,
        proxies: TrustedProxies,
        clock: Clock,
    ) -> Arc<Self> {
        Arc::new(Self {
            limits,
            descriptors,
            proxies,
            open: AtomicUsize::new(0),
            addresses: Mutex::default(),
            lines: RefusalLines::default(),
            clock,
        })
    }

    /// The limit of descriptors.
    pub(crate) fn descriptors(&self) -> DescriptorLimit {
        self.descriptors
    }

    /// Counts a connection of a peer, or names the limit that refuses it.
    pub(crate) fn admit(self: &Arc<Self>, peer: PeerAddr) -> Result<ConnectionPermit, LimitKind> {
        // Dropped, and so not counted, if one of the limits refuses it.
        let mut permit = ConnectionPermit {
            counts: Arc::clone(self),
            network: None,
        };
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.limits.connections {
            return Err(LimitKind::Connections);
        }
        if let PeerAddr::Ip(client) = peer
            && !self.proxies.contains(client)
        {
            permit.identify(client)?;
        }
        Ok(permit)
    }

    /// Logs a refusal, once a minute for each limit.
    pub(crate) fn log_refusal(&self, limit: LimitKind, peer: PeerAddr) {
        let (line, remedy) = match limit {
            LimitKind::Connections => (&self.lines.connections, "limits.connections"),
            LimitKind::ConnectionsOfAddress => (
                &self.lines.of_address,
                "limits.connections_per_address, or listen.trusted_proxies if this is a proxy",
            ),
            _ => (&self.lines.accept, "the limit of open files (ulimit -n)"),
        };
        if let Some(suppressed) = line.permit(peer.ip(), self.clock.now()) {
            let limit = limit.as_str();
            warn!(limit, client.addr = %peer, suppressed, remedy, "refused a connection");
        }
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // No operation on the map panics halfway.
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl RefusalLines ===

impl Default for RefusalLines {
    fn default() -> Self {
        let [connections, of_address, accept] = std::array::from_fn(|_| LineLimit::new(1, 1));
        Self {
            connections,
            of_address,
            accept,
        }
    }
}

// === impl ConnectionPermit ===

impl ConnectionPermit {
    /// Counts the connection to the address of its client, which a PROXY header may have named.
    pub(crate) fn identify(&mut self, client: IpAddr) -> Result<(), LimitKind> {
        let network = client_network(client);
        let mut addresses = self.counts.addresses();
        let open = addresses.entry(network).or_default();
        if *open >= self.counts.limits.connections_per_address {
            return Err(LimitKind::ConnectionsOfAddress);
        }
        *open += 1;
        drop(addresses);
        self.network = Some(network);
        Ok(())
    }

    /// Logs that a limit refuses the connection.
    pub(crate) fn log_refusal(&self, limit: LimitKind, client: IpAddr) {
        self.counts.log_refusal(limit, client.into());
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
        let Some(network) = self.network else { return };
        let mut addresses = self.counts.addresses();
        if let Some(open) = addresses.get_mut(&network) {
            *open -= 1;
            if *open == 0 {
                addresses.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(connections: usize, connections_per_address: usize) -> Arc<ConnectionCounts> {
        let limits = Limits {
            connections,
            connections_per_address,
            upstream_connections: 0,
            streams_per_session: 0,
            requests_per_minute: 1000,
            sign_ins_per_minute: 100,
            connection_idle: std::time::Duration::from_secs(75),
        };
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let descriptors = DescriptorLimit::of(1024);
        ConnectionCounts::new(limits, descriptors, proxies, Clock::default())
    }

    fn admit(counts: &Arc<ConnectionCounts>, peer: &str) -> Result<ConnectionPermit, LimitKind> {
        counts.admit(PeerAddr::Ip(peer.parse().unwrap()))
    }

    #[test]
    fn an_address_has_its_share_and_gets_it_back() {
        for (own, same, other) in [
            ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
            ("2001:db8::1", "2001:db8::2:3", "2001:db8:0:1::1"),
        ] {
            let counts = counts(100, 2);
            let first = admit(&counts, own).unwrap();
            let _second = admit(&counts, same).unwrap();
            let refused = admit(&counts, own).unwrap_err();
            assert_eq!(refused, LimitKind::ConnectionsOfAddress);
            assert!(admit(&counts, other).is_ok());
            drop(first);
            assert!(admit(&counts, same).is_ok());
        }
    }

    #[test]
    fn all_connections_together_have_a_limit_which_refusals_do_not_use_up() {
        let counts = counts(3, 1);
        let _first = admit(&counts, "192.0.2.1").unwrap();
        for _ in 0..10 {
            assert!(admit(&counts, "192.0.2.1").is_err());
        }
        let _second = admit(&counts, "192.0.2.2").unwrap();
        let third = admit(&counts, "10.0.0.1").unwrap();
        let refused = admit(&counts, "192.0.2.3").unwrap_err();
        assert_eq!(refused, LimitKind::Connections);
        drop(third);
        assert!(admit(&counts, "192.0.2.3").is_ok());
    }

    #[test]
    fn connections_by_a_unix_socket_have_the_limit_of_the_process_only() {
        let counts = counts(3, 1);
        let admit = || counts.admit(PeerAddr::UnixSocket);
        let _three = [admit().unwrap(), admit().unwrap(), admit().unwrap()];
        assert_eq!(admit().unwrap_err(), LimitKind::Connections);
    }

    #[test]
    fn a_proxy_counts_for_its_clients_once_it_names_them() {
        let counts = counts(100, 1);
        let mut first = admit(&counts, "10.0.0.1").unwrap();
        let mut second = admit(&counts, "10.0.0.1").unwrap();
        let client = "192.0.2.1".parse().unwrap();
        assert_eq!(first.identify(client), Ok(()));
        let refused = second.identify(client);
        assert_eq!(refused, Err(LimitKind::ConnectionsOfAddress));
        drop((first, second));
        assert_eq!(counts.open.load(Ordering::Relaxed), 0);
        assert!(counts.addresses().is_empty());
    }
}
