//! Idle connections through the public address: a proxy's time-out breaks meetings.

use std::time::Duration;

use model::random::Random;
use tokio::time::{Instant, timeout};

use crate::{
    Check, DoctorReport, Finding, FindingKind,
    client::{BoshError, BoshSession, XmppServer, XmppSocket},
    options::Progress,
};

/// The checks S2 and S3.
pub(super) struct IdleChecks<'i> {
    pub(super) server: &'i XmppServer,
    /// Idle time of the WebSocket; a BOSH request is held for two thirds of it.
    pub(super) idle: Duration,
    pub(super) progress: &'i Progress<'i>,
    pub(super) random: &'i Random,
}

// === impl IdleChecks ===

impl IdleChecks<'_> {
    /// Runs both checks at the same time.
    pub(super) async fn run(&self, report: &mut DoctorReport) {
        let websocket = async {
            if self.progress.begins(Check::IdleWebSocket) {
                Some(self.websocket().await)
            } else {
                None
            }
        };
        let bosh = async {
            if self.progress.begins(Check::IdleBosh) {
                Some(self.bosh().await)
            } else {
                None
            }
        };
        let (websocket, bosh) = tokio::join!(websocket, bosh);
        match websocket {
            Some(Ok(result)) => {
                report.record(Check::IdleWebSocket, result);
            }
            // S1 reports a missing WebSocket.
            Some(Err(reason)) => report.skip([Check::IdleWebSocket], &reason),
            None => {}
        }
        if let Some(result) = bosh {
            report.record(Check::IdleBosh, result);
        }
    }

    /// `Err` if no WebSocket opens.
    async fn websocket(&self) -> Result<Result<(), Finding>, String> {
        let opened = XmppSocket::log_in(self.server, None).await;
        let mut socket = opened.map_err(|error| format!("no WebSocket opens: {error}"))?;
        let began = Instant::now();
        let ended = match timeout(self.idle, socket.wait_for_end()).await {
            Ok(reason) => Some(reason),
            Err(_) => socket.restart().await.err().map(|error| error.to_string()),
        };
        socket.close().await;
        Ok(match ended {
            None => Ok(()),
            Some(reason) => Err(cut(&Cut {
                kind: FindingKind::IdleWebSocketCut,
                required: self.idle,
                after: began.elapsed(),
                reason: &reason,
            })),
        })
    }

    async fn bosh(&self) -> Result<(), Finding> {
        let wait = self.idle * 2 / 3;
        let server = self.server.clone().with_wait(wait);
        let broken = |began: Instant, error: &BoshError| {
            cut(&Cut {
                kind: FindingKind::IdleBoshCut,
                required: wait,
                after: began.elapsed(),
                reason: &error.to_string(),
            })
        };
        let began = Instant::now();
        let session = BoshSession::open(&server, None, self.random).await;
        let mut session = session.map_err(|error| broken(began, &error))?;
        let began = Instant::now();
        let result = session.poll().await;
        let result = result.map_err(|error| broken(began, &error));
        session.close().await;
        result
    }
}

/// An idle connection that ended too early.
struct Cut<'c> {
    kind: FindingKind,
    required: Duration,
    after: Duration,
    reason: &'c str,
}

fn cut(cut: &Cut<'_>) -> Finding {
    let (connection, meetings) = if cut.kind == FindingKind::IdleWebSocketCut {
        ("an idle WebSocket", "meetings")
    } else {
        ("a held BOSH request", "meetings over BOSH")
    };
    let sent = format!(
        "{connection}, for {} s at the public address",
        cut.required.as_secs()
    );
    let got = format!("after {:.1} s: {}", cut.after.as_secs_f64(), cut.reason);
    let known = known_default(cut.after).map_or_else(String::new, |of| format!("; that is {of}"));
    Finding::error(cut.kind).with_exchange(sent, got).with_remedy(
        format!("a time-out on the way cuts idle connections, so {meetings} break off{known}"),
        "raise the time-outs of every hop before the gateway to an hour for /xmpp-websocket and to \
         150 s for /http-bind (proxy_read_timeout in nginx, timeout tunnel and timeout server in \
         HAProxy, the route's timeout in Envoy, the idle time-out of the cloud's load balancer)",
    )
}

/// The software whose default time-out is this long.
fn known_default(after: Duration) -> Option<&'static str> {
    let near = |(seconds, _): &&(u64, _)| {
        after.abs_diff(Duration::from_secs(*seconds)) <= Duration::from_millis(1500)
    };
    DEFAULTS.iter().find(near).map(|(_, software)| *software)
}

/// Default time-outs, in seconds.
const DEFAULTS: [(u64, &str); 4] = [
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
        "the value of timeout client and server in HAProxy's examples",
    ),
    (
        60,
        "the default of nginx (proxy_read_timeout), Apache (ProxyTimeout) and AWS's load balancers",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_time_outs_are_recognized_by_their_length() {
        let of = |seconds: f64| known_default(Duration::from_secs_f64(seconds));
        for (seconds, software) in [
            (15.1, "Envoy"),
            (30.0, "Google"),
            (49.9, "HAProxy"),
            (60.8, "nginx"),
        ] {
            assert!(of(seconds).unwrap().contains(software), "{seconds}");
        }
        assert_eq!(of(3.0), None);
        assert_eq!(of(42.0), None);
    }

    #[test]
    fn a_cut_names_the_likely_software() {
        let finding = cut(&Cut {
            kind: FindingKind::IdleBoshCut,
            required: Duration::from_mins(1),
            after: Duration::from_secs(15),
            reason: "504",
        });
        assert_eq!(finding.id(), "S3.cut");
        assert!(finding.meaning.contains("Envoy"), "{}", finding.meaning);
    }
}
