//! `token mint` and `token inspect`: tokens for tests, and what a token says.

use std::{io::Read, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use humantime_serde::re::humantime;

use super::{ConfigArgument, Context, Failure};
use doctor::TestUsers;
use model::{
    identity::Identity,
    policy::Role,
    random::Random,
    room::{RoomError, RoomKey},
    token::{Minter, prosody},
};

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Print a link into the room and a token that Prosody accepts for each of some test persons.
    /// Keep both as secret as keys.
    Mint(MintArguments),
    /// Print what a token says, and which of Prosody's rules it breaks. Its signature is not checked.
    Inspect {
        /// The token, or `-` to read it from standard input, where no other process can see it.
        token: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct MintArguments {
    #[command(flatten)]
    file: ConfigArgument,
    /// The room, as ROOM or TENANT/ROOM.
    #[arg(long)]
    room: String,
    /// How many tokens, each for another person; unless given, as many as names.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=MAX_COUNT))]
    count: Option<u16>,
    /// Who of them is a moderator.
    #[arg(long, value_enum, default_value_t = Moderators::First)]
    moderator: Moderators,
    /// How long the tokens are good for; unless given, what `token.lifetime` says.
    #[arg(long, value_name = "DURATION", value_parser = ttl)]
    ttl: Option<Duration>,
    /// The name of a person; may be given several times.
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Print only this, one a line, for scripts.
    #[arg(long, value_enum)]
    print: Option<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Links through the gateway, good in browsers and frames.
    Links,
    /// Tokens for Prosody.
    Tokens,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Moderators {
    First,
    All,
    None,
}

// === impl Context ===

impl Context<'_, '_> {
    pub(super) fn token(&mut self, command: TokenCommand) -> Result<(), Failure> {
        match command {
            TokenCommand::Mint(arguments) => self.mint(arguments),
            TokenCommand::Inspect { token } => self.inspect(token),
        }
    }

    fn mint(&mut self, arguments: MintArguments) -> Result<(), Failure> {
        let room = room(&arguments.room)
            .map_err(|error| Failure::Usage(format!("{error}; name another with --room")))?;
        let people = arguments.people();
        let (_, config) = arguments.file.load(self.environment)?;
        let settings = &config
            .jitsi()
            .ok_or_else(|| Failure::Usage("with [jaas] there is no Prosody to mint for".into()))?
            .token;
        let minter = Minter::new(settings, self.clock.clone()).map_err(anyhow::Error::from)?;
        let lifetime = arguments.ttl.unwrap_or(settings.lifetime);
        let origin = config.public_url.origin();
        let persons = TestUsers::new(&config, self.clock.clone(), Random::system());
        for (index, person) in people.iter().enumerate() {
            let role = arguments.moderator.role(index);
            let token = minter
                .mint_as(&room, role, person, lifetime)
                .map_err(anyhow::Error::from)?
                .into_text_for_operator();
            let client = persons.invite(&room, role, person, lifetime);
            let link = format!("{origin}{}?jwt={}", room.page_path(), client.as_str());
            let output = &mut self.terminal.output;
            match arguments.print {
                Some(Part::Links) => writeln!(output, "{link}")?,
                Some(Part::Tokens) => writeln!(output, "{token}")?,
                None => {
                    let name = person.display_name().unwrap_or_default();
                    let role = role.as_str();
                    writeln!(output, "{name} ({role})\n  link   {link}\n  token  {token}")?;
                }
            }
        }
        Ok(())
    }

    fn inspect(&mut self, token: String) -> Result<(), Failure> {
        let token = if token == "-" {
            let mut text = String::new();
            let input = &mut *self.terminal.input;
            input.take(MAX_TOKEN_BYTES).read_to_string(&mut text)?;
            text
        } else {
            token
        };
        let report = prosody::inspect(&token, self.clock.now());
        if report.claims.is_none() {
            let remedy = "not a JWT; it has three parts of base64url with dots between them";
            return Err(Failure::Usage(remedy.to_owned()));
        }
        write!(self.terminal.output, "{report}")?;
        if report.is_acceptable() {
            return Ok(());
        }
        Err(anyhow::anyhow!("Prosody would refuse this token").into())
    }
}

// === impl MintArguments ===

impl MintArguments {
    fn people(&self) -> Vec<Identity> {
        let count = self
            .count
            .map_or_else(|| self.names.len().max(1), usize::from);
        (1..=count)
            .map(|number| {
                let name = self.names.get(number - 1).cloned();
                Identity {
                    subject: format!("test-{number}"),
                    name: Some(name.unwrap_or_else(|| format!("Test {number}"))),
                    ..Identity::default()
                }
            })
            .collect()
    }
}

// === impl Moderators ===

impl Moderators {
    fn role(self, index: usize) -> Role {
        match self {
            Self::All => Role::Moderator,
            Self::First if index == 0 => Role::Moderator,
            Self::First | Self::None => Role::Participant,
        }
    }
}

pub(super) fn room(text: &str) -> Result<RoomKey, RoomError> {
    let (tenant, name) = text
        .split_once('/')
        .map_or((None, text), |(tenant, name)| (Some(tenant), name));
    if name.contains('/') {
        return Err(RoomError::Character('/'));
    }
    RoomKey::from_page(tenant, name).map(|page| page.key)
}

fn ttl(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|ttl| (Duration::from_secs(1)..=MAX_TTL).contains(ttl))
        .ok_or_else(|| "write a duration from 1s to 24h, as 10m".to_owned())
}

/// As many as the largest meeting that a load test would try.
const MAX_COUNT: i64 = 1000;

/// Longer than any test; tokens cannot be taken back.
const MAX_TTL: Duration = Duration::from_hours(24);

/// Many times what any HTTP server takes as a header.
const MAX_TOKEN_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_written_with_or_without_a_tenant() {
        assert_eq!(
            room("Board Meeting").unwrap().to_string(),
            "board%20meeting"
        );
        assert_eq!(room("Acme/x").unwrap().to_string(), "acme/x");
        assert!(room("").is_err() && room("a/b/c").is_err());
    }
}
