//! `rooms` and `sessions`: who is in which room at a running gateway, and the operator's hand on them.

use std::collections::BTreeSet;

use clap::{Args, Subcommand, ValueEnum};
use model::room::RoomKey;
use proxy::admin::listing::{
    ListedPerson, ListedRoom, ListedSession, ListedStream, RoomList, SessionList,
};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{
    CommandContext, CommandError,
    admin_client::{AdminAnswer, AdminArguments, AdminClient},
    help,
    table::Table,
};

/// `rooms`.
#[derive(Debug, Subcommand)]
pub(super) enum RoomsCommand {
    /// Print the rooms in use.
    #[command(after_help = help::ROOMS_LIST)]
    List(ListArguments),
    /// Print who is in a room.
    #[command(after_help = help::ROOMS_SHOW)]
    Show {
        /// The room, after its tenant and a slash if it has one.
        #[arg(allow_hyphen_values = true)]
        room: String,
        #[command(flatten)]
        list: ListArguments,
    },
}

/// `sessions`.
#[derive(Debug, Subcommand)]
pub(super) enum SessionsCommand {
    /// Print the sessions that are in a room.
    #[command(after_help = help::SESSIONS_LIST)]
    List {
        /// Only people in this room.
        #[arg(long, allow_hyphen_values = true)]
        room: Option<String>,
        /// Only the sessions of this account.
        #[arg(long, allow_hyphen_values = true)]
        subject: Option<String>,
        /// Only people whom this integration named.
        #[arg(long, value_name = "ID")]
        integration: Option<String>,
        #[command(flatten)]
        list: ListArguments,
    },
    /// Print where one session is.
    #[command(after_help = help::SESSIONS_SHOW)]
    Show {
        /// The id of the session, as in the audit log.
        #[arg(allow_hyphen_values = true)]
        session: String,
        #[command(flatten)]
        list: ListArguments,
    },
    /// Revoke sessions, on all replicas: their people leave their rooms within a second.
    #[command(after_help = help::SESSIONS_REVOKE)]
    Revoke {
        #[command(flatten)]
        which: Revoked,
        #[command(flatten)]
        admin: AdminArguments,
    },
}

/// Where to ask, and how to print the answer.
#[derive(Debug, Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    admin: AdminArguments,
    /// The form of the output.
    #[arg(long, value_enum, default_value_t = OutputForm::Table)]
    output: OutputForm,
}

/// The form of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OutputForm {
    /// Aligned columns, for people.
    Table,
    /// JSON, for programs.
    Json,
}

/// What is revoked.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Revoked {
    /// One session or pass, by its id in the audit log.
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    session: Option<String>,
    /// All sessions of an account.
    #[arg(long, allow_hyphen_values = true)]
    subject: Option<String>,
    /// A link, and the sessions that began with it.
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    link: Option<String>,
    /// The sessions of all people in a room.
    #[arg(long, allow_hyphen_values = true)]
    room: Option<String>,
}

// === impl CommandContext ===

impl CommandContext<'_, '_> {
    pub(super) fn rooms(&mut self, command: RoomsCommand) -> Result<(), CommandError> {
        match command {
            RoomsCommand::List(list) => {
                let (form, answer) = self.ask::<RoomList>(list, "/rooms")?;
                self.print_list(form, &answer, || room_table(&answer.rooms))
            }
            RoomsCommand::Show { room, list } => {
                let room = room_name(&room)?;
                let (form, mut answer) = self.ask::<RoomList>(list, "/rooms")?;
                answer.rooms.retain(|listed| listed.room == room);
                match answer.rooms.pop() {
                    Some(listed) => self.print_list(form, &listed, || occupant_table(&listed)),
                    None => Err(not_found(&format!("no one is in room {room:?}"))),
                }
            }
        }
    }

    pub(super) fn sessions(&mut self, command: SessionsCommand) -> Result<(), CommandError> {
        match command {
            SessionsCommand::List {
                room,
                subject,
                integration,
                list,
            } => {
                let room = room.as_deref().map(room_name).transpose()?;
                let is = |wanted: &Option<String>, value: Option<&str>| {
                    wanted.as_deref().is_none_or(|wanted| value == Some(wanted))
                };
                let (form, mut answer) = self.ask::<SessionList>(list, "/sessions")?;
                answer.sessions.retain(|listed| {
                    let mut rooms = listed.streams.iter().map(|stream| &*stream.room);
                    is(&subject, Some(&listed.person.subject))
                        && is(&integration, listed.person.integration.as_deref())
                        && (room.is_none() || rooms.any(|it| is(&room, Some(it))))
                });
                self.print_list(form, &answer, || session_table(&answer.sessions))
            }
            SessionsCommand::Show { session, list } => {
                let (form, mut answer) = self.ask::<SessionList>(list, "/sessions")?;
                answer
                    .sessions
                    .retain(|listed| listed.person.session == session);
                match answer.sessions.pop() {
                    Some(listed) => self.print_list(form, &listed, || stream_table(&listed)),
                    None => Err(not_found(&format!(
                        "session {session:?} is in no room at this replica"
                    ))),
                }
            }
            SessionsCommand::Revoke { which, admin } => {
                let admin = admin.client(self.environment)?;
                let answer = admin.post("/revoke", &which.to_json());
                let answer = accepted(&admin, answer)?;
                self.terminal.output.write_all(&answer)?;
                Ok(())
            }
        }
    }

    /// Asks for a list.
    fn ask<T: DeserializeOwned>(
        &self,
        list: ListArguments,
        path: &str,
    ) -> Result<(OutputForm, T), CommandError> {
        let admin = list.admin.client(self.environment)?;
        let body = accepted(&admin, admin.get(path))?;
        let answer = serde_json::from_slice(&body).map_err(|error| {
            anyhow::anyhow!(
                "the gateway at {} is of another version: {error}",
                admin.address()
            )
        })?;
        Ok((list.output, answer))
    }

    fn print_list(
        &mut self,
        form: OutputForm,
        answer: &impl serde::Serialize,
        table: impl FnOnce() -> Table,
    ) -> Result<(), CommandError> {
        let text = match form {
            OutputForm::Table => table().render(),
            OutputForm::Json => {
                let json = serde_json::to_string_pretty(answer).map_err(anyhow::Error::from)?;
                json + "\n"
            }
        };
        self.terminal.output.write_all(text.as_bytes())?;
        Ok(())
    }
}

// === impl Revoked ===

impl Revoked {
    fn to_json(&self) -> String {
        let named = [
            ("session", &self.session),
            ("subject", &self.subject),
            ("link", &self.link),
            ("room", &self.room),
        ];
        let given = named
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_deref()?))));
        serde_json::Value::Object(given.collect()).to_string()
    }
}

/// The body of an answer of success.
fn accepted(
    admin: &AdminClient,
    answer: std::io::Result<AdminAnswer>,
) -> Result<Vec<u8>, CommandError> {
    let address = admin.address();
    let answer = answer.map_err(|error| {
        anyhow::anyhow!(
            "the admin listener at {address} does not answer: {error}; is the gateway running?"
        )
    })?;
    if matches!(answer.status, 200 | 202) {
        return Ok(answer.body);
    }
    let reason = String::from_utf8_lossy(&answer.body);
    let (status, reason) = (answer.status, reason.trim());
    Err(anyhow::anyhow!("the admin listener at {address} answers {status}: {reason}").into())
}

fn not_found(what: &str) -> CommandError {
    anyhow::anyhow!("{what}").into()
}

/// The name of a room as the gateway writes it.
fn room_name(typed: &str) -> Result<String, CommandError> {
    let room = RoomKey::from_text(typed);
    let room = room.map_err(|error| CommandError::Usage(format!("{typed:?}: {error}")))?;
    Ok(room.to_string())
}

fn room_table(rooms: &[ListedRoom]) -> Table {
    let mut table = Table::new(&["ROOM", "OPEN", "PEOPLE", "HERE", "SINCE"]);
    for room in rooms {
        let people = room.occupants.to_string();
        let here: BTreeSet<_> = room.streams.iter().map(|it| &it.person.session).collect();
        let since = room.streams.iter().map(|it| &*it.stream.since).min();
        table.push(&[
            &room.room,
            if room.open { "yes" } else { "no" },
            &people,
            &here.len().to_string(),
            since.unwrap_or_default(),
        ]);
    }
    table
}

fn occupant_table(room: &ListedRoom) -> Table {
    let mut table = Table::new(&[
        "NAME", "SUBJECT", "STANDING", "ROLE", "VIA", "SINCE", "CLIENT", "SESSION",
    ]);
    for entry in &room.streams {
        let (person, stream) = (&entry.person, &entry.stream);
        table.push(&[
            person.name.as_deref().unwrap_or_default(),
            &person.subject,
            &standing(person),
            &stream.role,
            &stream.transport,
            &stream.since,
            &address(stream),
            &person.session,
        ]);
    }
    table
}

fn session_table(sessions: &[ListedSession]) -> Table {
    let mut table = Table::new(&["SESSION", "SUBJECT", "NAME", "STANDING", "ROOMS", "SINCE"]);
    for session in sessions {
        let person = &session.person;
        let rooms: BTreeSet<_> = session.streams.iter().map(|it| &*it.room).collect();
        let rooms: Vec<_> = rooms.into_iter().collect();
        let since = session.streams.iter().map(|it| &*it.stream.since).min();
        table.push(&[
            &person.session,
            &person.subject,
            person.name.as_deref().unwrap_or_default(),
            &standing(person),
            &rooms.join(" "),
            since.unwrap_or_default(),
        ]);
    }
    table
}

fn stream_table(session: &ListedSession) -> Table {
    let mut table = Table::new(&["ROOM", "ROLE", "VIA", "SINCE", "CLIENT"]);
    for entry in &session.streams {
        let stream = &entry.stream;
        table.push(&[
            &entry.room,
            &stream.role,
            &stream.transport,
            &stream.since,
            &address(stream),
        ]);
    }
    table
}

/// The address of a client, as in the log.
fn address(stream: &ListedStream) -> String {
    let unknown = || "unknown".to_owned();
    stream
        .client
        .map_or_else(unknown, |client| client.to_string())
}

/// The standing, with what it rests on.
fn standing(person: &ListedPerson) -> String {
    match (&person.integration, &person.link) {
        (Some(integration), _) => format!("{} by {integration}", person.standing),
        (None, Some(link)) => format!("{} by {link}", person.standing),
        (None, None) => person.standing.clone(),
    }
}
