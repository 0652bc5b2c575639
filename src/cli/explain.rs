//! `explain`: what the rules make of a person and a room, and why.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use clap::{Args, ValueEnum};

use super::{ConfigArgument, Context, Failure, token};
use crate::{
    config::Config,
    identity::{Identity, Standing},
    jws::Claims,
    oidc,
    owner::Owners,
    policy::{Admission, Enter, Matcher, Role, Rule, Situation, Start, Visitor},
    room::RoomKey,
    token::Minter,
};

#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    #[command(flatten)]
    file: ConfigArgument,
    /// The room, as ROOM or TENANT/ROOM.
    #[arg(long)]
    room: String,
    /// What the provider says of the person, a JSON object of claims; unless given, nobody in
    /// particular comes.
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
    /// How the person comes.
    #[arg(long, value_enum, default_value_t = Comes::Member)]
    by: Comes,
    /// The room is open: somebody who may open it is there.
    #[arg(long)]
    open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Comes {
    Member,
    Guest,
}
