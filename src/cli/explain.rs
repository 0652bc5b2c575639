//! `explain`: which rule applies to a user and a room, and why.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use clap::{Args, ValueEnum};

use super::{CommandContext, CommandError, ConfigArgument, token};
use config::Config;
use model::{
    authentication_context::AuthenticationContext,
    clock::Timestamp,
    identity::{Identity, Standing},
    jws::ClaimsSet,
    owner::OwnerTags,
    policy::{
        Admission, Authentication, Condition, EntryRule, Grant, Requester, Rule, Situation,
        StartRule,
    },
    provider::ProviderId,
    room::RoomKey,
    seal::Purpose,
    shard::ShardName,
    token::{Minter, prosody},
};
use oidc::OidcSettings;

#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    #[command(flatten)]
    file: ConfigArgument,
    /// The room, as ROOM or TENANT/ROOM.
    #[arg(long, allow_hyphen_values = true)]
    room: String,
    /// A JSON file with the user's claims from the provider [default: an anonymous visitor].
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
    /// The one of several providers that the claims are from.
    #[arg(long, value_name = "ID")]
    provider: Option<String>,
    /// The standing of the user.
    #[arg(long = "as", value_enum, default_value_t = VisitorKind::Member)]
    kind: VisitorKind,
    /// The room is open already.
    #[arg(long)]
    open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum VisitorKind {
    /// A signed-in user.
    Member,
    /// A guest, who has entered a name.
    Guest,
}

// === impl CommandContext ===

impl CommandContext<'_, '_> {
    pub(super) fn explain(&mut self, arguments: ExplainArguments) -> Result<(), CommandError> {
        let room = token::parse_room(&arguments.room)
            .map_err(|error| CommandError::Usage(format!("{error}; name another with --room")))?;
        let (_, config) = arguments.file.load(self.environment)?;
        let now = self.clock.now();
        let unauthenticated = AuthenticationContext::default();
        let (person, authentication) = match (&arguments.claims, arguments.kind) {
            (Some(file), _) => {
                let (person, authentication) =
                    read_person(file, arguments.provider.as_deref(), &config, now)?;
                (Some(person), authentication)
            }
            // A guest has no claims, but a name.
            (None, VisitorKind::Guest) => (Some(Identity::default()), unauthenticated),
            (None, VisitorKind::Member) => (None, unauthenticated),
        };
        let standing = match arguments.kind {
            VisitorKind::Member => Standing::Member,
            VisitorKind::Guest => Standing::Guest,
        };
        let owners = OwnerTags::new(config.keyring.tagger(Purpose::Owner));
        let visitor = person.as_ref().map(|identity| Requester {
            identity,
            standing: &standing,
            owner: owners.is_owner(&room, identity),
            authentication: Authentication::Known(&authentication),
        });
        let situation = Situation {
            now,
            open: arguments.open,
            ..Situation::default()
        };
        let output = &mut self.terminal.output;
        writeln!(output, "room     {}", room_line(&room))?;
        if let Some(jitsi) = config.jitsi().filter(|jitsi| jitsi.shards.sharded) {
            let ring = jitsi.shards.ring();
            let shard = ring.place(&room).map(ShardName::as_str).unwrap_or_default();
            let fingerprint = ring.fingerprint();
            writeln!(
                output,
                "shard    {shard}, if the room is opened now (ring {fingerprint})"
            )?;
        }
        let Some((position, rule)) = config.policy.rule_for(&room) else {
            writeln!(output, "rule     none matches this room\nanswer   refused")?;
            return Ok(());
        };
        writeln!(
            output,
            "rule     {position} of {} (match \"{}\")",
            config.policy.rules().len(),
            rule.room
        )?;
        print_providers(output, rule, &config.oidc)?;
        print_conditions(output, rule, visitor.as_ref())?;
        let admission = config.policy.decide(&room, visitor.as_ref(), &situation);
        writeln!(output, "answer   {}", describe(&admission))?;
        if let (Admission::Admit(grant), Some(person)) = (&admission, &person) {
            self.print_claims(&config, &room, grant, person)?;
        }
        Ok(())
    }

    /// Prints the claims of the token for Prosody, but not the token.
    fn print_claims(
        &mut self,
        config: &Config,
        room: &RoomKey,
        grant: &Grant<'_>,
        person: &Identity,
    ) -> Result<(), CommandError> {
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

/// The room's key, and how people read it where that differs.
fn room_line(room: &RoomKey) -> String {
    let (key, readable) = (room.to_string(), room.readable());
    if key == readable {
        key
    } else {
        format!("{key} ({readable})")
    }
}

/// Reads the user from a file of claims, which are those of the ID token and of userinfo.
fn read_person(
    file: &PathBuf,
    provider: Option<&str>,
    config: &Config,
    now: Timestamp,
) -> Result<(Identity, AuthenticationContext), CommandError> {
    let invalid = |what: String| CommandError::Usage(format!("{}: {what}", file.display()));
    let provider = provider_of(config, provider)?;
    let text = fs::read(file).map_err(|error| invalid(error.to_string()))?;
    let claims: ClaimsSet = serde_json::from_slice(&text)
        .map_err(|error| invalid(format!("not a JSON object of claims: {error}")))?;
    let authentication = oidc::authentication_context(&claims, now, provider.leeway);
    oidc::identity_from_claims(&claims, provider, &config.policy)
        .map(|identity| (identity, authentication))
        .map_err(|error| invalid(error.to_string()))
}

/// Prints which of several providers a sign-in for the room can choose.
fn print_providers(output: &mut dyn Write, rule: &Rule, all: &[OidcSettings]) -> io::Result<()> {
    let ids = all.iter().filter_map(|one| Some(&one.listed.as_ref()?.id));
    let offered = ids.filter(|&id| rule.providers.is_empty() || rule.providers.contains(id));
    let offered: Vec<&str> = offered.map(ProviderId::as_str).collect();
    if offered.is_empty() {
        return Ok(());
    }
    writeln!(output, "sign-in  {}", offered.join(" or "))
}

/// The provider that issued the claims.
fn provider_of<'c>(
    config: &'c Config,
    named: Option<&str>,
) -> Result<&'c OidcSettings, CommandError> {
    let ids = || {
        config
            .oidc
            .iter()
            .filter_map(|one| Some(one.listed.as_ref()?.id.as_str()))
    };
    let usage = |what: String| Err(CommandError::Usage(what));
    match (&config.oidc[..], named) {
        ([], _) => usage("--claims requires [oidc]".to_owned()),
        ([only], None) => Ok(only),
        (_, None) => {
            let known = ids().collect::<Vec<_>>().join(", ");
            usage(format!("--claims requires --provider with one of {known}"))
        }
        (all, Some(named)) => {
            let position = ids().position(|id| id == named);
            match position.and_then(|position| all.get(position)) {
                Some(provider) => Ok(provider),
                None => usage(format!(
                    "--provider: there is no [[oidc]] with id = {named:?}"
                )),
            }
        }
    }
}

/// Whether a visitor meets a condition; links and integrations have different rules for admission
/// and elevation.
type Meets<'m> = &'m dyn Fn(&Condition, &Requester<'_>) -> bool;

/// Prints the conditions of the rule, and which of them the visitor meets.
fn print_conditions(
    output: &mut dyn Write,
    rule: &Rule,
    visitor: Option<&Requester<'_>>,
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
    let admits = |one: &Condition, visitor: &Requester<'_>| one.admits(visitor);
    let elevates = |one: &Condition, visitor: &Requester<'_>| one.elevates(visitor);
    let groups: [(&str, &[Condition], Meets<'_>); 4] = [
        ("enter", entering, &admits),
        ("host", &rule.hosts, &elevates),
        ("moderator", &rule.moderators, &elevates),
        ("start", starting, &admits),
    ];
    for (label, conditions, meets) in groups {
        for condition in conditions {
            let met = match visitor {
                Some(visitor) if meets(condition, visitor) => ": met",
                Some(_) => ": not met",
                None => "",
            };
            writeln!(output, "  {label:<9} {condition}{met}")?;
        }
    }
    match &rule.start {
        StartRule::Anyone => writeln!(output, "  start     anyone"),
        StartRule::Members => writeln!(output, "  start     members, hosts and moderators"),
        StartRule::Hosts => writeln!(output, "  start     hosts and moderators"),
        StartRule::Where(_) => Ok(()),
    }
}

fn describe(admission: &Admission<'_>) -> String {
    match admission {
        Admission::Admit(grant) => {
            format!("enters as {} ({grant})", grant.role().as_str())
        }
        Admission::Wait(waiting) if waiting.for_host => "waits for a host".to_owned(),
        Admission::Wait(_) => "waits until a member opens the room".to_owned(),
        Admission::SignIn => "has to sign in".to_owned(),
        Admission::StepUp(step_up) => format!(
            "has to sign in more strongly or anew (rule {}: {})",
            step_up.rule, step_up.requirement
        ),
        Admission::Guest { ask: true } => "may enter as a guest, with a name".to_owned(),
        Admission::Guest { ask: false } => "may enter as a guest, without a name".to_owned(),
        Admission::Refuse(refusal) => format!("refused: {refusal}"),
    }
}
