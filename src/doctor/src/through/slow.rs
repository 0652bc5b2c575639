//! Connections on which nothing is said for long, as in a meeting where nobody comes or goes.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use crate::{
    Check, Finding, Report, Watch,
    bosh::{BoshError, Session, Target},
    prosody::websocket::{self, Socket},
};

/// What is waited for.
pub(super) struct Slow<'s> {
    pub(super) target: &'s Target,
    /// For how long nothing is said on a WebSocket; BOSH gets two thirds of it.
    pub(super) quiet: Duration,
    pub(super) watch: &'s Watch<'s>,
    pub(super) rid: u64,
}

// === impl Slow ===

impl Slow<'_> {
    /// Waits on both kinds of connection at once.
    pub(super) async fn examine(&self, report: &mut Report) {
        let socket = async {
            if self.watch.begins(Check::S2) {
                Some(self.socket().await)
            } else {
                None
            }
        };
        let poll = async {
            if self.watch.begins(Check::S3) {
                Some(self.poll().await)
            } else {
                None
            }
        };
        let (socket, poll) = tokio::join!(socket, poll);
        match socket {
            Some(Ok(result)) => {
                report.settle(Check::S2, result);
            }
            // Where there is none, S1 says what there is to say.
            Some(Err(why)) => report.skip(&[Check::S2], &why),
            None => {}
        }
        if let Some(result) = poll {
            report.settle(Check::S3, result);
        }
    }

    async fn socket(&self) -> Result<Result<(), Finding>, String> {
        let opened = websocket::log_in(self.target, None).await;
        let mut socket = opened.map_err(|error| format!("no WebSocket opens: {error}"))?;
        let began = Instant::now();
        let broken = stay(&mut socket, began + self.quiet).await;
        let broken = match broken {
            Some(how) => Some(how),
            None => websocket::still_there(&mut socket, self.target)
                .await
                .err()
                .map(|error| error.to_string()),
        };
        // It is over either way.
        let _ = socket.close(None).await;
        Ok(broken.map_or(Ok(()), |how| {
            Err(cut(Check::S2, self.quiet, began.elapsed(), &how))
        }))
    }

    async fn poll(&self) -> Result<(), Finding> {
        let wait = self.quiet * 2 / 3;
        let target = self.target.clone().waiting(wait);
        let began = Instant::now();
        let broken = |began: Instant, error: &BoshError| {
            cut(Check::S3, wait, began.elapsed(), &error.to_string())
        };
        let session = Session::open(&target, None, self.rid).await;
        let mut session = session.map_err(|error| broken(began, &error))?;
        let began = Instant::now();
        let result = session.wait().await;
        let result = result.map_err(|error| broken(began, &error));
        session.close().await;
        result
    }
}

/// Listens until then, or until the connection is gone; how it went.
async fn stay(socket: &mut Socket, until: Instant) -> Option<String> {
    loop {
        match timeout_at(until, socket.next()).await {
            Err(_) => return None,
            Ok(None) => return Some("the connection was closed".to_owned()),
            Ok(Some(Err(error))) => return Some(error.to_string()),
            Ok(Some(Ok(message))) if message.is_close() => {
                return Some(format!("the connection was closed ({message})"));
            }
            // Probes of those on the way are no conversation.
            Ok(Some(Ok(_))) => {}
        }
    }
}

fn cut(check: Check, wanted: Duration, after: Duration, how: &str) -> Finding {
    let (sent, what) = if check == Check::S2 {
        ("a WebSocket on which nothing is said", "meetings")
    } else {
        ("a BOSH request that waits for news", "meetings over BOSH")
    };
    let sent = format!("{sent} for {} s, at the public address", wanted.as_secs());
    let got = format!("after {:.1} s: {how}", after.as_secs_f64());
    let usual = usual(after).map_or_else(String::new, |whose| format!("; that is {whose}"));
    Finding::error(check, "cut").saw(sent, got).so(
        format!(
            "a time-out on the way cuts connections, so {what} break off again and again{usual}"
        ),
        "raise the time-outs of every hop before the gateway to an hour for /xmpp-websocket and to \
         150 s for /http-bind (proxy_read_timeout in nginx, timeout tunnel and timeout server in \
         HAProxy, the route's timeout in Envoy, the idle time-out of the cloud's balancer)",
    )
}

/// Whose default it is to cut after so long.
fn usual(after: Duration) -> Option<&'static str> {
    let near = |(seconds, _): &&(u64, _)| {
        after.abs_diff(Duration::from_secs(*seconds)) <= Duration::from_millis(1500)
    };
    USUAL.iter().find(near).map(|(_, whose)| *whose)
}

/// Seconds, and what has them as its default.
const USUAL: [(u64, &str); 4] = [
    (
        15,
        "the default of a route's timeout in Envoy and its Gateways",
    ),
    (
        30,
        "the default of Google Cloud's backend services (timeoutSec)",
    ),
    (
        50,
        "what HAProxy's examples have for timeout client and server",
    ),
    (
        60,
        "the default of nginx (proxy_read_timeout), Apache (ProxyTimeout) and AWS's balancers",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_time_out_it_is_shows_by_the_time() {
        let whose = |seconds: f64| usual(Duration::from_secs_f64(seconds));
        for (seconds, expected) in [
            (15.1, Some("Envoy")),
            (30.0, Some("Google")),
            (49.9, Some("HAProxy")),
            (60.8, Some("nginx")),
            (3.0, None),
            (42.0, None),
        ] {
            assert_eq!(
                whose(seconds).is_some_and(|text| text.contains(expected.unwrap_or("?"))),
                expected.is_some(),
                "{seconds}"
            );
        }
        let finding = cut(
            Check::S3,
            Duration::from_mins(1),
            Duration::from_secs(15),
            "504",
        );
        assert_eq!(finding.id, "S3.cut");
        assert!(finding.meaning.contains("Envoy"), "{}", finding.meaning);
    }
}
