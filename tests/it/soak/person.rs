//! A person who visits a room again and again.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::StatusCode;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    CLOSING_PEOPLE, PEOPLE,
    expectations::{Expectations, SignIn},
    figures::{Count, SoakFigures},
    signalling::{Interruption, Signalling, Transport},
};
use crate::support::browser::Browser;

/// What all people share.
pub(super) struct SoakContext {
    pub(super) expectations: Expectations,
    pub(super) figures: SoakFigures,
    /// The addresses of the replicas.
    pub(super) gateways: [SocketAddr; 2],
    pub(super) stop: CancellationToken,
}

/// One person, or guest.
pub(super) struct Person {
    number: usize,
    id: String,
    room: String,
    browser: Browser,
    context: Arc<SoakContext>,
    /// While it counts.
    session: Option<SignIn>,
    visits: usize,
    /// The replica of this visit.
    replica: usize,
}

/// Whether a person has no account.
pub(super) fn is_guest(number: usize) -> bool {
    number >= PEOPLE - GUESTS
}

/// Every second person is of the staff, who may always enter the rooms that close to others.
pub(super) fn is_staff(number: usize) -> bool {
    number.is_multiple_of(2)
}

// === impl Person ===

impl Person {
    pub(super) fn new(number: usize, browser: Browser, context: Arc<SoakContext>) -> Self {
        let kind = match number {
            _ if is_guest(number) => "open",
            ..CLOSING_PEOPLE => "closing",
            _ => "room",
        };
        Self {
            number,
            id: format!("person{number}"),
            room: format!("{kind}{}", number / ROOM),
            browser,
            context,
            session: None,
            visits: 0,
            replica: 0,
        }
    }

    /// Visits the room until the soak ends.
    pub(super) async fn stay(mut self) {
        // People arrive one after another.
        sleep(ARRIVAL * u32::try_from(self.number).unwrap()).await;
        while !self.context.stop.is_cancelled() {
            self.visits += 1;
            self.replica = (self.number + self.visits) % 2;
            let gateway = self.context.gateways[self.replica];
            self.browser = self.browser.at(gateway);
            let began = Instant::now();
            if let Err(interruption) = self.visit(began).await {
                self.judge(interruption, began);
                self.pause().await;
            }
        }
    }

    /// Comes, talks and goes.
    async fn visit(&mut self, began: Instant) -> Result<(), Interruption> {
        self.sign_in().await?;
        let transport = Transport::of(self.number);
        let mut stream = transport.connect(&mut self.browser, &self.room).await?;
        let result = self.talk(&mut stream, began).await;
        let repeated = stream.repeated();
        let expectations = &self.context.expectations;
        if repeated > 0 && !expectations.may_be_replaced(self.replica, began) {
            self.fail(&format!("{repeated} requests were repeated"));
        }
        let figures = &self.context.figures;
        figures.add(Count::Repeated, repeated);
        result?;
        if self.visits.is_multiple_of(3) {
            stream.break_off(self.visits.is_multiple_of(2)).await;
            figures.count(Count::BrokenOff);
        } else {
            stream.close().await?;
            figures.count(Count::Left);
        }
        Ok(())
    }

    async fn talk(
        &mut self,
        stream: &mut Signalling,
        visit_began: Instant,
    ) -> Result<(), Interruption> {
        let nick = format!("{}x{}", self.id, self.visits);
        stream.join(&self.room, &nick).await?;
        let (expectations, figures) = (&self.context.expectations, &self.context.figures);
        if self.is_shut_out_by_rules() && expectations.has_to_be_closed(visit_began) {
            self.fail("entered a closed room");
        }
        figures.count(Count::Join);
        for n in 0..MESSAGES {
            if self.context.stop.is_cancelled() {
                break;
            }
            let text = format!("message {n} of {nick}.");
            stream.say(&self.room, &text).await?;
            figures.count(Count::Message);
            let mut session = self.session.into_iter();
            if session.any(|session| expectations.has_to_be_revoked(self.number, session)) {
                self.fail("talks in spite of a revocation");
            }
            stream.listen(self.pause_time()).await?;
        }
        Ok(())
    }

    /// Signs in, or enters a name as a guest, unless that is done.
    async fn sign_in(&mut self) -> Result<(), Interruption> {
        if self.session.is_some() {
            return Ok(());
        }
        let began = Instant::now();
        let page = if is_guest(self.number) {
            let fields = [("room", &*self.room), ("name", &*self.id)];
            self.browser.submit("/_gateway/join", &fields).await
        } else {
            let mut page = self.browser.navigate(LOGIN).await;
            // The provider asks once, and knows the browser later.
            if page.url.path() != SIGNED_IN {
                let url = page.authorization_url();
                page = self.browser.finish(&self.id, &url).await;
            }
            page
        };
        let is_in = if is_guest(self.number) {
            page.status == StatusCode::SEE_OTHER
        } else {
            page.url.path() == SIGNED_IN
        };
        if !is_in {
            return Err(Interruption::Fault(format!("sign-in led to {page:?}")));
        }
        self.session = Some(SignIn {
            began,
            ended: Instant::now(),
        });
        self.context.figures.count(Count::SignIn);
        Ok(())
    }

    /// Counts an interruption by its cause; without one it is an error.
    fn judge(&mut self, interruption: Interruption, visit_began: Instant) {
        let SoakContext {
            expectations,
            figures,
            ..
        } = &*self.context;
        let mut session = self.session.into_iter();
        let may_be_revoked =
            session.any(|session| expectations.may_be_revoked(self.number, session));
        match interruption {
            Interruption::GoingAway if expectations.may_be_replaced(self.replica, visit_began) => {
                figures.count(Count::Moved);
            }
            Interruption::SignedOut | Interruption::Denied(_) if may_be_revoked => {
                figures.count(Count::Revoked);
                self.session = None;
            }
            Interruption::Denied(_)
                if self.is_shut_out_by_rules() && expectations.may_be_closed(visit_began) =>
            {
                figures.count(Count::ClosedOut);
            }
            Interruption::GoingAway => self.fail("sent away"),
            Interruption::SignedOut => self.fail("signed out"),
            Interruption::Denied(text) | Interruption::Fault(text) => self.fail(&text),
        }
    }

    /// Whether the rules refuse this person at times.
    fn is_shut_out_by_rules(&self) -> bool {
        self.number < CLOSING_PEOPLE && !is_staff(self.number)
    }

    fn fail(&self, failure: &str) {
        let (id, visits, room) = (&self.id, self.visits, &self.room);
        let failure = format!("{id} in {room}, visit {visits}: {failure}");
        self.context.figures.fail(failure);
    }

    async fn pause(&self) {
        sleep(self.pause_time()).await;
    }

    /// Between one second and two, by person and visit.
    fn pause_time(&self) -> Duration {
        let milliseconds = 1000 + (self.number * 37 + self.visits * 101) % 1000;
        Duration::from_millis(u64::try_from(milliseconds).unwrap())
    }
}

const LOGIN: &str = "/_gateway/login?return_to=%2Frobots.txt";
const SIGNED_IN: &str = "/robots.txt";

const GUESTS: usize = 20;

/// People in a room.
const ROOM: usize = 5;

/// In one visit.
const MESSAGES: usize = 4;

/// Between two people: all are there after some seconds.
const ARRIVAL: Duration = Duration::from_millis(20);
