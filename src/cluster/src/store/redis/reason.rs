//! Texts for the operator: why the server cannot be used, and the remedy.

use std::{error::Error, io, sync::Arc};

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Formats one line without secrets: the fault at `address` and the remedy.
pub(super) fn reason(error: &RedisError, address: &str) -> String {
    let (what, remedy) = match error.code() {
        Some("NOAUTH") => (
            "wants a password",
            "write it into store.url as redis://:password@host or redis://user:password@host",
        ),
        Some("WRONGPASS") => (
            "refuses the user name or password",
            "compare those in store.url with the server's requirepass or ACL",
        ),
        Some("NOPERM") => (
            "does not let the user do what the gateway needs",
            "grant it ~gw:* &gw:* +@read +@write +@scripting +@pubsub +@connection +time",
        ),
        Some("READONLY") => (
            "is a replica that only reads",
            "name the primary in store.url",
        ),
        Some("MOVED" | "ASK" | "CLUSTERDOWN") => (
            "is part of a cluster",
            "name a server that stands alone in store.url",
        ),
        Some("OOM") => (
            "has no memory left",
            "raise its maxmemory, or look at what else it keeps",
        ),
        Some("MISCONF") => (
            "takes no writes because it cannot save them",
            "look at its log and its disk",
        ),
        Some("LOADING") => ("is starting", "wait"),
        _ => return other(error, address),
    };
    format!("{address} {what}: {remedy}")
}

fn other(error: &RedisError, address: &str) -> String {
    let (what, remedy) = match error.kind() {
        ErrorKind::AuthenticationFailed => (
            "refuses the user name or password".to_owned(),
            "compare those in store.url with the server's requirepass or ACL",
        ),
        ErrorKind::RESP3NotSupported => (
            "is older than Redis 6.2".to_owned(),
            "update it, or use Valkey",
        ),
        ErrorKind::Server(ServerErrorKind::ResponseError) => (
            format!("answers {:?}", error.detail().unwrap_or("an error")),
            "look at its log and its version, which has to be 6.2 or later",
        ),
        ErrorKind::Io => return transport(error, address),
        _ => (
            format!("cannot be used ({error})"),
            "look at its log and at store.url",
        ),
    };
    format!("{address} {what}: {remedy}")
}

/// The text for an error of DNS, TCP or TLS.
fn transport(error: &RedisError, address: &str) -> String {
    // The library's source is the shared pointer to the cause.
    let shared = error
        .source()
        .and_then(|source| source.downcast_ref::<Arc<dyn Error + Send + Sync>>());
    let cause = shared.and_then(|shared| shared.downcast_ref::<io::Error>());
    let tls = cause
        .and_then(io::Error::get_ref)
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (what, remedy) = match (tls, cause.map(io::Error::kind)) {
        (Some(rustls::Error::InvalidCertificate(why)), _) => (
            format!("shows a certificate that is not trusted ({why})"),
            "name its authority in store.ca_file, and the server as its certificate does",
        ),
        (Some(rustls::Error::InvalidMessage(_)), _) => (
            "does not speak TLS".to_owned(),
            "write redis:// in store.url, or switch TLS on there",
        ),
        (Some(error), _) => (
            format!("ended the TLS handshake ({error})"),
            "look at its TLS settings; client certificates are not supported",
        ),
        (None, Some(io::ErrorKind::ConnectionRefused)) => (
            "refuses connections".to_owned(),
            "start the server, or correct store.url",
        ),
        (None, Some(io::ErrorKind::TimedOut)) => (
            "does not answer in time".to_owned(),
            // A server without TLS takes the ClientHello for an incomplete command and waits.
            "look at its load, at firewalls on the way, and whether it speaks TLS as store.url says",
        ),
        (
            None,
            Some(
                io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionAborted,
            ),
        ) => (
            "closed the connection".to_owned(),
            "look at its log; if it wants TLS, write rediss:// in store.url",
        ),
        _ => (
            format!("cannot be reached ({error})"),
            "look at store.url and at name resolution",
        ),
    };
    format!("{address} {what}: {remedy}")
}
