//! The WebSockets and BOSH sessions of the process, by session or pass and by client address.
//!
//! Each is a token, a connection and a session at Prosody. A stream counts until it has ended, also
//! while its client is away and may resume it. Beginning and ending one takes a lock; requests of an
//! open one take none.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use model::{headers::client_network, session::SessionId};

use super::Limits;

/// Counts the streams of a process.
#[derive(Debug)]
pub(crate) struct StreamCounts {
    limits: Limits,
    open: Mutex<Open>,
}

/// A counted stream; it ends on drop.
#[derive(Debug)]
pub(crate) struct StreamPermit {
    counts: Arc<StreamCounts>,
    session: SessionId,
    network: Option<IpAddr>,
}

#[derive(Debug, Default)]
struct Open {
    sessions: HashMap<SessionId, usize>,
    networks: HashMap<IpAddr, usize>,
}

// === impl StreamCounts ===

impl StreamCounts {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            open: Mutex::default(),
        })
    }

    /// Counts a stream; none if its session or its address has too many. A client without an address has the
    /// limit of its session only.
    pub(crate) fn admit(
        self: &Arc<Self>,
        session: &SessionId,
        client: Option<IpAddr>,
    ) -> Option<StreamPermit> {
        let network = client.map(client_network);
        let mut open = self.open();
        let of_session = open.sessions.get(session).copied().unwrap_or_default();
        let of_network = network.and_then(|network| open.networks.get(&network).copied());
        let of_network = of_network.unwrap_or_default();
        // An address may have as many streams as connections: WebSockets are connections, and a proxy
        // in front has others than its clients.
        if of_session >= self.limits.streams_per_session
            || of_network >= self.limits.connections_per_address
        {
            return None;
        }
        open.sessions.insert(session.clone(), of_session + 1);
        if let Some(network) = network {
            open.networks.insert(network, of_network + 1);
        }
        drop(open);
        Some(StreamPermit {
            counts: Arc::clone(self),
            session: session.clone(),
            network,
        })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // No operation on the maps panics halfway.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl StreamPermit ===

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut open = self.counts.open();
        decrement(&mut open.sessions, &self.session);
        if let Some(network) = &self.network {
            decrement(&mut open.networks, network);
        }
    }
}

/// Removes what has come to nothing, so that the map has no more entries than there are streams.
fn decrement<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_and_addresses_have_their_streams_and_get_them_back() {
        let counts = StreamCounts::new(Limits {
            connections: 100,
            connections_per_address: 3,
            upstream_connections: 100,
            streams_per_session: 2,
            requests_per_minute: 1000,
            sign_ins_per_minute: 100,
            connection_idle: std::time::Duration::from_secs(75),
        });
        let admit = |session: &str, client: &str| {
            counts.admit(&SessionId::from(session), client.parse().ok())
        };
        let first = admit("a", "192.0.2.1").unwrap();
        let second = admit("a", "192.0.2.2").unwrap();
        assert!(admit("a", "192.0.2.3").is_none());
        drop(first);
        let again = admit("a", "192.0.2.3").unwrap();
        let others: Vec<_> = ["b", "c"].map(|id| admit(id, "192.0.2.3").unwrap()).into();
        assert!(admit("d", "192.0.2.3").is_none());
        assert!(admit("d", "192.0.2.4").is_some());
        // Without an address there is the limit of the session only.
        let unknown: Vec<_> = ["e", "f", "g", "h"]
            .map(|id| admit(id, "unknown").unwrap())
            .into();
        let own = admit("e", "unknown").unwrap();
        assert!(admit("e", "unknown").is_none());
        drop((second, again, others, unknown, own));
        let open = counts.open();
        assert!(open.sessions.is_empty() && open.networks.is_empty());
    }
}
