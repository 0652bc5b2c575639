//! Who makes a request, and whether the rules let them into its room.

use std::rc::Rc;

use http::{HeaderMap, HeaderValue, Response, header};

use super::{Body, Facts, Failure, Rules, Worker, audit, presented::Occasion};
use model::{
    headers::{self, Sender},
    identity::{GUEST_PREFIX, Identity, RECORDER_PREFIX, Standing},
    policy::{Admission, Grant, Policy, Situation, Visitor},
    room::RoomKey,
    session::{self, CookieJar, SESSION_COOKIE, Session},
    token::BackendToken,
};

/// Somebody who was let into a room, with a connection to Prosody.
pub(super) struct Entrant<'p> {
    pub(super) session: Rc<Session>,
    pub(super) rank: Rank<'p>,
}

/// What an entrant is to Prosody.
pub(super) enum Rank<'p> {
    /// Somebody whom the rules let in.
    Granted(Grant<'p>),
    /// The same, but they came with nothing, and will with each request: a native app where the
    /// rule lets guests in.
    Passing(Grant<'p>),
    /// A recorder, which has credentials of its own.
    Recorder,
}

// === impl Worker ===

impl Worker {
    /// The session of somebody who signed in, if it is alive.
    pub(super) fn session(&self, headers: &HeaderMap) -> Option<Rc<Session>> {
        let value = CookieJar::new(headers).value(SESSION_COOKIE)?;
        let session = self.gateway.sessions.open(value)?;
        self.counts(&session).then(|| Rc::new(session))
    }

    /// Who stands before a room, by the cookies of the request: what an integration says of them in
    /// this room comes first, then their own account, with what a link adds to it.
    pub(super) fn visitor(&self, headers: &HeaderMap, room: &RoomKey) -> Option<Rc<Session>> {
        let Some(pass) = self.pass(headers, room) else {
            return self.session(headers);
        };
        if let Standing::Embedded(_) = pass.standing() {
            return Some(Rc::new(pass));
        }
        match (self.session(headers), pass.standing()) {
            (Some(member), Standing::Invited(_)) => Some(Rc::new(member.with_link(&pass))),
            (Some(member), _) => Some(member),
            (None, _) => Some(Rc::new(pass)),
        }
    }

    /// The pass to a room that somebody holds, if it counts.
    pub(super) fn pass(&self, headers: &HeaderMap, room: &RoomKey) -> Option<Session> {
        let pass = self.gateway.passes.find(room, CookieJar::new(headers))?;
        self.counts(&pass).then_some(pass)
    }

    /// Whether a session or pass that is not over still counts: nobody revoked it, and who vouched
    /// for it still may.
    pub(super) fn counts(&self, session: &Session) -> bool {
        let vouched = match (session.standing(), session.room()) {
            (Standing::Embedded(by), Some(room)) => {
                self.rules().integrations.may_vouch(&by.integration, room)
            }
            (Standing::Embedded(_), None) => false,
            _ => true,
        };
        vouched && !self.gateway.revocations.contains(session)
    }

    /// Asks the rules, counts and records the answer.
    pub(super) fn admit<'p>(
        &self,
        policy: &'p Policy,
        room: &RoomKey,
        session: Option<&Session>,
        facts: &Facts,
    ) -> Result<Grant<'p>, Failure> {
        self.admit_on(policy, room, session, Occasion::Entering, facts)
    }

    fn admit_on<'p>(
        &self,
        policy: &'p Policy,
        room: &RoomKey,
        session: Option<&Session>,
        occasion: Occasion,
        facts: &Facts,
    ) -> Result<Grant<'p>, Failure> {
        let admission = self.ask_rules_on(policy, room, session, occasion);
        // Who stays is asked about with every poll, and enters no room by it.
        let stays = occasion == Occasion::Polling
            && matches!(admission, Admission::Admit(_) | Admission::Guest { .. });
        if !stays {
            self.metrics.count_admission(&admission);
        }
        let person = || {
            session
                .and_then(|session| session.identity().display_name())
                .map(ToOwned::to_owned)
        };
        match admission {
            Admission::Admit(grant) => Ok(grant),
            Admission::Wait(_) => Err(Failure::Waiting {
                room: room.clone(),
                person: person(),
            }),
            Admission::SignIn => Err(Failure::SignInFirst),
            Admission::Guest { ask } => Err(Failure::GuestFirst { ask }),
            Admission::Refuse(refusal) => {
                if let Some(session) = session {
                    audit::refused(session, room, refusal, facts);
                }
                Err(Failure::Refused {
                    refusal,
                    room: room.clone(),
                    person: person(),
                })
            }
        }
    }

    /// What the rules say, without a trace of the question.
    pub(super) fn ask_rules<'p>(
        &self,
        policy: &'p Policy,
        room: &RoomKey,
        session: Option<&Session>,
    ) -> Admission<'p> {
        self.ask_rules_on(policy, room, session, Occasion::Entering)
    }

    /// Whether the rules as they are now let somebody stay where they let them in.
    pub(super) fn may_stay(&self, session: &Session, room: &RoomKey) -> bool {
        let rules = self.rules();
        let admission = self.ask_rules_on(&rules.policy, room, Some(session), Occasion::Polling);
        self.counts(session) && matches!(admission, Admission::Admit(_))
    }

    fn ask_rules_on<'p>(
        &self,
        policy: &'p Policy,
        room: &RoomKey,
        session: Option<&Session>,
        occasion: Occasion,
    ) -> Admission<'p> {
        let gateway = &self.gateway;
        let visitor = session
            .filter(|session| session.is_for(room))
            .map(|session| Visitor {
                identity: session.identity(),
                standing: session.standing(),
                // Others could say that they are whoever they like.
                owner: has_account(session.standing())
                    && gateway.owners.is_owner(room, session.identity()),
            });
        let presence = &gateway.presence;
        let here = session.is_some_and(|session| presence.is_here(room, session.id()));
        let situation = Situation {
            now: gateway.clock.now(),
            open: presence.is_open(room),
            others: presence.people(room).saturating_sub(u32::from(here)),
            // Even if a restart made us forget who is there.
            staying: occasion == Occasion::Polling,
        };
        policy.decide(room, visitor.as_ref(), &situation)
    }

    /// Who connects, by their cookies. They count only if a page of ours sent them: WebSockets know
    /// no same-origin rule, and Prosody allows every origin.
    pub(super) fn connecting(
        &self,
        headers: &HeaderMap,
        room: &RoomKey,
    ) -> Result<Option<Rc<Session>>, Failure> {
        match headers::sender(headers, &self.gateway.origin) {
            Sender::Own => Ok(self.visitor(headers, room)),
            Sender::Foreign => Err(Failure::ForeignSender),
            Sender::NoPage => Ok(None),
        }
    }

    /// The recorder's place in a room.
    pub(super) fn admit_recorder(&self, room: &RoomKey) -> Entrant<'static> {
        let session = Rc::new(self.new_guest(room, Some("recorder".to_owned())));
        Entrant {
            session,
            rank: Rank::Recorder,
        }
    }

    /// The token for an entrant's connection; none for whom Prosody is to know otherwise.
    pub(super) fn mint(
        &self,
        rules: &Rules,
        room: &RoomKey,
        entrant: &Entrant<'_>,
    ) -> Result<Option<BackendToken>, Failure> {
        let session = &entrant.session;
        match entrant.grant() {
            Some(grant) if !self.is_tokenless(session, grant.role()) => {
                let minter = rules.minter.as_ref().ok_or(Failure::NotFound)?;
                Ok(Some(minter.mint(room, grant, session.identity())?))
            }
            _ => Ok(None),
        }
    }

    /// Asks the rules about somebody who connects. Whoever comes with nothing is a guest where
    /// guests may enter: an app has no page of ours to say a name on, and asks for one itself.
    pub(super) fn admit_connection<'p>(
        &self,
        policy: &'p Policy,
        room: &RoomKey,
        visitor: Option<Rc<Session>>,
        occasion: Occasion,
        facts: &Facts,
    ) -> Result<Entrant<'p>, Failure> {
        let admitted = self.admit_on(policy, room, visitor.as_deref(), occasion, facts);
        match (admitted, visitor) {
            (Ok(grant), Some(session)) => Ok(Entrant {
                session,
                rank: Rank::Granted(grant),
            }),
            (Err(Failure::GuestFirst { .. }), _) => {
                let guest = Rc::new(self.new_guest(room, None));
                let grant = self.admit_on(policy, room, Some(&guest), occasion, facts)?;
                Ok(Entrant {
                    session: guest,
                    rank: Rank::Passing(grant),
                })
            }
            (outcome, _) => {
                outcome?;
                // The policy admits nobody in particular.
                Err(Failure::SignInFirst)
            }
        }
    }

    /// A pass for somebody of whom nothing is known but perhaps a name.
    pub(super) fn new_guest(&self, room: &RoomKey, name: Option<String>) -> Session {
        let gateway = &self.gateway;
        let identity = Identity {
            name,
            ..Identity::default()
        };
        let ends = gateway.clock.now().after(gateway.guests.lifetime);
        gateway
            .passes
            .issue(room, Standing::Guest, identity, ends, &gateway.random)
    }

    /// The rules as they are now; one request sees one state of them.
    pub(super) fn rules(&self) -> std::sync::Arc<Rules> {
        self.gateway.rules.load_full()
    }

    /// Adds a renewed session cookie to an answer, when it is time.
    pub(super) fn renew(&self, session: &Session, answer: &mut Response<Body>) {
        if let Some(value) = self.gateway.sessions.renew(session) {
            let cookie = self.session_cookie(&value);
            answer.headers_mut().append(header::SET_COOKIE, cookie);
            self.metrics.count_renewal();
        }
    }

    /// The `Set-Cookie` header for a sealed session.
    pub(super) fn session_cookie(&self, value: &str) -> HeaderValue {
        session::set(
            SESSION_COOKIE,
            value,
            self.gateway.sessions.cookie_lifetime(),
        )
    }
}

/// Whether an identity was proved by the provider, or by a system that is trusted with e-mail
/// addresses.
fn has_account(standing: &Standing) -> bool {
    standing.is_member() || matches!(standing, Standing::Embedded(_))
}

// === impl Entrant ===

impl Entrant<'_> {
    /// What the rules gave.
    pub(super) fn grant(&self) -> Option<&Grant<'_>> {
        match &self.rank {
            Rank::Granted(grant) | Rank::Passing(grant) => Some(grant),
            Rank::Recorder => None,
        }
    }

    /// Whether their presence opens the room for those who wait.
    pub(super) fn opens(&self) -> bool {
        self.grant().is_some_and(Grant::opens)
    }

    /// Whom a BOSH session belongs to.
    pub(super) fn owner(&self) -> &str {
        match self.rank {
            Rank::Granted(_) => &self.session.identity().subject,
            Rank::Passing(_) => GUEST_PREFIX,
            Rank::Recorder => RECORDER_PREFIX,
        }
    }
}
