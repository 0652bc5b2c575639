//! `explain`: what the rules make of a person and a room, and why.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use clap::{Args, ValueEnum};

use super::{ConfigArgument, Context, Failure, token};
use config::Config;
use model::{
    identity::{Identity, Standing},
    jws::ClaimsSet,
    owner::OwnerTags,
    policy::{Admission, Condition, EntryRule, Grant, Rule, Situation, StartRule, Visitor},
    room::RoomKey,
    seal::Purpose,
    shard::ShardName,
    token::{Minter, prosody},
};

#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    #[command(flatten)]
    file: ConfigArgument,
    /// The room, as ROOM or TENANT/ROOM.
    #[arg(long)]
    room: String,
    /// What the provider says of the person: a file with a JSON object of claims. Unless given,
    /// nobody in particular comes.
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
    /// As what the person comes.
    #[arg(long = "as", value_enum, default_value_t = Comes::Member)]
    comes: Comes,
    /// The room is open: somebody who may open it is there.
    #[arg(long)]
    open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Comes {
    /// Signed in.
    Member,
    /// Under a name of their own choice.
    Guest,
}

// === impl Context ===

impl Context<'_, '_> {
    pub(super) fn explain(&mut self, arguments: ExplainArguments) -> Result<(), Failure> {
        let room = token::room(&arguments.room)
            .map_err(|error| Failure::Usage(format!("{error}; name another with --room")))?;
        let (_, config) = arguments.file.load(self.environment)?;
        let person = match &arguments.claims {
            Some(file) => Some(person(file, &config)?),
            None => None,
        };
        let standing = match arguments.comes {
            Comes::Member => Standing::Member,
            Comes::Guest => Standing::Guest,
        };
        let owners = OwnerTags::new(config.keyring.tagger(Purpose::Owner));
        let visitor = person.as_ref().map(|identity| Visitor {
            identity,
            standing: &standing,
            owner: owners.is_owner(&room, identity),
        });
        let situation = Situation {
            now: self.clock.now(),
            open: arguments.open,
            ..Situation::default()
        };
        let output = &mut self.terminal.output;
        writeln!(output, "room     {room} ({})", room.readable())?;
        if let Some(jitsi) = config.jitsi().filter(|jitsi| jitsi.shards.sharded) {
            let ring = jitsi.shards.ring();
            let shard = ring.place(&room).map(ShardName::as_str).unwrap_or_default();
            let fingerprint = ring.fingerprint();
            writeln!(
                output,
                "shard    {shard} if it begins now (ring {fingerprint})"
            )?;
        }
        let Some((position, rule)) = config.policy.rule_for(&room) else {
            writeln!(output, "rule     none is for this room\nanswer   refused")?;
            return Ok(());
        };
        writeln!(
            output,
            "rule     {position} of {}",
            config.policy.rules().len()
        )?;
        conditions(output, rule, visitor.as_ref())?;
        let admission = config.policy.decide(&room, visitor.as_ref(), &situation);
        writeln!(output, "answer   {}", in_words(&admission))?;
        if let (Admission::Admit(grant), Some(person)) = (&admission, &person) {
            self.token_of(&config, &room, grant, person)?;
        }
        Ok(())
    }

    /// What the token for Prosody would say; not the token.
    fn token_of(
        &mut self,
        config: &Config,
        room: &RoomKey,
        grant: &Grant<'_>,
        person: &Identity,
    ) -> Result<(), Failure> {
        let Some(jitsi) = config.jitsi() else {
            return Ok(());
        };
        let token = Minter::new(&jitsi.token, self.clock.clone())
            .and_then(|minter| minter.mint(room, grant, person))
            .map_err(anyhow::Error::from)?
            .into_text_for_operator();
        let report = prosody::inspect(&token, self.clock.now());
        write!(self.terminal.output, "token\n{report}")?;
        Ok(())
    }
}

/// The person, read from a file of claims.
fn person(file: &PathBuf, config: &Config) -> Result<Identity, Failure> {
    let wrong = |what: String| Failure::Usage(format!("{}: {what}", file.display()));
    let Some(provider) = &config.oidc else {
        let what = "there is no [oidc], so nobody signs in with claims".to_owned();
        return Err(Failure::Usage(what));
    };
    let text = fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let claims: ClaimsSet = serde_json::from_slice(&text)
        .map_err(|error| wrong(format!("not a JSON object of claims: {error}")))?;
    oidc::identity_from_claims(&claims, provider, &config.policy)
        .map_err(|error| wrong(error.to_string()))
}

/// Whether a condition is met, which depends on what it is for.
type Meets<'m> = &'m dyn Fn(&Condition, &Visitor<'_>) -> bool;

/// The rule's conditions, and which of them are met.
fn conditions(
    output: &mut dyn Write,
    rule: &Rule,
    visitor: Option<&Visitor<'_>>,
) -> io::Result<()> {
    let entering: &[Condition] = match &rule.enter {
        EntryRule::Closed => {
            writeln!(output, "enter    closed")?;
            &[]
        }
        EntryRule::Where(conditions) => conditions,
    };
    let starting: &[Condition] = match &rule.start {
        StartRule::Where(conditions) => conditions,
        _ => &[],
    };
    let admits = |one: &Condition, visitor: &Visitor<'_>| one.admits(visitor);
    let elevates = |one: &Condition, visitor: &Visitor<'_>| one.elevates(visitor);
    let groups: [(&str, &[Condition], Meets<'_>); 4] = [
        ("enter", entering, &admits),
        ("host", &rule.hosts, &elevates),
        ("moderator", &rule.moderators, &elevates),
        ("start", starting, &admits),
    ];
    for (label, conditions, meets) in groups {
        for condition in conditions {
            let met = match visitor {
                Some(visitor) if meets(condition, visitor) => "met",
                Some(_) => "not met",
                None => "not looked at: nobody in particular",
            };
            writeln!(output, "  {label:<9} {condition}: {met}")?;
        }
    }
    match &rule.start {
        StartRule::Anyone => writeln!(output, "  start     anyone"),
        StartRule::Vouched => writeln!(output, "  start     whoever has an account, and hosts"),
        StartRule::Hosts => writeln!(output, "  start     hosts and moderators"),
        StartRule::Where(_) => Ok(()),
    }
}

fn in_words(admission: &Admission<'_>) -> String {
    match admission {
        Admission::Admit(grant) => {
            format!("enters as {} ({grant})", grant.role().as_str())
        }
        Admission::Wait(waiting) if waiting.for_host => "waits for a host".to_owned(),
        Admission::Wait(_) => "waits until somebody with an account opens the room".to_owned(),
        Admission::SignIn => "has to sign in".to_owned(),
        Admission::Guest { ask: true } => "may enter as a guest after saying a name".to_owned(),
        Admission::Guest { ask: false } => "may enter as a guest without being asked".to_owned(),
        Admission::Refuse(refusal) => format!("refused: {refusal}"),
    }
}
