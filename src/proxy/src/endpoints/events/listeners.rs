//! The registry of a worker's event streams.

use std::{cell::RefCell, collections::HashMap, net::IpAddr, rc::Rc, sync::Arc};

use tokio::sync::watch;

use model::{headers::client_network, room::RoomKey, session::SessionId};
use observe::metrics::{OpenStream, StreamKind, WorkerMetrics};

/// The event streams of one worker, by room.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listeners(Rc<RefCell<Books>>);

#[derive(Debug, Default)]
struct Books {
    rooms: HashMap<RoomKey, watch::Sender<()>>,
    /// The number of streams of each session.
    sessions: HashMap<SessionId, usize>,
    /// The number of streams of each client address.
    networks: HashMap<IpAddr, usize>,
    streams: usize,
    closed: bool,
}

/// An event stream; deregisters on drop.
#[derive(Debug)]
pub(crate) struct Listener {
    listeners: Listeners,
    room: RoomKey,
    who: SessionId,
    network: Option<IpAddr>,
    woken: watch::Receiver<()>,
    _counted: OpenStream,
}

// === impl Listeners ===

impl Listeners {
    /// Registers an event stream, unless the session, the address (if there is one) or the worker has too many.
    pub(crate) fn enter(
        &self,
        room: &RoomKey,
        who: &SessionId,
        client: Option<IpAddr>,
        metrics: &Arc<WorkerMetrics>,
    ) -> Option<Listener> {
        let mut books = self.0.borrow_mut();
        let own = books.sessions.get(who).copied().unwrap_or_default();
        let network = client.map(client_network);
        let near = network.and_then(|network| books.networks.get(&network).copied());
        let near = near.unwrap_or_default();
        if own >= MOST_OF_ONE || near >= MOST_OF_ADDRESS || books.streams >= MOST {
            return None;
        }
        books.streams += 1;
        books.sessions.insert(who.clone(), own + 1);
        if let Some(network) = network {
            books.networks.insert(network, near + 1);
        }
        let woken = if books.closed {
            // A channel whose sender is gone already.
            watch::channel(()).1
        } else {
            let room = books.rooms.entry(room.clone());
            room.or_insert_with(|| watch::Sender::new(())).subscribe()
        };
        Some(Listener {
            listeners: self.clone(),
            room: room.clone(),
            who: who.clone(),
            network,
            woken,
            _counted: metrics.open_stream(StreamKind::Events),
        })
    }

    /// Wakes the listeners of a room.
    pub(crate) fn wake(&self, room: &RoomKey) {
        if let Some(room) = self.0.borrow().rooms.get(room) {
            room.send_replace(());
        }
    }

    /// Wakes all listeners.
    pub(crate) fn wake_all(&self) {
        for room in self.0.borrow().rooms.values() {
            room.send_replace(());
        }
    }

    /// Ends all streams, and those that come later.
    pub(crate) fn close(&self) {
        let mut books = self.0.borrow_mut();
        books.closed = true;
        books.rooms.clear();
    }
}

// === impl Listener ===

impl Listener {
    /// Waits until there is something to look at; false if all ends.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn woken(&mut self) -> bool {
        self.woken.changed().await.is_ok()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut books = self.listeners.0.borrow_mut();
        books.streams -= 1;
        if let Some(own) = books.sessions.get_mut(&self.who) {
            *own -= 1;
            if *own == 0 {
                books.sessions.remove(&self.who);
            }
        }
        if let Some(network) = self.network
            && let Some(near) = books.networks.get_mut(&network)
        {
            *near -= 1;
            if *near == 0 {
                books.networks.remove(&network);
            }
        }
        // This one's own receiver is still there.
        let alone = |room: &watch::Sender<()>| room.receiver_count() <= 1;
        if books.rooms.get(&self.room).is_some_and(alone) {
            books.rooms.remove(&self.room);
        }
    }
}

/// More tabs than anybody waits in.
const MOST_OF_ONE: usize = 16;

/// Passes cost nothing, so that one client may have any number; a large class waits behind one address.
const MOST_OF_ADDRESS: usize = 1000;

/// Each costs some kilobytes; two conferences' worth of people who wait.
const MOST: usize = 10_000;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::FutureExt;

    use super::*;

    fn enter(listeners: &Listeners, room: &RoomKey, who: &SessionId) -> Option<Listener> {
        listeners.enter(room, who, Some([192, 0, 2, 1].into()), &Arc::default())
    }

    fn room(name: &str) -> RoomKey {
        RoomKey::from_text(name).unwrap()
    }

    #[test]
    fn one_session_gets_some_streams_and_no_more() {
        let listeners = Listeners::default();
        let who = SessionId::from("a");
        let mut own: Vec<_> = (0..MOST_OF_ONE)
            .map(|n| enter(&listeners, &room(&format!("r{n}")), &who).unwrap())
            .collect();
        assert!(enter(&listeners, &room("x"), &who).is_none());
        assert!(enter(&listeners, &room("x"), &SessionId::from("b")).is_some());
        own.pop();
        assert!(enter(&listeners, &room("x"), &who).is_some());
        own.clear();
        let books = listeners.0.borrow();
        assert!(books.rooms.is_empty() && books.sessions.is_empty() && books.streams == 0);
    }

    #[test]
    fn one_address_gets_some_streams_and_no_more() {
        let listeners = Listeners::default();
        let enter = |n: usize| enter(&listeners, &room("x"), &SessionId::from(&*n.to_string()));
        let all: Vec<_> = (0..MOST_OF_ADDRESS).map(|n| enter(n).unwrap()).collect();
        assert!(enter(MOST_OF_ADDRESS).is_none());
        let who = SessionId::from("a");
        let other = "2001:db8::1".parse().ok();
        let other = listeners.enter(&room("x"), &who, other, &Arc::default());
        assert!(other.is_some());
        drop((all, other));
        assert!(listeners.0.borrow().networks.is_empty());
    }

    #[test]
    fn all_together_get_some_streams_and_no_more() {
        let listeners = Listeners::default();
        let enter = |n: usize| {
            let who = SessionId::from(&*n.to_string());
            let client = Some(Ipv4Addr::from_bits(u32::try_from(n).unwrap()).into());
            listeners.enter(&room("x"), &who, client, &Arc::default())
        };
        let all: Vec<_> = (0..MOST).map(|n| enter(n).unwrap()).collect();
        assert!(enter(MOST).is_none());
        drop(all);
        assert!(enter(MOST).is_some());
    }

    #[test]
    fn listeners_of_a_room_are_woken_for_it_and_ended_with_all() {
        let listeners = Listeners::default();
        let who = SessionId::from("a");
        let mut first = enter(&listeners, &room("x"), &who).unwrap();
        let mut other = enter(&listeners, &room("y"), &who).unwrap();
        // Who leaves a room does not take it from the others.
        drop(enter(&listeners, &room("x"), &who));
        listeners.wake(&room("x"));
        assert_eq!(first.woken().now_or_never(), Some(true));
        assert_eq!(other.woken().now_or_never(), None);
        listeners.wake_all();
        assert_eq!(other.woken().now_or_never(), Some(true));
        listeners.close();
        let mut late = enter(&listeners, &room("x"), &who).unwrap();
        for listener in [&mut other, &mut late] {
            assert_eq!(listener.woken().now_or_never(), Some(false));
        }
    }
}
