//! The configuration: one TOML file, environment variables over it, and what both mean.
//!
//! Text becomes a tree that knows the place of every value (`tree`); variables are laid over it
//! (`environment`); what has not the right shape is reported and taken out (`shape`); serde
//! reads the rest into raw sections, and each section becomes the settings of its part
//! (`sections`). All problems are reported at once, each on one line with its place and remedy.

mod environment;
mod nearest;
mod problem;
mod public_url;
mod reference;
mod schema;
mod secret;
mod sections;
mod shape;
mod tree;
mod values;
mod written;

use std::{collections::BTreeMap, fs, io, path::Path, sync::Arc, time::Duration};

use aws_lc_rs::digest;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

pub use self::{
    environment::Environment,
    problem::{Problem, Problems},
    public_url::PublicUrl,
    reference::{RELOADED, reference},
    schema::schema,
    written::Written,
};
use self::{problem::Report, sections::Raw, shape::Shape, tree::Place};
use cluster::{
    placement::{self, ShardSettings},
    store,
};
use model::{
    integration, jaas,
    policy::Policy,
    seal::Keyring,
    session,
    shard::{ShardName, State},
    token,
};
use observe::{logs, traces};
use proxy::{gateway, reservation, server, upstream};

/// Everything that the gateway has to know, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where people reach the deployment.
    pub public_url: PublicUrl,
    /// What cookies are sealed with.
    pub keyring: Keyring,
    /// Where and how to listen.
    pub server: server::Settings,
    /// What carries the meetings.
    pub backend: Backend,
    /// The provider that signs people in; without one, people have no accounts.
    pub oidc: Option<oidc::Settings>,
    /// How long sessions live.
    pub session: session::Settings,
    /// Where Prosody asks for rooms, if it does.
    pub reservation: Option<reservation::Settings>,
    /// What replicas share.
    pub store: store::Settings,
    /// Who may enter which room, and as what.
    pub policy: Policy,
    /// What the gateway's own pages look like and say.
    pub pages: pages::Settings,
    /// Other systems that send people or use the API.
    pub integrations: Vec<integration::Settings>,
    /// How guests come and stay.
    pub guests: gateway::Guests,
    /// Origins of sites that may show rooms in frames.
    pub embedding_sites: Vec<String>,
    /// What is logged, and how.
    pub log: logs::LogSettings,
    /// Where traces go, if anywhere.
    pub traces: Option<traces::TracesSettings>,
    /// How often to look whether anything of this has changed, if ever.
    pub reload_every: Option<Duration>,
    /// What it was made of.
    pub written: Written,
    /// How often it is tried whether people can log in at Prosody; never if nothing is here.
    pub probe: Option<Duration>,
    /// The keys of switches that are on and weaken the gateway, as `oidc.insecure_http_issuer`.
    pub weakened: Vec<&'static str>,
}

/// What carries the meetings.
#[derive(Clone, Debug)]
pub enum Backend {
    /// A Jitsi of one's own.
    Jitsi(Jitsi),
    /// 8x8's.
    Jaas(jaas::Settings),
}

/// A Jitsi of one's own.
#[derive(Clone, Debug)]
pub struct Jitsi {
    /// How it is reached; where there are shards, the first of them.
    pub upstream: upstream::Settings,
    /// Its shards, or the one set that it is.
    pub shards: placement::Settings,
    /// How tokens for its Prosody are made.
    pub token: token::Settings,
}

// === impl Config ===

impl Config {
    /// The Jitsi of one's own, unless meetings are at 8x8.
    pub fn jitsi(&self) -> Option<&Jitsi> {
        match &self.backend {
            Backend::Jitsi(jitsi) => Some(jitsi),
            Backend::Jaas(_) => None,
        }
    }
}

impl Config {
    /// What tells configurations of one deployment from each other: a hash of what replicas have in
    /// common, made of what may be printed, so that it tells nothing of secrets.
    pub fn fingerprint(&self) -> String {
        let common = (
            (self.public_url.origin(), &self.backend, &self.oidc),
            (&self.session, &self.reservation, &self.policy),
            (&self.pages, &self.integrations, &self.guests),
            (&self.embedding_sites, &self.weakened),
        );
        fingerprint(&common)
    }
}

/// A hash of what a value prints for developers, which is the same in all processes of one release.
pub fn fingerprint(value: &impl std::fmt::Debug) -> String {
    let hash = digest::digest(&digest::SHA256, format!("{value:?}").as_bytes());
    let short = hash.as_ref().get(..FINGERPRINT_BYTES).unwrap_or_default();
    BASE64_URL_SAFE_NO_PAD.encode(short)
}

/// Enough to tell a handful of configurations apart.
const FINGERPRINT_BYTES: usize = 9;

// === impl Jitsi ===

impl Jitsi {
    /// Each set of web server and Prosody that is to work, with the name of its shard if there are
    /// shards.
    pub fn sets(&self) -> Vec<(Option<&ShardName>, upstream::Settings)> {
        if !self.shards.sharded {
            return vec![(None, self.upstream.clone())];
        }
        let shards = self.shards.shards.iter();
        let meant = shards.filter(|shard| shard.state != State::Down);
        let set = |shard: &ShardSettings| upstream::Settings {
            web: shard.place.web.clone(),
            xmpp: shard.place.xmpp.clone(),
            ..self.upstream.clone()
        };
        meant.map(|shard| (Some(&shard.name), set(shard))).collect()
    }
}

/// Reads the file and the environment, and every file that they name.
pub fn load(path: &Path, environment: &Environment) -> Result<Config, Problems> {
    let file: Arc<str> = path.display().to_string().into();
    let text = fs::read(path).map_err(|error| unreadable(&file, &error))?;
    let text = String::from_utf8(text).map_err(|_| not_utf8(&file))?;
    let text = Zeroizing::new(text);
    let mut report = Report::new();
    // A file that vanished meanwhile is as good as a private one.
    report.file_is_open = secret::is_open(path).unwrap_or(false);
    parse(&file, &text, environment, report)
}

fn parse(
    file: &Arc<str>,
    text: &str,
    environment: &Environment,
    mut report: Report,
) -> Result<Config, Problems> {
    let shape = Shape::of(&schema());
    let mut root = tree::read(file, text)?;
    environment.overlay(&mut root, &shape, &mut report);
    let mut places = BTreeMap::new();
    root.places("", &mut places);
    report.locate(places);
    shape.prune(&mut root, "", &mut report);
    let root = root.into_json();
    let written = Written::of(&root);
    let config = match serde_path_to_error::deserialize::<_, Raw>(root) {
        Ok(raw) => raw
            .resolve(&mut report)
            .map(|config| Config { written, ..config }),
        Err(error) => {
            // The shape was taken from the same types, so this is a mistake of ours; the inner
            // error may quote a secret.
            let path = error.path().to_string();
            let remedy = "look at the key in the reference";
            report.section("").reject(&path, "cannot be read", remedy);
            None
        }
    };
    match (report.into_problems(), config) {
        // An optional value that is wrong was left out of what is thrown away here.
        (Some(problems), _) => Err(problems),
        (None, Some(config)) => Ok(config),
        (None, None) => unreachable!("what cannot be resolved has a problem"),
    }
}

fn unreadable(file: &Arc<str>, error: &io::Error) -> Problems {
    let what = if error.kind() == io::ErrorKind::NotFound {
        "no such file".to_owned()
    } else {
        format!("cannot be read: {error}")
    };
    let remedy = "name the configuration with --config or GATEWAY_CONFIG";
    Problem::new(Place::File(Arc::clone(file)), "", what, remedy).into()
}

fn not_utf8(file: &Arc<str>) -> Problems {
    let place = Place::File(Arc::clone(file));
    Problem::new(place, "", "not UTF-8", "write the file as UTF-8").into()
}
