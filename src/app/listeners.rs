//! The sockets of a gateway: bound first, served once all services exist.

use std::{net::SocketAddr, sync::Arc};

use super::{StartError, handle::GatewayHandle, settings};
use config::Config;
use model::{headers::TrustedProxies, room::RoomKey};
use proxy::{
    admin::AdminServer,
    limits::ConnectionCounts,
    reservation::{self, ReservationServer},
    server::{
        BoundListener, InheritedSockets, ListenAddress, ListenerOptions, ListenerStop, SocketMode,
    },
};

/// The bound sockets.
pub(super) struct Listeners {
    http: Option<BoundListener>,
    https: Option<BoundListener>,
    admin: BoundListener,
    reservation: Option<BoundListener>,
}

/// The local addresses of a gateway's listeners.
#[derive(Clone, Debug)]
pub struct ListenAddresses {
    /// `listen.http`.
    pub http: Option<ListenAddress>,
    /// `listen.https`.
    pub https: Option<SocketAddr>,
    /// `listen.admin`.
    pub admin: ListenAddress,
    /// `reservation.listen`.
    pub reservation: Option<SocketAddr>,
}

// === impl Listeners ===

impl Listeners {
    /// Takes the sockets that the service manager passed and binds the others. It is an error if a
    /// passed socket is left over.
    pub(super) fn bind(config: &Config, mut sockets: InheritedSockets) -> Result<Self, StartError> {
        let server = &config.server;
        let reservation = config.reservation.as_ref();
        let http = server.http.as_ref();
        let http = http.map(|address| sockets.listen("http", address, server.socket_mode));
        let mut bind_tcp = |name, address: Option<SocketAddr>| {
            let bound = address.map(|address| sockets.listen_tcp(name, address));
            bound.transpose()
        };
        let https = bind_tcp("https", server.https)?;
        let reservation = bind_tcp("reservation", reservation.map(|settings| settings.listen))?;
        let admin = sockets.listen("admin", &server.admin, SocketMode::OWNER)?;
        sockets.ensure_all_used()?;
        Ok(Self {
            http: http.transpose()?,
            https,
            admin,
            reservation,
        })
    }

    pub(super) fn addresses(&self) -> ListenAddresses {
        let tcp = |listener: &Option<BoundListener>| listener.as_ref()?.address.tcp();
        ListenAddresses {
            http: self.http.as_ref().map(|it| it.address.clone()),
            https: tcp(&self.https),
            admin: self.admin.address.clone(),
            reservation: tcp(&self.reservation),
        }
    }

    /// Spawns the accept loops.
    pub(super) fn serve(
        self,
        config: &Config,
        counts: &Arc<ConnectionCounts>,
        admin: AdminServer,
        handle: &GatewayHandle,
    ) {
        let serving = Arc::new(admin).serve(self.admin, control_stop(handle));
        handle.spawn_listener("admin", serving);
        if let (Some(listener), Some(settings)) = (self.reservation, &config.reservation) {
            serve_reservations(listener, settings, handle);
        }
        for (listener, tls) in [(self.http, false), (self.https, true)] {
            let Some(listener) = listener else { continue };
            let balancers = config
                .server
                .proxy_protocol
                .then(|| TrustedProxies::new(config.server.trusted_proxies.clone()));
            handle.spawn_acceptor(
                listener,
                ListenerOptions {
                    tls,
                    proxy_protocol: balancers,
                    counts: Arc::clone(counts),
                },
            );
        }
    }
}

fn serve_reservations(
    listener: BoundListener,
    settings: &reservation::ReservationSettings,
    handle: &GatewayHandle,
) {
    let (gateway, clock) = (Arc::clone(&handle.gateway), handle.clock.clone());
    let terms = move |room: &RoomKey| settings::room_terms(&gateway.policy(), room, clock.now());
    let secret = settings.secret.clone();
    let reservations = Arc::new(ReservationServer::new(secret, handle.clock.clone(), terms));
    let serving = reservations.serve(listener, control_stop(handle));
    handle.spawn_listener("reservation", serving);
}

/// How the listeners of the control plane are stopped: they serve until all connections of clients have ended.
fn control_stop(handle: &GatewayHandle) -> ListenerStop {
    ListenerStop {
        begins: handle.draining.clone(),
        closes: handle.stopped.clone(),
    }
}
