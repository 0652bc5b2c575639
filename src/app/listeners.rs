//! The sockets of a gateway: bound first, served once all services exist.

use std::{io::ErrorKind, net::SocketAddr, sync::Arc};

use super::{StartError, handle::GatewayHandle, settings};
use config::Config;
use model::{headers::TrustedProxies, room::RoomKey};
use proxy::{
    admin::AdminServer,
    limits::ConnectionCounts,
    reservation::{self, ReservationServer},
    server::{
        BoundListener, InheritedSockets, ListenAddress, ListenError, ListenerOptions, ListenerStop,
        SocketMode,
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
        let http = http.map(|address| {
            let bound = sockets.listen("http", address, server.socket_mode);
            bound.map_err(|error| unusable("listen.http", error))
        });
        let mut bind_tcp = |key, name, address: Option<SocketAddr>| {
            let bound = address.map(|address| sockets.listen_tcp(name, address));
            bound.transpose().map_err(|error| unusable(key, error))
        };
        let https = bind_tcp("listen.https", "https", server.https)?;
        let reservation = reservation.map(|settings| settings.listen);
        let reservation = bind_tcp("reservation.listen", "reservation", reservation)?;
        let admin = sockets
            .listen("admin", &server.admin, SocketMode::OWNER)
            .map_err(|error| unusable("listen.admin", error))?;
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

/// The error of an option whose address cannot be bound.
fn unusable(key: &'static str, source: ListenError) -> StartError {
    let kind = match &source {
        ListenError::Tcp { source, .. } => source.kind(),
        _ => ErrorKind::Other,
    };
    let problem = match kind {
        ErrorKind::AddrInUse => {
            "has a port that another process uses; stop that one (`ss -ltnp` names it), or write another port"
        }
        ErrorKind::PermissionDenied => {
            "has a port below 1024, which needs the capability CAP_NET_BIND_SERVICE, or a socket of systemd"
        }
        ErrorKind::AddrNotAvailable => {
            "has an address that this machine does not have; 0.0.0.0 is every IPv4 one, [::] every one"
        }
        _ => "cannot be opened",
    };
    StartError::Listen {
        key,
        problem,
        source,
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

#[cfg(test)]
mod tests {
    use std::{error::Error, net::TcpListener};

    use super::*;

    fn error_of(address: SocketAddr) -> StartError {
        let error = BoundListener::bind_tcp(address).unwrap_err();
        unusable("listen.https", error)
    }

    #[test]
    fn an_address_that_cannot_be_bound_is_reported_with_its_option_and_the_remedy() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = error_of(address);
        let text = error.to_string();
        assert!(
            text.starts_with("`listen.https` has a port that another process uses"),
            "{text}"
        );
        let source = error.source().unwrap().to_string();
        assert_eq!(source, format!("cannot listen on {address}"));
        // 192.0.2.0/24 is for documentation (RFC 5737) and not local.
        let text = error_of("192.0.2.1:0".parse().unwrap()).to_string();
        assert!(text.contains("this machine does not have"), "{text}");
    }
}
