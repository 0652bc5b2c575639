//! `token inspect`: what a token says, and what Prosody or the gateway would do with it.

use std::{io::Read, path::PathBuf};

use clap::Args;

use super::{CommandContext, CommandError, ConfigArgument, token::parse_room};
use config::Config;
use model::{
    integration::{EmbeddedUser, Integrations, RefusedToken},
    policy::{Admission, Authentication, Requester, Situation},
    room::RoomKey,
    token::prosody::{self, TokenReport},
};

#[derive(Debug, Args)]
pub(super) struct InspectArguments {
    /// The token, or `-` for standard input, which other processes cannot read.
    token: String,
    /// Verify the token as one of another system with this configuration, and print what the gateway
    /// would do with it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The room of the address, as ROOM or TENANT/ROOM [default: that of the token].
    #[arg(long, requires = "config", allow_hyphen_values = true)]
    room: Option<String>,
}

// === impl CommandContext ===

impl CommandContext<'_, '_> {
    pub(super) fn inspect(&mut self, arguments: InspectArguments) -> Result<(), CommandError> {
        let token = match arguments.token.as_str() {
            "-" => {
                let mut text = String::new();
                let input = &mut *self.terminal.input;
                input.take(MAX_TOKEN_BYTES).read_to_string(&mut text)?;
                text
            }
            _ => arguments.token,
        };
        let report = prosody::inspect(&token, self.clock.now());
        if report.claims.is_none() {
            let message = "not a JWT; a JWT is three parts of base64url, separated by dots";
            return Err(CommandError::Usage(message.to_owned()));
        }
        let Some(file) = arguments.config else {
            write!(self.terminal.output, "{report}")?;
            if report.is_acceptable() {
                return Ok(());
            }
            return Err(anyhow::anyhow!("Prosody would reject this token").into());
        };
        let argument = ConfigArgument { config: Some(file) };
        let (_, config) = argument.load(self.environment)?;
        let room = room(arguments.room.as_deref(), &report)?;
        self.judge(token.trim(), &room, &config, &report)
    }

    /// Prints what the gateway would do at the room's address with a token of another system.
    fn judge(
        &mut self,
        token: &str,
        room: &RoomKey,
        config: &Config,
        report: &TokenReport,
    ) -> Result<(), CommandError> {
        let integrations =
            Integrations::new(config.integrations.clone()).map_err(anyhow::Error::from)?;
        let now = self.clock.now();
        let output = &mut self.terminal.output;
        if let Some(claims) = &report.claims {
            let json = serde_json::to_string_pretty(claims.as_map());
            writeln!(output, "claims: {}", json.map_err(anyhow::Error::from)?)?;
        }
        writeln!(output, "room: {room}")?;
        match integrations.verify(token, room, now) {
            Ok(user) => {
                let situation = Situation {
                    now,
                    ..Situation::default()
                };
                let requester = Requester {
                    identity: &user.identity,
                    standing: &user.standing,
                    owner: false,
                    authentication: Authentication::Sufficient,
                };
                let admission = config.policy.decide(room, Some(&requester), &situation);
                write!(output, "{}", describe(&user, &admission))?;
                Ok(())
            }
            Err(refused) => {
                write!(output, "{}", describe_refusal(&refused))?;
                Err(anyhow::anyhow!("the gateway would refuse this token").into())
            }
        }
    }
}

/// The room of the address: written, or of the token.
fn room(written: Option<&str>, report: &TokenReport) -> Result<RoomKey, CommandError> {
    let of_token = report.claims.as_ref().and_then(|claims| claims.room());
    let name = written.or(of_token).unwrap_or_default();
    parse_room(name)
        .map_err(|error| CommandError::Usage(format!("{error}; name the room with --room")))
}

fn describe(user: &EmbeddedUser<'_>, admission: &Admission<'_>) -> String {
    let name = user.identity.display_name().unwrap_or("no name");
    let then = match admission {
        Admission::Admit(grant) => {
            let (role, rule) = (grant.role().as_str(), grant.rule());
            format!("enters as {role} (rule {rule})")
        }
        Admission::Wait(waiting) => {
            format!("waits until the room is open (rule {})", waiting.rule)
        }
        Admission::SignIn | Admission::StepUp(_) => "has to sign in".to_owned(),
        Admission::Guest { .. } => "enters as a guest".to_owned(),
        Admission::Refuse(refusal) => format!("is refused: {refusal}"),
    };
    format!(
        "gateway: takes it from integration {}\nperson: {name} ({}), {then}\n",
        user.integration, user.identity.subject,
    )
}

fn describe_refusal(refused: &RefusedToken) -> String {
    let reason = refused.error.as_str();
    let evidence = refused.evidence.as_deref();
    let field = |label: &str, value: Option<&str>| {
        value.map_or_else(String::new, |value| format!("{label}: {value}\n"))
    };
    [
        format!("gateway: refuses it, {reason}: {refused}\n"),
        field(
            "integration",
            evidence.and_then(|it| it.integration.as_deref()),
        ),
        field("claim", evidence.and_then(|it| it.claim)),
        field("found", evidence.and_then(|it| it.found.as_deref())),
        field("allowed", evidence.and_then(|it| it.allowed.as_deref())),
    ]
    .concat()
}

/// Far above the header limit of any HTTP server.
const MAX_TOKEN_BYTES: u64 = 1 << 20;
