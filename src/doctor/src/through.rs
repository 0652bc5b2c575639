//! Through the public address, as people come: the same conversation as straight with Prosody, by a
//! test person whom the gateway knows.
//!
//! What works at Prosody and not here is spoilt by a hop between, and which one that is shows by
//! asking the gateway's own listener past those in front of it.

mod judged;
mod slow;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use http::{HeaderName, HeaderValue, Request, header};

use self::judged::Local;
use super::{
    Check, Report, Watch,
    bosh::{BoshError, Session, Target},
    certificate::Trust,
    person::{self, TestPersons},
    tokens::Tokens,
    wire::{Answer, Wire, WireError},
};
use config::Config;
use model::{clock::Clock, identity::Identity, policy::Role, random::Random};

/// What is examined, and with what.
pub(super) struct Through<'t> {
    pub(super) config: &'t Config,
    pub(super) trust: &'t Trust,
    pub(super) clock: &'t Clock,
    pub(super) random: &'t Random,
    pub(super) watch: &'t Watch<'t>,
    /// For how long nothing is said, if that is to be tried.
    pub(super) slow: Option<Duration>,
}

// === impl Through ===

impl Through<'_> {
    /// Goes in by the public address.
    pub(super) async fn examine(&self, report: &mut Report) {
        let (Some(jitsi), Ok(tls)) = (self.config.jitsi(), self.trust.config()) else {
            report.skip(THROUGH, "meetings are at 8x8");
            return;
        };
        let Ok(tokens) = Tokens::new(&jitsi.token, self.clock.clone(), self.random.clone()) else {
            report.skip(THROUGH, "no token can be signed");
            return;
        };
        let (room, person) = (tokens.room(), test_person());
        if !person::may_enter(self.config, &room, &person, self.clock) {
            report.skip(
                THROUGH,
                "the rules let no test person into a room of the doctor's",
            );
            return;
        }
        let persons = TestPersons::new(self.config, self.clock.clone(), self.random.clone());
        // For as long as the whole of it takes.
        let lifetime = LIFETIME + self.slow.unwrap_or_default() * 2;
        let invited = persons.invite(&room, Role::Moderator, &person, lifetime);
        let public_url = &self.config.public_url;
        let wire = Wire::tls(public_url.authority(), tls);
        let domain = &jitsi.upstream.xmpp_domain;
        let target =
            |wire: Wire, token: &str| Target::gateway(wire, domain, public_url, room.node(), token);
        let door = target(wire.clone(), invited.as_str());
        if !self.same(&door, report).await {
            report.skip(AFTER_S4, "S4 failed");
            return;
        }
        if self.watch.begins(Check::S6) {
            let minted = tokens.good(&room, Role::Moderator).unwrap_or_default();
            let others = [minted.as_str(), ""].map(|token| target(wire.clone(), token));
            self.forged(&door, others.each_ref(), &minted, report).await;
        }
        if self.watch.begins(Check::R3) {
            let page = format!("{}?jwt={}", room.page_path(), invited.as_str());
            let visit = self.heads(&wire, &[&page, LOGIN]).await;
            report.settle(Check::R3, judged::heads(&visit));
        }
        match self.slow {
            Some(quiet) => {
                let later = slow::Slow {
                    target: &door,
                    quiet,
                    watch: self.watch,
                    rid: self.rid(),
                };
                later.examine(report).await;
            }
            None => report.skip(SLOW, "they take minutes; --slow looks at them"),
        }
    }

    /// Logs in as people do. Whether that works.
    async fn same(&self, door: &Target, report: &mut Report) -> bool {
        self.watch.begins(Check::S4);
        let Err(error) = self.log_in(door, None).await else {
            report.pass(Check::S4);
            return true;
        };
        let local = self.past_the_hops(door).await;
        report.find(judged::differs(&error, &local));
        false
    }

    /// The same login at the listener of a gateway that runs on this machine, if one does.
    async fn past_the_hops(&self, door: &Target) -> Local {
        let server = &self.config.server;
        let listener = match (server.https, server.http) {
            (Some(address), _) => Some((address, door.wire.clone())),
            (None, Some(address)) => {
                let plain = Wire::plain(self.config.public_url.authority());
                Some((address, plain))
            }
            (None, None) => None,
        };
        let Some((address, wire)) = listener else {
            return Local::Unknown;
        };
        let wire = wire.at(reachable(address));
        let keys = self.get(&wire, JWKS).await;
        // Something else may listen there where the doctor does not run beside the gateway.
        if !keys.is_ok_and(|answer| answer.text().starts_with("{\"keys\":")) {
            return Local::Unknown;
        }
        let here = door.clone().by(wire);
        match self.log_in(&here, None).await {
            Ok(()) => Local::Works(address),
            // A plain listener believes only its proxy.
            Err(error) if judged::is_misdirected(&error) => Local::Unknown,
            Err(error) => Local::Fails(address, error),
        }
    }

    /// What clients claim beside what we know them by changes nothing, and what Prosody would
    /// believe is worth nothing here.
    async fn forged(
        &self,
        door: &Target,
        [stolen, nobody]: [&Target; 2],
        minted: &str,
        report: &mut Report,
    ) {
        let bearer = HeaderValue::try_from(format!("Bearer {minted}")).ok();
        // Where nobody in particular is let in, a token makes no difference.
        let believed =
            self.log_in(stolen, bearer).await.is_ok() && self.log_in(nobody, None).await.is_err();
        if believed {
            report.find(judged::believed());
            return;
        }
        let mut claiming = door.clone().with_query(FORGED_QUERY);
        for (name, value) in FORGED_HEADERS {
            let name = HeaderName::from_static(name);
            claiming
                .headers
                .insert(name, HeaderValue::from_static(value));
        }
        let forged = HeaderValue::from_static(FORGED_BEARER);
        let result = self.log_in(&claiming, Some(forged)).await;
        report.settle(Check::S6, result.map_err(|error| judged::changed(&error)));
    }

    async fn log_in(
        &self,
        target: &Target,
        authorization: Option<HeaderValue>,
    ) -> Result<(), BoshError> {
        let mut target = target.clone();
        if let Some(mut value) = authorization {
            value.set_sensitive(true);
            target.headers.insert(header::AUTHORIZATION, value);
        }
        let mut session = Session::open(&target, None, self.rid()).await?;
        let answer = session.log_in().await;
        session.close().await;
        answer?.map_err(|refusal| BoshError::Ended(refusal.to_string()))
    }

    /// The largest head of several answers.
    async fn heads(&self, wire: &Wire, paths: &[&str]) -> judged::Heads {
        let mut largest = judged::Heads::default();
        for path in paths {
            if let Ok(answer) = self.get(wire, path).await {
                let (head, cookies) = answer.head_bytes();
                if head > largest.head {
                    // A token may stand behind the path.
                    let path = path.split('?').next().unwrap_or_default();
                    largest = judged::Heads {
                        path: path.to_owned(),
                        head,
                        cookies,
                    };
                }
            }
        }
        largest
    }

    async fn get(&self, wire: &Wire, path: &str) -> Result<Answer, WireError> {
        let request = Request::get(path)
            .header(header::HOST, self.config.public_url.authority().as_str())
            .header(header::ACCEPT, "text/html")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .body(String::new());
        let request = request.map_err(|_| WireError::Name(path.to_owned()))?;
        wire.send(request).await
    }

    fn rid(&self) -> u64 {
        u64::from(u32::from_be_bytes(self.random.bytes()))
    }
}

/// Where a listener is reached from its own machine.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

fn test_person() -> Identity {
    Identity {
        subject: "gateway-doctor".to_owned(),
        name: Some("Gateway doctor".to_owned()),
        ..Identity::default()
    }
}

/// What is examined here.
pub(super) const THROUGH: &[Check] = &[Check::S2, Check::S3, Check::S4, Check::S6, Check::R3];

const AFTER_S4: &[Check] = &[Check::S2, Check::S3, Check::S6, Check::R3];

const SLOW: &[Check] = &[Check::S2, Check::S3];

const JWKS: &str = "/_gateway/jwks.json";

const LOGIN: &str = "/_gateway/login";

/// Longer than all but the slow checks take.
const LIFETIME: Duration = Duration::from_mins(5);

/// Another tenant.
const FORGED_QUERY: &str = "&prefix=elsewhere";

const FORGED_BEARER: &str = "Bearer forged";

/// What Prosody and its modules would read.
const FORGED_HEADERS: [(&str, &str); 3] = [
    ("x-proxy-region", "elsewhere"),
    ("x-jitsi-shard", "elsewhere"),
    ("x-forwarded-host", "elsewhere.example.org"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_on_all_addresses_are_reached_on_this_machine() {
        let at = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(at("0.0.0.0:8443"), "127.0.0.1:8443");
        assert_eq!(at("[::]:8443"), "[::1]:8443");
        assert_eq!(at("10.0.0.7:8443"), "10.0.0.7:8443");
    }
}
