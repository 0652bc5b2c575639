//! The probe that runs beside the gateway: logs in at each backend with a good token and without any,
//! and leaves. No room is opened, and nobody sees it.

use std::time::Duration;

use futures_util::future::join_all;
use http::uri::Authority;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    bosh::{BoshError, Session, Target},
    tokens::Tokens,
    wire::Wire,
};
use model::{clock::Clock, policy::Role, random::Random, token};
use observe::metrics::{ProbeMetrics, ProbeVerdict};

/// A Prosody that is probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// The name in metrics.
    pub name: String,
    /// Prosody's HTTP port.
    pub xmpp: Authority,
    /// Its XMPP domain.
    pub domain: String,
}

/// What the probe works with; may change while it runs.
#[derive(Clone, Debug)]
pub struct ProbeSettings {
    /// Who is probed.
    pub backends: Vec<Backend>,
    /// How tokens are made.
    pub token: token::Settings,
}

/// Probes the backends again and again.
#[derive(Debug)]
pub struct Prober {
    /// How often, give or take a tenth.
    pub every: Duration,
    /// What to probe, and with what.
    pub settings: watch::Receiver<ProbeSettings>,
    /// Where to note what was found.
    pub metrics: ProbeMetrics,
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
}

// === impl Prober ===

impl Prober {
    /// Runs until told to stop.
    pub async fn run(self, stopped: CancellationToken) {
        let probing = async {
            loop {
                self.round().await;
                sleep(self.pause()).await;
            }
        };
        stopped.run_until_cancelled(probing).await;
    }

    async fn round(&self) {
        let settings = self.settings.borrow().clone();
        let is_known = |name: &str| settings.backends.iter().any(|own| own.name == name);
        self.metrics.retain(is_known);
        let probing = settings.backends.iter().map(|backend| async {
            let began = Instant::now();
            // What takes longer than this is no answer to anybody.
            let asked = timeout(PATIENCE, self.ask(backend, &settings.token));
            let verdict = asked.await.unwrap_or(ProbeVerdict::NoAnswer);
            self.note(backend, verdict, began.elapsed());
        });
        join_all(probing).await;
    }

    fn note(&self, Backend { name, xmpp, .. }: &Backend, verdict: ProbeVerdict, took: Duration) {
        let before = self.metrics.record(name, verdict, took, self.clock.now());
        let reason = verdict.as_str();
        match (before, verdict) {
            (before, now) if before == Some(now) => {}
            (None, ProbeVerdict::Ok) => {}
            (_, ProbeVerdict::Ok) => info!(backend = name, "people can log in at Prosody again"),
            (_, ProbeVerdict::Open) => warn!(
                backend = name, %xmpp,
                "Prosody lets people in without a token; run the doctor"
            ),
            _ => warn!(
                backend = name, %xmpp, reason,
                "people cannot log in at Prosody; run the doctor"
            ),
        }
    }

    /// Logs in without a token first: that it works is worse than that nothing does.
    async fn ask(&self, backend: &Backend, settings: &token::Settings) -> ProbeVerdict {
        let wire = Wire::plain(&backend.xmpp);
        let target = Target::prosody(wire, &backend.domain);
        match self.log_in(&target, None).await {
            ProbeVerdict::Ok => return ProbeVerdict::Open,
            ProbeVerdict::Refused => {}
            other => return other,
        }
        let tokens = Tokens::new(settings, self.clock.clone(), self.random.clone());
        let token = tokens.and_then(|tokens| tokens.good(&tokens.room(), Role::Participant));
        match token {
            Ok(token) => self.log_in(&target, Some(&token)).await,
            // Without a token of ours nobody logs in.
            Err(_) => ProbeVerdict::Refused,
        }
    }

    async fn log_in(&self, target: &Target, token: Option<&str>) -> ProbeVerdict {
        // Far from 0 and from 2^53 (XEP-0124 § 7).
        let rid = u64::from(u32::from_be_bytes(self.random.bytes()));
        let mut session = match Session::open(target, token, rid).await {
            Ok(session) => session,
            Err(error) => return failed(&error),
        };
        let answer = session.log_in().await;
        session.close().await;
        match answer {
            Ok(Ok(())) => ProbeVerdict::Ok,
            Ok(Err(_)) => ProbeVerdict::Refused,
            Err(error) => failed(&error),
        }
    }

    /// Spread, so that replicas that started together do not ask together for ever.
    fn pause(&self) -> Duration {
        let [spread] = self.random.bytes();
        self.every * 9 / 10 + self.every / 5 * u32::from(spread) / 255
    }
}

fn failed(error: &BoshError) -> ProbeVerdict {
    match error {
        BoshError::Wire(_) => ProbeVerdict::Unreachable,
        BoshError::Http(_) | BoshError::Ended(_) => ProbeVerdict::NoSession,
        BoshError::Silence(_) => ProbeVerdict::NoAnswer,
    }
}

/// Longer than a login that Prosody has to fetch a key for.
const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    fn prober(xmpp: Authority) -> Prober {
        let settings = ProbeSettings {
            backends: vec![Backend {
                name: "main".to_owned(),
                xmpp,
                domain: "meet.jitsi".to_owned(),
            }],
            token: token::Settings {
                issuer: "gateway".to_owned(),
                audience: "jitsi".to_owned(),
                subject: "meet.jitsi".to_owned(),
                lifetime: Duration::from_mins(2),
                signing: token::SigningSettings::Secret {
                    algorithm: jsonwebtoken::Algorithm::HS256,
                    secret: "0123456789abcdef0123456789abcdef".to_owned().into(),
                },
            },
        };
        Prober {
            every: Duration::from_mins(1),
            settings: watch::Sender::new(settings).subscribe(),
            metrics: ProbeMetrics::default(),
            clock: Clock::system(),
            random: Random::system(),
        }
    }

    #[tokio::test]
    async fn who_is_not_there_is_unreachable() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let prober = prober(address.parse().unwrap());
        prober.round().await;
        assert_eq!(
            prober.metrics.verdicts().get("main"),
            Some(&ProbeVerdict::Unreachable)
        );
    }

    type Script = fn(&str) -> &'static str;

    /// A Prosody that answers a session's every request by what the request's head and body are.
    async fn scripted(answer: Script) -> Authority {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !request.ends_with(b"</body>") {
                    stream.read_buf(&mut request).await.unwrap();
                }
                let body = answer(std::str::from_utf8(&request).unwrap());
                let head = format!(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                let answer = head + body;
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        address.parse().unwrap()
    }

    const LETS_IN: &str = "<body xmlns='http://jabber.org/protocol/httpbind' sid='s'>\
        <features/><success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></body>";
    const KEEPS_OUT: &str = "<body xmlns='http://jabber.org/protocol/httpbind' sid='s'>\
        <features/><failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-allowed/></failure></body>";
    const ENDS: &str = "<body xmlns='http://jabber.org/protocol/httpbind' type='terminate' \
        condition='internal-server-error'/>";

    fn by_token(request: &str) -> &'static str {
        if request.contains("authorization: Bearer ey") {
            LETS_IN
        } else {
            KEEPS_OUT
        }
    }

    #[tokio::test]
    async fn what_prosody_does_is_called_by_its_name() {
        let prosodys: [(Script, ProbeVerdict); 5] = [
            (by_token, ProbeVerdict::Ok),
            (|_| LETS_IN, ProbeVerdict::Open),
            (|_| KEEPS_OUT, ProbeVerdict::Refused),
            (|_| ENDS, ProbeVerdict::NoSession),
            (|_| "<html>It works!</html>", ProbeVerdict::NoSession),
        ];
        for (answer, expected) in prosodys {
            let prober = prober(scripted(answer).await);
            prober.round().await;
            assert_eq!(prober.metrics.verdicts().get("main"), Some(&expected));
        }
    }

    #[test]
    fn pauses_are_spread_around_what_was_asked_for() {
        let prober = prober("127.0.0.1:1".parse().unwrap());
        for _ in 0..100 {
            let pause = prober.pause();
            assert!(
                (Duration::from_secs(54)..=Duration::from_secs(66)).contains(&pause),
                "{pause:?}"
            );
        }
    }
}
