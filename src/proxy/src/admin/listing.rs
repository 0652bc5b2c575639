//! `/rooms` and `/sessions`: who is in which room, as what, and since when.
//!
//! Both answer operators only, because they name people. Streams are those of this replica; whether a
//! room is open and how many people are in it includes the other replicas.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use bytes::Bytes;
use cluster::presence::RoomOccupancy;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use model::headers::PeerAddr;
use serde::{Deserialize, Serialize};

use super::{
    AdminServer, JSON,
    operator_request::{self, refusal},
    text,
};
use crate::stream_directory::{StreamPerson, StreamRecord};

/// The answer of `/rooms`, in the order of the rooms' names.
#[derive(Debug, Serialize, Deserialize)]
pub struct RoomList {
    /// Rooms with people in them, and rooms that are still open.
    pub rooms: Vec<ListedRoom>,
}

/// A room.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ListedRoom {
    /// The room, after its tenant and a slash if it has one.
    pub room: String,
    /// Whether the meeting is open: a host is present, or was a moment ago.
    pub open: bool,
    /// The people in the room, on all replicas.
    pub occupants: usize,
    /// The streams of this replica, oldest first.
    pub streams: Vec<RoomStream>,
}

/// A stream in a room.
#[derive(Debug, Serialize, Deserialize)]
pub struct RoomStream {
    /// Whose it is.
    #[serde(flatten)]
    pub person: ListedPerson,
    /// The stream.
    #[serde(flatten)]
    pub stream: ListedStream,
}

/// The answer of `/sessions`, in the order of the people's ids.
#[derive(Debug, Serialize, Deserialize)]
pub struct SessionList {
    /// The sessions and passes that have a stream at this replica.
    pub sessions: Vec<ListedSession>,
}

/// A session or pass in use.
#[derive(Debug, Serialize, Deserialize)]
pub struct ListedSession {
    /// Whose it is.
    #[serde(flatten)]
    pub person: ListedPerson,
    /// Its streams, oldest first.
    pub streams: Vec<SessionStream>,
}

/// A stream of a session.
#[derive(Debug, Serialize, Deserialize)]
pub struct SessionStream {
    /// The room.
    pub room: String,
    /// The stream.
    #[serde(flatten)]
    pub stream: ListedStream,
}

/// A person, in the words of the audit log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListedPerson {
    /// The id of the session or pass.
    pub session: String,
    /// The id of the account; empty for guests.
    pub subject: String,
    /// The display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `member`, `guest`, `invited` or `embedded`.
    pub standing: String,
    /// The integration that named the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration: Option<String>,
    /// The id of the link with which the person came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// What a stream is, independent of its owner.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListedStream {
    /// `moderator`, `participant` or `recorder`.
    pub role: String,
    /// `websocket` or `bosh`.
    pub transport: String,
    /// The address of the client; none if a proxy behind a Unix socket does not name its client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// When the stream began, by RFC 3339.
    pub since: String,
}

// === impl AdminServer ===

impl AdminServer {
    /// Answers a request to `/rooms` or `/sessions`.
    pub(super) fn listing<B>(&self, request: &Request<B>, peer: PeerAddr) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let reason = "GET /rooms or GET /sessions";
            return refusal(StatusCode::METHOD_NOT_ALLOWED, reason);
        }
        if let Err(reason) = operator_request::check_sender(peer, request.headers()) {
            return refusal(StatusCode::FORBIDDEN, reason);
        }
        let streams = self.streams.streams();
        let body = if request.uri().path() == "/rooms" {
            serde_json::to_string(&rooms(self.presence.rooms(), &streams))
        } else {
            serde_json::to_string(&sessions(&streams))
        };
        match body {
            Ok(body) => text(StatusCode::OK, JSON, format!("{body}\n")),
            Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }
}

/// Rooms that presence knows, and those of streams that do not count as presence: recorders'.
fn rooms(occupied: Vec<RoomOccupancy>, streams: &[Arc<StreamRecord>]) -> RoomList {
    let listed = occupied.into_iter().map(|occupancy| {
        let room = occupancy.room.to_string();
        let listed = ListedRoom {
            room: room.clone(),
            open: occupancy.is_open,
            occupants: occupancy.occupants,
            streams: Vec::new(),
        };
        (room, listed)
    });
    let mut rooms: BTreeMap<String, ListedRoom> = listed.collect();
    for record in streams {
        let room = rooms.entry(record.room.to_string());
        let room = room.or_insert_with_key(|room| ListedRoom {
            room: room.clone(),
            ..ListedRoom::default()
        });
        room.streams.push(RoomStream {
            person: ListedPerson::from(&record.person),
            stream: ListedStream::from(&**record),
        });
    }
    let rooms = rooms.into_values().collect();
    RoomList { rooms }
}

fn sessions(streams: &[Arc<StreamRecord>]) -> SessionList {
    let mut sessions: BTreeMap<(&str, &str), ListedSession> = BTreeMap::new();
    for record in streams {
        let person = &record.person;
        let session = sessions.entry((&person.subject, person.session.as_str()));
        let session = session.or_insert_with(|| ListedSession {
            person: ListedPerson::from(person),
            streams: Vec::new(),
        });
        session.streams.push(SessionStream {
            room: record.room.to_string(),
            stream: ListedStream::from(&**record),
        });
    }
    let sessions = sessions.into_values().collect();
    SessionList { sessions }
}

// === impl ListedPerson ===

impl From<&StreamPerson> for ListedPerson {
    fn from(person: &StreamPerson) -> Self {
        Self {
            session: person.session.as_str().to_owned(),
            subject: person.subject.clone(),
            name: person.name.clone(),
            standing: person.standing.to_owned(),
            integration: person.integration.clone(),
            link: person.link.clone(),
        }
    }
}

// === impl ListedStream ===

impl From<&StreamRecord> for ListedStream {
    fn from(record: &StreamRecord) -> Self {
        Self {
            role: record.role.as_str().to_owned(),
            transport: record.transport.as_str().to_owned(),
            client: record.client,
            since: record.since.to_string(),
        }
    }
}
