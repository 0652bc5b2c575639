//! `explain`: which rule applies to a user and a room, and why.

mod conditions;
mod explanation;
mod step;

use std::{fs, path::PathBuf};

use clap::{Args, ValueEnum};

use self::{
    conditions::deciding_conditions,
    explanation::{DecidingRule, Explanation, ExplanationForm, ShardPlacement},
    step::Step,
};
use super::{CommandContext, CommandError, ConfigArgument, token};
use config::{Config, JitsiConfig};
use model::{
    authentication_context::AuthenticationContext,
    clock::Timestamp,
    identity::{Identity, Standing},
    jws::ClaimsSet,
    owner::OwnerTags,
    policy::{Admission, Authentication, Grant, Requester, Rule, Situation},
    room::RoomKey,
    seal::Purpose,
    shard::ShardName,
    token::{
        Minter,
        prosody::{self, TokenReport},
    },
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
    /// The form of the output.
    #[arg(long, value_enum, default_value_t = ExplanationForm::Text)]
    output: ExplanationForm,
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
            (None, VisitorKind::Guest) => (Some(Identity::default()), unauthenticated.clone()),
            (None, VisitorKind::Member) => (None, unauthenticated.clone()),
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
        let mut explanation = Explanation {
            room: room.to_string(),
            readable: readable(&room),
            visitor: match (&visitor, arguments.kind) {
                (None, _) => "anonymous",
                (_, VisitorKind::Guest) => "guest",
                (_, VisitorKind::Member) => "member",
            },
            shard: shard_of(&config, &room),
            ..Explanation::default()
        };
        let deciding = config.policy.rule_for(&room);
        let rule = deciding.map(|(_, rule)| rule);
        let admission = config.policy.decide(&room, visitor.as_ref(), &situation);
        if let Some((position, rule)) = deciding {
            explanation.rule = Some(DecidingRule {
                position,
                of: config.policy.rules().len(),
                pattern: rule.room.to_string(),
                location: config.rule_location(position).to_owned(),
            });
            explanation.providers = offered_providers(rule, &config.oidc);
            explanation.conditions =
                deciding_conditions(rule, visitor.as_ref(), &admission, situation.open);
        }
        explanation.steps.push(Step::of(&admission, rule));
        if let Admission::Guest { .. } = admission {
            let guest = Requester {
                identity: &Identity::default(),
                standing: &Standing::Guest,
                owner: false,
                authentication: Authentication::Known(&unauthenticated),
            };
            let then = config.policy.decide(&room, Some(&guest), &situation);
            explanation.steps.push(Step::of(&then, rule));
        }
        if let (Admission::Admit(grant), Some(person), Some(jitsi)) =
            (&admission, &person, config.jitsi())
        {
            let report = self.inspect_token(jitsi, &room, grant, person)?;
            explanation.token = Some(report.to_string());
            explanation.claims = report.claims.map(|claims| claims.as_map().clone());
        }
        explanation.print(arguments.output, self.terminal.output)
    }

    /// The report on the token for Prosody, which has its claims, but not the token.
    fn inspect_token(
        &self,
        jitsi: &JitsiConfig,
        room: &RoomKey,
        grant: &Grant<'_>,
        person: &Identity,
    ) -> Result<TokenReport, CommandError> {
        let token = Minter::new(&jitsi.token, self.clock.clone())
            .and_then(|minter| minter.mint(room, grant, person))
            .map_err(anyhow::Error::from)?
            .into_text_for_operator();
        Ok(prosody::inspect(&token, self.clock.now()))
    }
}

/// The name as people read it, if it differs from the key.
fn readable(room: &RoomKey) -> Option<String> {
    let name = match room.tenant() {
        Some(tenant) => format!("{}/{}", tenant.as_str(), room.readable()),
        None => room.readable(),
    };
    Some(name).filter(|name| *name != room.to_string())
}

/// The shard that the configuration alone selects.
fn shard_of(config: &Config, room: &RoomKey) -> Option<ShardPlacement> {
    let jitsi = config.jitsi().filter(|jitsi| jitsi.shards.sharded)?;
    let ring = jitsi.shards.ring();
    let name = ring.place(room).map(ShardName::as_str).unwrap_or_default();
    Some(ShardPlacement {
        name: name.to_owned(),
        ring: ring.fingerprint().clone(),
    })
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

/// Which of several providers a sign-in for the room can choose.
fn offered_providers(rule: &Rule, all: &[OidcSettings]) -> Vec<String> {
    let ids = all.iter().filter_map(|one| Some(&one.listed.as_ref()?.id));
    let offered = ids.filter(|&id| rule.providers.is_empty() || rule.providers.contains(id));
    offered.map(|id| id.as_str().to_owned()).collect()
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
