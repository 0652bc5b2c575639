//! Floods of HTTP/2 frames and the slow clients of slowhttptest, beside a running meeting.
//!
//! The program is a process of its own, so that its memory, descriptors and counters are its own. Slices with
//! an attack and slices without one take turns; their times are printed, and compared with each other if
//! `GATEWAY_TEST_TIMES` is set and the processors have idle time without an attack.

mod attackers;
mod exhaustion;
mod http2_floods;
mod meeting;
mod scene;
mod slow_clients;

use std::time::Duration;

use self::{
    attackers::{Attackers, Target},
    http2_floods::Flood,
    meeting::Slice,
    scene::{IDLE, Peak, SLICE, Scene},
    slow_clients::SlowClient,
};

/// An attack, and how its connections have to end.
struct Attack {
    name: &'static str,
    kind: Kind,
    /// The label of `jitsi_auth_gateway_limits_total` that counts each of its connections; none, if its requests
    /// are answered.
    limit: Option<&'static str>,
    /// How the gateway ends its connections; empty, if it does so later than the test waits.
    ends: &'static [&'static str],
}

#[derive(Clone, Copy)]
enum Kind {
    Flood(Flood),
    Slow(SlowClient),
}

const fn flood(
    name: &'static str,
    flood: Flood,
    limit: &'static str,
    ends: &'static [&'static str],
) -> Attack {
    Attack {
        name,
        kind: Kind::Flood(flood),
        limit: Some(limit),
        ends,
    }
}

const fn slow(
    name: &'static str,
    client: SlowClient,
    limit: Option<&'static str>,
    ends: &'static [&'static str],
) -> Attack {
    Attack {
        name,
        kind: Kind::Slow(client),
        limit,
        ends,
    }
}

/// `ENHANCE_YOUR_CALM`, which a client that still writes may lose: the socket is closed with bytes unread.
const CALM: &[&str] = &["GOAWAY 11", "closed"];
const CLOSED: &[&str] = &["closed"];

const ATTACKS: &[Attack] = &[
    slow("slow readers", SlowClient::Reader, None, &[]),
    slow("slow bodies", SlowClient::Body, None, &[]),
    slow("slow heads", SlowClient::Head, Some("head_time"), CLOSED),
    slow("ranges", SlowClient::Ranges, None, &["closed after 200"]),
    flood("rapid reset", Flood::RapidReset, "stream_resets", CALM),
    flood("late resets", Flood::LateReset, "stream_resets", CALM),
    flood("made-you-reset", Flood::MadeYouReset, "stream_resets", CALM),
    flood("CONTINUATION", Flood::Continuation, "head_size", CALM),
    flood("PING", Flood::Ping, "http2_pings", CLOSED),
    flood("SETTINGS", Flood::Settings, "http2_settings", CLOSED),
    flood("empty DATA", Flood::EmptyData, "http2_small_data", CALM),
    flood("PRIORITY", Flood::Priority, "http2_other_frames", CLOSED),
    flood(
        "WINDOW_UPDATE",
        Flood::WindowUpdates,
        "http2_window_updates",
        CLOSED,
    ),
    flood("HPACK bomb", Flood::HpackBomb, "head_size", CALM),
    flood("trailers", Flood::Trailers, "head_size", CALM),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures times: a step of tests/run of its own"]
async fn a_meeting_goes_on_beside_each_attack() {
    let scene = Scene::start(1, None, IDLE).await;
    let before = scene.process.usage();
    // These end after times that are fixed, and so before the end of the test.
    let lingering = [SlowClient::Reader, SlowClient::Body]
        .map(|client| Attackers::slow(&scene.target, client, LINGERING_CONNECTIONS));
    let mut seen = Seen::default();
    seen.quiet.push(scene.measure_quiet().await);
    for attack in ATTACKS {
        attack.observe(&scene, &mut seen).await;
    }
    let Seen {
        quiet,
        attacked,
        peak,
        mut faults,
    } = seen;
    let (quiet, attacked) = (Slice::joined(&quiet), Slice::joined(&attacked));
    println!(
        "all attacks: echo p99 {:?} quiet, {:?} attacked; without the gateway {:?} and {:?}{}",
        quiet.echo_p99(),
        attacked.echo_p99(),
        quiet.control_p99(),
        attacked.control_p99(),
        if quiet.is_compared() {
            ""
        } else {
            "; not compared"
        },
    );
    faults.extend(attacked.check_echoes(99, &quiet).err());
    let [readers, bodies] = lingering;
    let all_gone = scene.wait_until_only_visitors_are_connected().await;
    for (attackers, limit) in [(bodies, "body_time"), (readers, "slow_reader")] {
        let counted = scene.count_of(limit).await;
        let described = attackers.outcomes().described();
        println!("{limit} counted {counted}; {described}");
        if !all_gone || counted < LINGERING_CONNECTIONS as u64 {
            faults.push(format!("{limit} counted {counted}; {described}"));
        }
    }
    let descriptors = scene.process.usage().descriptors;
    if descriptors > before.descriptors + FEW_DESCRIPTORS {
        faults.push(format!(
            "{descriptors} descriptors, {} before",
            before.descriptors
        ));
    }
    let added = peak.resident - before.resident;
    let kept = before.resident + added / 4;
    let given_back = scene.wait_until_memory_is_at_most(kept).await;
    let after = scene.process.usage().resident;
    println!(
        "memory {} KiB before, {} at most, {after} after",
        before.resident, peak.resident
    );
    if !given_back {
        faults.push(format!("{after} KiB of memory are kept, not {kept}"));
    }
    if added > SLOW_CONNECTIONS as u64 * CONNECTION_MEMORY {
        faults.push(format!(
            "{added} KiB of memory for {SLOW_CONNECTIONS} clients"
        ));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What was seen until now.
#[derive(Default)]
struct Seen {
    quiet: Vec<Slice>,
    attacked: Vec<Slice>,
    peak: Peak,
    faults: Vec<String>,
}

// === impl Attack ===

impl Attack {
    /// Runs the attack in two slices, or in a longer one; a quiet slice follows each. Prints the figures.
    async fn observe(&self, scene: &Scene, seen: &mut Seen) {
        let counted_before = self.counted(scene).await;
        let usage_before = scene.process.usage();
        let (mut quiet, mut attacked) = (Vec::from_iter(seen.quiet.last().cloned()), Vec::new());
        let (mut described, mut ended, mut left, mut as_expected) = (String::new(), 0, 0, true);
        let mut peak = Peak::default();
        for _ in 0..self.slices() {
            let attackers = self.begin(&scene.target);
            let outcomes = attackers.outcomes();
            let over = || match self.kind {
                Kind::Flood(_) => false,
                Kind::Slow(_) if self.ends.is_empty() => outcomes.opened() == SLOW_CONNECTIONS,
                Kind::Slow(_) => outcomes.ended() == SLOW_CONNECTIONS,
            };
            attacked.push(scene.measure(self.longest_slice(), &mut peak, over).await);
            left += scene.end(attackers, !self.ends.is_empty(), LINGERING).await;
            described = outcomes.described();
            ended += outcomes.ended();
            as_expected &= self.ends.is_empty() || outcomes.all_ended_by(self.ends);
            quiet.push(scene.measure_quiet().await);
        }
        let after = scene.process.usage();
        let counted = self.counted(scene).await - counted_before;
        seen.quiet.extend_from_slice(&quiet[1..]);
        seen.attacked.extend_from_slice(&attacked);
        seen.peak.resident = seen.peak.resident.max(peak.resident);
        let (quiet, attacked) = (Slice::joined(&quiet), Slice::joined(&attacked));
        println!(
            "{}: {described}; {} counted {counted}\n  echo p99 {:?} quiet, {:?} attacked; without the gateway \
             {:?} and {:?}\n  slowest answer {:?} quiet, {:?} attacked; {} failed quiet, and attacked {:?}\n  memory {} KiB \
             before, {} at most, {} after; {} descriptors at most, {} after; {} ticks; {} bytes in a send queue at most",
            self.name,
            self.limit.unwrap_or("nothing"),
            quiet.echo_p99(),
            attacked.echo_p99(),
            quiet.control_p99(),
            attacked.control_p99(),
            quiet.slowest_answer(),
            attacked.slowest_answer(),
            quiet.failures.len(),
            attacked.failures,
            usage_before.resident,
            peak.resident,
            after.resident,
            peak.descriptors,
            after.descriptors,
            after.ticks - usage_before.ticks,
            peak.send_queue,
        );
        let mut check = |held: bool, fault: &str| {
            if !held {
                seen.faults.push(format!("{}: {fault}", self.name));
            }
        };
        check(as_expected, &described);
        check(left == 0, "connections were not ended");
        check(
            self.limit.is_none() || (ended > 0 && counted >= ended as u64),
            "not counted",
        );
        check(attacked.failures.is_empty(), "requests of visitors failed");
        let waited = attacked.answer_p95() >= ANSWER_TIMEOUT && quiet.is_compared();
        check(!waited, "visitors waited");
        check(
            peak.send_queue <= SEND_QUEUE,
            "the kernel keeps too much for one client",
        );
        if let Err(fault) = attacked.check_echoes(90, &quiet) {
            check(false, &fault);
        }
    }

    fn begin(&self, target: &Target) -> Attackers {
        match self.kind {
            Kind::Flood(flood) => Attackers::flood(target, flood, FLOOD_CONNECTIONS),
            Kind::Slow(client) => Attackers::slow(target, client, SLOW_CONNECTIONS),
        }
    }

    async fn counted(&self, scene: &Scene) -> u64 {
        match self.limit {
            Some(limit) => scene.count_of(limit).await,
            None => 0,
        }
    }

    const fn slices(&self) -> usize {
        match self.kind {
            Kind::Flood(_) => 2,
            Kind::Slow(_) => 1,
        }
    }

    fn longest_slice(&self) -> Duration {
        match self.kind {
            Kind::Flood(_) => SLICE,
            Kind::Slow(_) => 6 * IDLE,
        }
    }
}

const FLOOD_CONNECTIONS: usize = 4;
const SLOW_CONNECTIONS: usize = 1000;
const LINGERING_CONNECTIONS: usize = 20;

/// The most connections that are still open of those that end late.
const LINGERING: u64 = 2 * 20;

/// Those of the visitors' requests at a moment.
const FEW_DESCRIPTORS: usize = 10;

/// The most memory of a connection, in KiB: unread answers are most of it (docs/security.md has 240 KiB).
const CONNECTION_MEMORY: u64 = 300;

/// The most bytes that the kernel keeps for one client: the unsent ones of `acceptor.rs`, one write of TLS records, and
/// unacknowledged segments.
const SEND_QUEUE: u64 = 512 * 1024;

/// The time in which a visitor gets an answer. One of twenty, and all on a busy machine, may take longer, up to the
/// time after which they have failed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
