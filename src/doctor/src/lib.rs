//! The doctor: looks at a deployment from the gateway's place and says what is wrong with it.
//!
//! It does what the gateway and its visitors do, with good tokens and with bad ones: the worst
//! failures are those that nobody complains of, as a token for one room that opens another. Every
//! room is its own, with a random name; it keeps few connections, waits for nothing long, and
//! changes nothing. Where one thing is broken, what follows from it is not looked at
//! ([`Outcome::Skipped`]), so that the first finding is the one to mend.
//!
//! [`examine`] is the whole of it; [`explain`] reads logs instead.

mod bosh;
mod bridges;
mod certificate;
mod check;
mod clocks;
mod explain;
mod finding;
mod person;
mod probe;
mod prosody;
mod provider;
mod public;
mod reach;
mod report;
mod rooms;
mod store;
#[cfg(test)]
mod tests;
mod through;
mod tokens;
mod web;
mod wire;
mod xml;

use std::time::Duration;

use http::uri::Authority;

use self::{
    bosh::Target,
    clocks::Dates,
    prosody::{Examination, Signing},
    public::{DOOR, Door},
    rooms::{ROOMS, Rooms},
    through::{THROUGH, Through},
    tokens::Tokens,
    wire::Wire,
};
pub use self::{
    certificate::Trust,
    check::{Check, Selection, UnknownCheck},
    explain::{Explanation, explain},
    finding::{Finding, Severity},
    person::TestPersons,
    probe::{Backend, ProbeSettings, Prober},
    report::{Outcome, Report},
};
use config::{Config, JitsiConfig};
use model::{
    clock::Clock,
    random::Random,
    time_format,
    token::{self, SignerError, SigningSettings},
};

/// What to examine, and how to tell of it.
pub struct Order<'o> {
    /// Which checks; what they build upon is looked at as well.
    pub selection: Selection,
    /// Also what takes a room, and two people in it.
    pub deep: bool,
    /// Also whether quiet connections live for so long.
    pub slow: Option<Duration>,
    /// Jicofo's HTTP port, to ask for its bridges.
    pub jicofo: Option<Authority>,
    /// Hears of each check when it begins.
    pub progress: &'o dyn Fn(Check),
}

/// Why nothing could be examined.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// No token can be made.
    #[error("no token can be signed with [token]")]
    Token(#[from] SignerError),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// What goes on, and what was asked for.
struct Watch<'w> {
    selection: &'w Selection,
    progress: &'w dyn Fn(Check),
}

/// Examines the deployment that the configuration is for.
pub async fn examine(
    config: &Config,
    order: &Order<'_>,
    clock: &Clock,
    random: &Random,
) -> Result<Report, DoctorError> {
    let trust = Trust::of_system()?;
    Box::pin(examine_trusting(config, order, &trust, clock, random)).await
}

/// The same for a deployment whose certificates these authorities issued.
pub async fn examine_trusting(
    config: &Config,
    order: &Order<'_>,
    trust: &Trust,
    clock: &Clock,
    random: &Random,
) -> Result<Report, DoctorError> {
    let watch = Watch {
        selection: &order.selection,
        progress: order.progress,
    };
    let (inside, (outside, provider)) =
        tokio::join!(inside(config, order, &watch, clock, random), async {
            let mut report = Report::default();
            door(config, trust, &watch, clock, &mut report).await;
            store::examine(&config.store, &watch, clock, random, &mut report).await;
            let mut dates = Dates::new(clock.clone());
            let mut provider = Report::default();
            if watch.selection.has_any(&[Check::C3, Check::C4, Check::C5]) {
                match &config.oidc {
                    Some(settings) => {
                        let dates = &mut dates;
                        provider::examine(settings, random, &watch, &mut provider, dates).await;
                    }
                    None => provider.skip(&[Check::C4, Check::C5], "there is no [oidc]"),
                }
            }
            (report, (provider, dates))
        },);
    let (mut report, prosody_dates) = inside?;
    let (provider, provider_dates) = provider;
    report.append(outside);
    report.append(provider);
    if watch.wants_any(THROUGH) {
        // What is wrong at either end is found there.
        let broken = [Check::P1, Check::P2, Check::A1]
            .into_iter()
            .find(|check| !report.passed(*check));
        if let Some(check) = broken {
            report.skip(THROUGH, &format!("{check} did not pass"));
        } else {
            let through = Through {
                config,
                trust,
                clock,
                random,
                watch: &watch,
                slow: order.slow,
            };
            through.examine(&mut report).await;
        }
    }
    if watch.begins(Check::C3) {
        let lifetime = config.jitsi().map(|jitsi| jitsi.token.lifetime);
        let leeway = config
            .oidc
            .as_ref()
            .map(|provider| provider.leeway)
            .unwrap_or_default();
        let dates = [prosody_dates, provider_dates];
        let judged = dates
            .iter()
            .filter_map(|dates| dates.judged(lifetime.unwrap_or_default(), leeway));
        report.clocks(judged);
    }
    Ok(report.sorted().limited_to(&order.selection))
}

/// Jitsi's web server, Prosody and its rooms, in the order in which they build on each other.
async fn inside(
    config: &Config,
    order: &Order<'_>,
    watch: &Watch<'_>,
    clock: &Clock,
    random: &Random,
) -> Result<(Report, Dates), DoctorError> {
    let mut report = Report::default();
    let mut dates = Dates::new(clock.clone());
    let wanted = watch.selection.has_any(INSIDE) || watch.wants_any(THROUGH);
    let Some(jitsi) = config.jitsi().filter(|_| wanted) else {
        report.skip(INSIDE, "meetings are at 8x8, or not asked for");
        return Ok((report, dates));
    };
    log_levels(&jitsi.token, watch, &mut report);
    match &order.jicofo {
        Some(jicofo) if watch.begins(Check::J5) => bridges::examine(jicofo, &mut report).await,
        _ => report.skip(&[Check::J5], "--jicofo names the address to ask"),
    }
    for (shard, upstream) in jitsi.active_upstreams() {
        let set = JitsiConfig {
            upstream,
            ..jitsi.clone()
        };
        let examined = examine_set(config, &set, order, watch, (clock, random), &mut dates);
        let own = Box::pin(examined).await?;
        report.append(match shard {
            Some(shard) => own.about(shard.as_str()),
            None => own,
        });
    }
    Ok((report, dates))
}

/// One web server, its Prosody and its rooms.
async fn examine_set(
    config: &Config,
    JitsiConfig {
        upstream, token, ..
    }: &JitsiConfig,
    order: &Order<'_>,
    watch: &Watch<'_>,
    (clock, random): (&Clock, &Random),
    dates: &mut Dates,
) -> Result<Report, DoctorError> {
    let mut report = Report::default();
    let told = web::examine(
        &Wire::plain(&upstream.web),
        &config.public_url,
        &upstream.xmpp_domain,
        watch,
        &mut report,
    )
    .await
    .unwrap_or_default();
    let tokens = Tokens::new(token, clock.clone(), random.clone())?;
    let domain = &upstream.xmpp_domain;
    let prosody = Examination {
        target: Target::prosody(Wire::plain(&upstream.xmpp), domain),
        tokens: &tokens,
        signing: Signing::from(&token.signing),
        websocket_wanted: told.websocket.is_some(),
        random,
        watch,
    };
    let logs_in = prosody.run(&mut report, dates).await;
    report.explained("W2.domain", &["B1.host", "B2.domain"]);
    if !watch.selection.has_any(ROOMS) {
        return Ok(report);
    }
    if logs_in {
        let rooms = Rooms {
            prosody: &prosody,
            muc: told.muc.unwrap_or_else(|| format!("muc.{domain}")),
            focus: told.focus.unwrap_or_else(|| format!("focus.{domain}")),
            watch,
        };
        rooms.run(order.deep, &mut report).await;
    } else {
        report.skip(ROOMS, "a good token does not log in");
    }
    Ok(report)
}

/// Prosody's plugins write whole tokens into the log when they refuse somebody.
fn log_levels(token: &token::TokenSettings, watch: &Watch<'_>, report: &mut Report) {
    if !watch.begins(Check::L1) {
        return;
    }
    if token.lifetime <= LONG {
        report.pass(Check::L1);
        return;
    }
    let lifetime = time_format::format_duration(token.lifetime);
    report.advise(
        Finding::advice(Check::L1, "lifetime")
            .saw("nothing: this is about token.lifetime", lifetime)
            .so(
                "Prosody's plugins write the whole token of whoever they keep out of a room into \
                 the log, where it is good for as long",
                "shorten token.lifetime (2m is enough: a token counts as its connection opens), \
                 and keep Prosody's log from others",
            ),
    );
}

/// The public address.
async fn door(
    config: &Config,
    trust: &Trust,
    watch: &Watch<'_>,
    clock: &Clock,
    report: &mut Report,
) {
    if !watch.selection.has_any(DOOR) && !watch.wants_any(THROUGH) {
        return;
    }
    let jitsi = config.jitsi();
    let kids = match jitsi.map(|jitsi| &jitsi.token.signing) {
        Some(SigningSettings::Keys { keys, .. }) => {
            keys.iter().map(|key| key.kid.clone()).collect()
        }
        _ => Vec::new(),
    };
    let tls = config.server.tls.as_ref();
    let door = Door {
        public_url: &config.public_url,
        trust,
        now: clock.now(),
        certificate_file: tls.map(|tls| tls.certificate.as_path()),
        kids,
        xmpp_domain: jitsi.map_or("", |jitsi| &jitsi.upstream.xmpp_domain),
        watch,
    };
    door.examine(report).await;
}

// === impl Order ===

impl std::fmt::Debug for Order<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Order")
            .field("selection", &self.selection)
            .field("deep", &self.deep)
            .finish_non_exhaustive()
    }
}

// === impl Watch ===

impl Watch<'_> {
    /// Whether the check was asked for, or one that builds upon it.
    fn wants(&self, check: Check) -> bool {
        let through = matches!(check, Check::A1 | Check::P1 | Check::P2);
        self.selection.has(check) || (through && self.wants_any(THROUGH))
    }

    fn wants_any(&self, checks: &[Check]) -> bool {
        self.selection.has_any(checks)
    }

    /// Tells of a check that begins. Whether it was asked for.
    fn begins(&self, check: Check) -> bool {
        let chosen = self.selection.has(check);
        if chosen {
            (self.progress)(check);
        }
        chosen
    }
}

/// Long enough for whoever reads a log to use what is in it.
const LONG: Duration = Duration::from_mins(15);

/// What takes a Jitsi of one's own.
const INSIDE: &[Check] = &[
    Check::W1,
    Check::W2,
    Check::B1,
    Check::B2,
    Check::B3,
    Check::B4,
    Check::A1,
    Check::A2,
    Check::A3,
    Check::A4,
    Check::A5,
    Check::A6,
    Check::A7,
    Check::J1,
    Check::J2,
    Check::J3,
    Check::J4,
    Check::J5,
    Check::J6,
    Check::S1,
    Check::L1,
    // Whose clock matters most is found out on the way.
    Check::C3,
];
