//! The program under attack: a process of its own, with a meeting, honest visitors, and a web server.

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use model::clock::Clock;
use tokio::time::sleep;
use url::Url;

use super::{
    attackers::{Attackers, Target},
    meeting::{Bystanders, FILE, PAGE, Slice},
    slow_clients::LARGE_FILE,
};
use crate::support::{
    asset_server::{AssetServer, Script},
    process::{GatewayProcess, ProcessUsage, request},
    site::{ORIGIN, Site, SiteOptions},
};

/// The program and those who use it.
pub(super) struct Scene {
    // Dropped before the process, whose end would be an error of theirs.
    bystanders: Bystanders,
    pub(super) process: GatewayProcess,
    pub(super) target: Target,
    _web: AssetServer,
    _site: Site,
}

/// The most that the process had at one time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peak {
    /// Resident memory, in KiB.
    pub(super) resident: u64,
    pub(super) descriptors: usize,
    /// Bytes that the kernel keeps for one client.
    pub(super) send_queue: u64,
}

// === impl Scene ===

impl Scene {
    /// Starts all of it. Attackers come from so many addresses; `descriptors` limits those of the process, and
    /// `idle` is the time after which it closes an idle connection.
    pub(super) async fn start(addresses: u8, descriptors: Option<usize>, idle: Duration) -> Self {
        let web = web_server().await;
        let rules = format!(
            "[[room]]\nmatch = \"*\"\nenter = \"member\"\n[upstream]\nweb = \"{}\"\n\
             [limits]\nconnection_idle = \"{}s\"\n[log]\naccess = false\n",
            web.url(),
            idle.as_secs(),
        );
        // The program reads the system's clock; the provider has the same time.
        let (clock, control) = Clock::manual(Clock::system().now());
        let options = SiteOptions::default().rules(&rules).clock(clock, control);
        let site = Site::with(options).await;
        let config = site.file("gateway.toml");
        let starting = tokio::task::spawn_blocking(move || match descriptors {
            Some(most) => GatewayProcess::start_with_descriptors(&config, most),
            None => GatewayProcess::start(&config),
        });
        let process = starting.await.unwrap();
        let admin = process.admin;
        site.wait_for("the provider is known", async || {
            ask(admin, "/readyz")
                .await
                .contains("\"provider\":\"ready\"")
        })
        .await;
        let gateway = process.https.unwrap();
        let mut member = site.browser().at(gateway);
        member.sign_in("max", "/robots.txt").await;
        let bystanders = Bystanders::start(&mut member, gateway, admin).await;
        let (_, cookies) = member.cookie_header(&Url::parse(ORIGIN).unwrap()).unwrap();
        let cookies = cookies.to_str().unwrap().to_owned();
        let target = Target::new(gateway, addresses, cookies, &member);
        Self {
            process,
            target,
            bystanders,
            _web: web,
            _site: site,
        }
    }

    /// Measures until the time is over, or until `done`; raises the peak to the usage of the process.
    pub(super) async fn measure(
        &self,
        time: Duration,
        peak: &mut Peak,
        mut done: impl FnMut() -> bool,
    ) -> Slice {
        let began = Instant::now();
        while began.elapsed() < time && !done() {
            sleep(SAMPLE_INTERVAL).await;
            let ProcessUsage {
                resident,
                descriptors,
                ..
            } = self.process.usage();
            peak.resident = peak.resident.max(resident);
            peak.descriptors = peak.descriptors.max(descriptors);
            peak.send_queue = peak.send_queue.max(self.process.longest_send_queue());
        }
        let ended = Instant::now();
        // The last answers of the slice come behind its end.
        sleep(SAMPLE_INTERVAL).await;
        self.bystanders.slice(began, ended)
    }

    /// Measures a slice without an attack.
    pub(super) async fn measure_quiet(&self) -> Slice {
        let before = processor_time();
        let mut slice = self.measure(SLICE, &mut Peak::default(), || false).await;
        let after = processor_time();
        slice.idle = (after.0 - before.0, after.1 - before.1);
        slice
    }

    /// Ends the attack: the connections of those that the gateway has to end by itself, and then the others.
    /// Returns how many it did not end in time.
    pub(super) async fn end(&self, attackers: Attackers, by_itself: bool, others: u64) -> usize {
        attackers.begin_no_more();
        let outcomes = attackers.outcomes();
        let ended = async || outcomes.ended() == outcomes.opened();
        let in_time = !by_itself || poll(END_TIMEOUT, ended).await;
        let left = if in_time {
            0
        } else {
            outcomes.opened() - outcomes.ended()
        };
        drop(attackers);
        let gone = async || self.open_connections().await <= QUIET_CONNECTIONS + others;
        assert!(
            poll(END_TIMEOUT, gone).await,
            "connections of attackers are still open"
        );
        left
    }

    /// Waits until the gateway has ended all other connections; whether it did in time.
    pub(super) async fn wait_until_only_visitors_are_connected(&self) -> bool {
        let gone = async || self.open_connections().await <= QUIET_CONNECTIONS;
        poll(END_TIMEOUT, gone).await
    }

    /// Waits until the process has returned memory to the system, down to so many KiB; whether it did in time.
    pub(super) async fn wait_until_memory_is_at_most(&self, resident: u64) -> bool {
        let small = async || self.process.usage().resident <= resident;
        poll(END_TIMEOUT, small).await
    }

    /// The open client connections, but for WebSockets.
    async fn open_connections(&self) -> u64 {
        self.metric("jitsi_auth_gateway_connections_open").await
    }

    /// How often a limit was exceeded.
    pub(super) async fn count_of(&self, limit: &str) -> u64 {
        let name = format!("jitsi_auth_gateway_limits_total{{limit=\"{limit}\"}}");
        self.metric(&name).await
    }

    async fn metric(&self, name: &str) -> u64 {
        let text = ask(self.process.admin, "/metrics").await;
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }
}

/// Jitsi's web server: a page, a file that the gateway keeps, and a large one that it forwards.
async fn web_server() -> AssetServer {
    let web = AssetServer::start().await;
    let page = Script::new(&["content-type: text/html", "cache-control: no-store"]);
    let html = "<!DOCTYPE html><html><head></head><body></body></html>";
    web.script(PAGE, page.body(html));
    let (file, _) = FILE.split_once('?').unwrap();
    let kept = Script::new(&["cache-control: max-age=600"]);
    web.script(file, kept.body(vec![b'a'; 4096]));
    let large = Script::new(&["cache-control: no-store"]);
    web.script(LARGE_FILE, large.body(vec![b'a'; 256 * 1024]));
    web
}

/// The idle time of all processors and their whole time, in hundredths of a second (`proc_stat(5)`).
fn processor_time() -> (u64, u64) {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let fields = stat.lines().next().unwrap().split_whitespace().skip(1);
    let times: Vec<u64> = fields.map(|time| time.parse().unwrap()).collect();
    (times[3] + times[4], times[..8].iter().sum())
}

/// Polls a condition; whether it came true in time.
async fn poll(within: Duration, done: impl AsyncFn() -> bool) -> bool {
    let began = Instant::now();
    while !done().await {
        if began.elapsed() > within {
            return false;
        }
        sleep(SAMPLE_INTERVAL).await;
    }
    true
}

/// GETs a path of the admin listener; the answer is empty if there is none.
async fn ask(admin: SocketAddr, path: &str) -> String {
    let target = format!("GET {path}");
    let asking = tokio::task::spawn_blocking(move || request(admin, &target, ""));
    asking.await.unwrap().unwrap_or_default()
}

/// The shortest that `limits.connection_idle` may be.
pub(super) const IDLE: Duration = Duration::from_secs(5);

/// The length of a slice: some hundred echoes.
pub(super) const SLICE: Duration = Duration::from_millis(500);

/// Those of the visitors: one that is kept, and a new one for each of two requests; and as many that close.
const QUIET_CONNECTIONS: u64 = 6;

const SAMPLE_INTERVAL: Duration = Duration::from_millis(50);
/// The gateway ends what it ends by itself within it, however slow the machine is.
const END_TIMEOUT: Duration = Duration::from_secs(30);
