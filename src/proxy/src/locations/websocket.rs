//! WebSockets of locations: the client's handshake is checked, and made with the server of the location.

use std::rc::Rc;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::upgrade;
use hyper_util::rt::TokioIo;
use model::{headers, path::CanonicalPath, route::SiteLocation};
use observe::metrics::{OpenStream, StreamKind};
use tracing::debug;

use super::{LocationError, access::LocationUser, pools, request_for};
use crate::{
    Body, RequestContext, RequestError, Worker,
    connections::{ConnectionKind, Registration},
    server::ClientBody,
    shard_upstreams::ForwardingError,
    signalling::{
        OpaqueTunnel,
        websocket::{ClientUpgrade, accept_of, check_accept, switch_to_web_socket, web_socket_key},
    },
    upstream::Place,
};

/// Answers a handshake.
pub(super) async fn answer(
    worker: &Rc<Worker>,
    mut request: Request<ClientBody>,
    path: &CanonicalPath,
    context: RequestContext,
    location: &SiteLocation,
    user: LocationUser,
) -> Result<Response<Body>, RequestError> {
    let key = web_socket_key(&request, &worker.state.random)?;
    let expected = accept_of(&key);
    let registration = user.register(&worker.connections, ConnectionKind::LocationSocket)?;
    let offered = request.headers().clone();
    let client = ClientUpgrade::of(&mut request);
    let mut handshake = request_for(&worker.state.authority, request, path, context, location)?;
    let fields = handshake.headers_mut();
    fields.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    fields.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    fields.insert(header::SEC_WEBSOCKET_KEY, key);
    let (answer, place) = pools::send_dedicated(worker, &location.upstream, handshake).await?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(if answer.status().is_client_error() {
            LocationError::Refused(answer.status()).into()
        } else {
            ForwardingError::Answer("a refusal of the WebSocket handshake").into()
        });
    }
    check_accept(&answer, &expected)?;
    let mut switched = switch_to_web_socket(expected);
    copy_negotiated(&offered, answer.headers(), switched.headers_mut())?;
    let server = upgrade::on(answer);
    // Counted before the client learns of the switch, so that a gateway that stops waits for its close frame.
    let open = worker.metrics.open_stream(StreamKind::Location);
    tokio::task::spawn_local(carry(
        Rc::clone(worker),
        client,
        server,
        registration,
        (user, place, open),
        context,
    ));
    Ok(switched)
}

/// Copies the subprotocol and the extensions that the server chose of those that the client offered.
fn copy_negotiated(
    offered: &HeaderMap,
    chosen: &HeaderMap,
    to: &mut HeaderMap,
) -> Result<(), ForwardingError> {
    if let Some(protocol) = chosen.get(header::SEC_WEBSOCKET_PROTOCOL) {
        let is_offered = protocol.to_str().is_ok_and(|protocol| {
            headers::list_contains(offered, &header::SEC_WEBSOCKET_PROTOCOL, protocol)
        });
        if !is_offered {
            return Err(ForwardingError::Answer(
                "a subprotocol that was not offered",
            ));
        }
        to.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol.clone());
    }
    if let Some(extensions) = chosen.get(header::SEC_WEBSOCKET_EXTENSIONS) {
        if !offered.contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
            return Err(ForwardingError::Answer("an extension that was not offered"));
        }
        to.insert(header::SEC_WEBSOCKET_EXTENSIONS, extensions.clone());
    }
    Ok(())
}

/// Carries the bytes until either side, the credentials or the gateway ends.
async fn carry(
    worker: Rc<Worker>,
    client: ClientUpgrade,
    server: upgrade::OnUpgrade,
    registration: Registration,
    (user, _place, _open): (LocationUser, Place, OpenStream),
    context: RequestContext,
) {
    let (client, server) = match tokio::try_join!(client.socket(&worker.metrics), server) {
        Ok((client, server)) => (client, TokioIo::new(server)),
        Err(error) => {
            debug!(%error, request = %context.id, "a client left during the handshake");
            return;
        }
    };
    let tunnel = OpaqueTunnel {
        client,
        server,
        registration,
    };
    if let Some(reason) = tunnel.run(user.lifetime).await {
        worker.metrics.count_location_cut(reason.reason());
        debug!(reason = reason.reason().as_str(), request = %context.id, "a location's WebSocket was cut");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_client_offered_is_negotiated() {
        let fields = |pairs: &[(header::HeaderName, &'static str)]| -> HeaderMap {
            let pairs = pairs
                .iter()
                .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            pairs.collect()
        };
        let (protocol, extensions) = (
            header::SEC_WEBSOCKET_PROTOCOL,
            header::SEC_WEBSOCKET_EXTENSIONS,
        );
        let offered = fields(&[
            (protocol.clone(), "a, b"),
            (extensions.clone(), "permessage-deflate"),
        ]);
        let nothing = HeaderMap::new();
        for (offered, chosen, expected) in [
            (&offered, fields(&[(protocol.clone(), "b")]), true),
            (&offered, fields(&[(protocol.clone(), "c")]), false),
            (
                &offered,
                fields(&[(extensions.clone(), "permessage-deflate")]),
                true,
            ),
            (&nothing, fields(&[(protocol, "a")]), false),
            (
                &nothing,
                fields(&[(extensions, "permessage-deflate")]),
                false,
            ),
            (&nothing, HeaderMap::new(), true),
        ] {
            let mut to = HeaderMap::new();
            let copied = copy_negotiated(offered, &chosen, &mut to);
            assert_eq!(copied.is_ok(), expected, "{chosen:?}");
            assert!(!expected || to == chosen, "{to:?}");
        }
    }
}
