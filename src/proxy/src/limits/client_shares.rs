//! What one client address has of a worker's connections to Jitsi's web servers.
//!
//! A response keeps its connection until its client has read it. A client with many streams that reads
//! slowly would take the connections of all others.

use std::{cell::RefCell, collections::HashMap, net::IpAddr, rc::Rc, sync::Arc, time::Duration};

use model::headers::client_network;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// The shares of a worker's clients.
#[derive(Clone, Debug)]
pub(crate) struct ClientShares {
    most: usize,
    networks: Rc<RefCell<HashMap<IpAddr, Arc<Semaphore>>>>,
}

/// A connection of a share; free again on drop.
#[derive(Debug)]
pub(crate) struct ClientPlace {
    permit: Option<OwnedSemaphorePermit>,
    network: IpAddr,
    shares: ClientShares,
}

// === impl ClientShares ===

impl ClientShares {
    /// Half of the connections that a worker may have to an upstream for each address.
    pub(crate) fn of(upstream_connections: usize) -> Self {
        Self {
            most: upstream_connections.div_ceil(2),
            networks: Rc::default(),
        }
    }

    /// Takes a connection of the client's share, after a wait if need be; none after too long a wait.
    pub(crate) async fn take(&self, client: IpAddr) -> Option<ClientPlace> {
        let (mut place, free) = self.without_permit(client);
        place.permit = match Arc::clone(&free).try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => timeout(LONGEST_WAIT, free.acquire_owned()).await.ok()?.ok(),
        };
        place.permit.is_some().then_some(place)
    }

    /// Takes a connection of the client's share, if one is free.
    pub(crate) fn try_take(&self, client: IpAddr) -> Option<ClientPlace> {
        let (mut place, free) = self.without_permit(client);
        place.permit = free.try_acquire_owned().ok();
        place.permit.is_some().then_some(place)
    }

    /// A place that has no connection yet, and what gives one.
    fn without_permit(&self, client: IpAddr) -> (ClientPlace, Arc<Semaphore>) {
        let network = client_network(client);
        let mut networks = self.networks.borrow_mut();
        let share = networks.entry(network);
        let free = share.or_insert_with(|| Arc::new(Semaphore::new(self.most)));
        let free = Arc::clone(free);
        let place = ClientPlace {
            permit: None,
            network,
            shares: self.clone(),
        };
        (place, free)
    }
}

// === impl ClientPlace ===

impl Drop for ClientPlace {
    fn drop(&mut self) {
        drop(self.permit.take());
        let mut networks = self.shares.networks.borrow_mut();
        // Every connection and every request that waits for one has another reference.
        if networks
            .get(&self.network)
            .is_some_and(|share| Arc::strong_count(share) == 1)
        {
            networks.remove(&self.network);
        }
    }
}

/// As long as a request waits for a connection of all clients.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_address_has_half_and_leaves_the_rest_to_others() {
        let (one, other) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let shares = ClientShares::of(4);
        let taken = [shares.take(one).await, shares.take(one).await];
        assert!(taken.iter().all(Option::is_some));
        assert!(shares.try_take(one).is_none());
        assert!(shares.try_take(other).is_some());
        let began = Instant::now();
        assert!(shares.take(one).await.is_none());
        assert_eq!(began.elapsed(), LONGEST_WAIT);
        assert!(shares.take(other).await.is_some());
        let waiting = {
            let shares = shares.clone();
            async move { shares.take(one).await.is_some() }
        };
        let freed = async move { drop(taken) };
        assert!(tokio::join!(waiting, freed).0);
        assert_eq!(began.elapsed(), LONGEST_WAIT);
        assert!(shares.networks.borrow().is_empty());
    }
}
