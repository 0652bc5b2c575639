//! The addresses of an upstream's name, tried as RFC 8305 (Happy Eyeballs) describes.

use std::{io, net::SocketAddr, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    net::{TcpStream, lookup_host},
    time::sleep,
};

/// Opens a connection to one of the addresses of `host`, in the order of the resolver.
///
/// The next address is tried when one has failed, or has not answered for [`ATTEMPT_DELAY`]: a
/// server that is away, or a firewall that drops packets, does not cost the whole timeout. Each new
/// connection asks for the name, as the addresses of a headless service change with its pods.
pub(super) async fn connect_to(host: &str, port: u16) -> io::Result<TcpStream> {
    let addresses = resolve(host, port).await?;
    match addresses.as_slice() {
        [only] => TcpStream::connect(only).await,
        _ => connect_any(alternating(addresses)).await,
    }
}

async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    #[cfg(test)]
    if let Some(addresses) = test_names::addresses_of(host) {
        return Ok(addresses);
    }
    Ok(lookup_host((host, port)).await?.collect())
}

/// The first connection of those to several addresses.
async fn connect_any(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut rest = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        match rest.next() {
            Some(address) => attempts.push(TcpStream::connect(address)),
            None if attempts.is_empty() => return Err(failure),
            None => {}
        }
        tokio::select! {
            Some(outcome) = attempts.next() => match outcome {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            },
            () = sleep(ATTEMPT_DELAY), if rest.len() > 0 => {}
        }
    }
}

/// Alternates between the address families, beginning with that of the first address (RFC 8305
/// § 4), so that one family that is broken delays the other by one attempt only.
fn alternating(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut preferred, mut other): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let mut order = Vec::with_capacity(preferred.len() + other.len());
    preferred.reverse();
    other.reverse();
    while !preferred.is_empty() || !other.is_empty() {
        order.extend(preferred.pop());
        order.extend(other.pop());
    }
    order
}

/// "Connection Attempt Delay", the recommended value of RFC 8305 § 5.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Names of tests, whose addresses change.
#[cfg(test)]
pub(super) mod test_names {
    use std::{cell::RefCell, collections::HashMap, net::SocketAddr};

    thread_local! {
        static NAMES: RefCell<HashMap<String, Vec<SocketAddr>>> = RefCell::default();
    }

    pub(in super::super) fn set(name: &str, addresses: Vec<SocketAddr>) {
        NAMES.with_borrow_mut(|names| names.insert(name.to_owned(), addresses));
    }

    pub(super) fn addresses_of(name: &str) -> Option<Vec<SocketAddr>> {
        NAMES.with_borrow(|names| names.get(name).cloned())
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// A listener that accepts nothing and whose queue is full, so that the kernel drops what else
    /// arrives; and the connections that fill it.
    fn silent() -> (SocketAddr, impl Sized) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let filling: Vec<_> = (0..8)
            .map(|_| tokio::spawn(TcpStream::connect(address)))
            .collect();
        (address, (listener, filling))
    }

    async fn refusing() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_delays_the_next_one_only() {
        let (silent, _full) = silent();
        // Let the connections that fill the queue begin.
        tokio::task::yield_now().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        for addresses in [
            vec![silent, good],
            vec![silent, silent, good],
            vec![refusing().await, silent, good],
            vec![good, silent],
        ] {
            let connecting = connect_any(addresses.clone());
            let stream = tokio::time::timeout(Duration::from_secs(20), connecting)
                .await
                .unwrap_or_else(|_| panic!("{addresses:?}: timeout"))
                .unwrap();
            assert_eq!(stream.peer_addr().unwrap(), good, "{addresses:?}");
        }
    }

    #[tokio::test]
    async fn the_last_failure_is_the_error() {
        let addresses = vec![refusing().await, refusing().await];
        let error = connect_any(addresses).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = connect_any(Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn address_families_alternate() {
        let parse = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter()
                .map(|address| format!("{address}:80").parse().unwrap())
                .collect()
        };
        let order = alternating(parse(&["[::1]", "[::2]", "[::3]", "1.1.1.1", "2.2.2.2"]));
        assert_eq!(
            order,
            parse(&["[::1]", "1.1.1.1", "[::2]", "2.2.2.2", "[::3]"])
        );
        let order = alternating(parse(&["1.1.1.1", "2.2.2.2", "[::1]"]));
        assert_eq!(order, parse(&["1.1.1.1", "[::1]", "2.2.2.2"]));
    }
}
