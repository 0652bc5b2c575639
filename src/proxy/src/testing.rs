//! What the unit tests of several phases need: people, rooms and the state of a small deployment.

use std::{
    net::{IpAddr, Ipv4Addr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use cluster::{
    presence::Presence,
    revocation::Revocations,
    store::{MemoryStore, Store},
};
use http::{HeaderMap, HeaderValue, header};
use model::{
    clock::{Clock, ClockControl, Timestamp},
    identity::{Embedded, Identity, Invited, Standing, VerifiedIdentity},
    integration::{ApiKey, IntegrationSettings, Integrations, ModeratorPolicy, RoleClaim},
    invitation::{InvitationLink, InvitationLinks},
    owner::OwnerTags,
    policy::{Glob, TenantScope},
    random::Random,
    room::RoomKey,
    seal::{Keyring, Purpose},
    session::{
        BrowsingContext, Pass, PassCookies, Principal, RequestCookies, SESSION_COOKIE, Session,
        SessionCodec, SessionSettings, Validity,
    },
};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::{
    authenticate::Authenticator,
    authorize::Authorizer,
    invitations::Invitations,
    request_context::{RequestContext, RequestId},
    revalidation::Revalidations,
    store_client::StoreClient,
};

/// The public origin of the deployment.
pub(crate) const ORIGIN: &str = "https://meet.example.org";

/// A deployment without sockets: keys, a clock, nobody revoked.
pub(crate) struct Deployment {
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) authorizer: Arc<Authorizer>,
    pub(crate) keyring: Keyring,
    pub(crate) clock: Clock,
    pub(crate) hand: ClockControl,
}

// === impl Deployment ===

impl Deployment {
    pub(crate) fn new() -> Self {
        let (clock, hand) = Clock::manual(Timestamp::from_unix(1_000_000));
        let keyring = Keyring::single([7; 32]);
        let settings = SessionSettings {
            idle: Duration::from_mins(15),
            absolute: Duration::from_hours(24),
        };
        let longest = Duration::from_hours(24);
        let (revocations, sync) = Revocations::new(longest, clock.clone());
        // The tests that wait for the store have a runtime.
        if let Ok(runtime) = Handle::try_current() {
            let store = Arc::new(MemoryStore::new());
            runtime.spawn(sync.run(store, CancellationToken::new()));
        }
        Self {
            authenticator: Arc::new(Authenticator {
                sessions: SessionCodec::new(&keyring, ORIGIN, settings, clock.clone()),
                passes: PassCookies::new(&keyring, ORIGIN, clock.clone()),
                revocations,
                revalidations: Revalidations::disabled(),
                origin: ORIGIN.to_owned(),
            }),
            authorizer: Arc::new(Authorizer {
                owners: OwnerTags::new(keyring.tagger(Purpose::Owner)),
                presence: Presence::new(&Random::system()).0,
                clock: clock.clone(),
            }),
            keyring,
            clock,
            hand,
        }
    }

    /// Links of the deployment, whose uses a store in memory counts.
    pub(crate) fn invitations(&self) -> Invitations {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        Invitations {
            links: InvitationLinks::new(&self.keyring, ORIGIN),
            revocations: Arc::clone(&self.authenticator.revocations),
            store: StoreClient::new(store, Handle::current()),
            origin: ORIGIN.to_owned(),
            clock: self.clock.clone(),
        }
    }

    /// A member's session.
    pub(crate) fn session(&self, subject: &str) -> Session {
        let who = VerifiedIdentity::by_provider(person(subject));
        let sid = Some(format!("op-{subject}"));
        self.authenticator
            .sessions
            .begin(who, sid, &Random::system())
    }

    /// A pass to a room, for an hour.
    pub(crate) fn pass(&self, room: &str, standing: Standing) -> Pass {
        let validity = Validity::beginning_now(&self.clock, Duration::from_hours(1));
        let identity = Identity::default();
        Pass::issue(&key(room), standing, identity, validity, &Random::system())
    }

    /// The `Cookie` headers of a browser with a session and a pass.
    pub(crate) fn cookies(&self, session: Option<&Session>, pass: Option<&Pass>) -> HeaderMap {
        let mut pairs = Vec::new();
        if let Some(session) = session {
            let sealed = self.authenticator.sessions.seal(session).unwrap();
            pairs.push(format!("{SESSION_COOKIE}={sealed}"));
        }
        if let Some(pass) = pass {
            let none = HeaderMap::new();
            let issued = self.authenticator.passes.issue(
                pass,
                BrowsingContext::TopLevel,
                RequestCookies::new(&none),
            );
            let cookie = issued.unwrap().remove(0);
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            pairs.push(pair.to_owned());
        }
        let value = HeaderValue::try_from(pairs.join("; ")).unwrap();
        HeaderMap::from_iter([(header::COOKIE, value)])
    }
}

/// A request over TLS from 192.0.2.`last`, without a proxy in front.
pub(crate) fn context(last: u8) -> RequestContext {
    let peer = IpAddr::from(Ipv4Addr::new(192, 0, 2, last));
    RequestContext {
        client: peer.into(),
        secure: true,
        proxy: None,
        id: RequestId {
            worker: 1,
            number: 1,
        },
        trace: None,
    }
}

/// A signed-in person, for what only needs any principal.
pub(crate) fn principal() -> Rc<Principal> {
    Rc::new(Principal::Member(Deployment::new().session("someone")))
}

/// An identity; its only group has the name of its subject.
pub(crate) fn person(subject: &str) -> Identity {
    Identity {
        subject: subject.to_owned(),
        groups: vec![subject.to_owned()],
        ..Identity::default()
    }
}

pub(crate) fn key(room: &str) -> RoomKey {
    RoomKey::from_text(room).unwrap()
}

pub(crate) fn invited(link: &str) -> Standing {
    Standing::Invited(Invited {
        link: link.to_owned(),
        host: false,
        member: false,
    })
}

pub(crate) fn embedded(integration: &str) -> Standing {
    Standing::Embedded(Embedded {
        integration: integration.to_owned(),
        host: false,
    })
}

/// An unlimited link to a room, for an hour.
pub(crate) fn link(id: &str, room: &str) -> InvitationLink {
    InvitationLink {
        id: id.to_owned(),
        room: key(room),
        host: false,
        name: None,
        email: None,
        begins: None,
        expires: Timestamp::from_unix(1_003_600),
        uses: None,
        by: "moodle".to_owned(),
    }
}

pub(crate) fn no_integrations() -> Integrations {
    Integrations::new(Vec::new()).unwrap()
}

/// The integrations `school` and `club`, with rooms by that prefix, pages that embed them, and keys.
pub(crate) fn two_integrations() -> Integrations {
    let settings = |id: &str| IntegrationSettings {
        id: id.to_owned(),
        app_id: id.to_owned(),
        signing: None,
        audience: None,
        rooms: vec![Glob::folded(&format!("{id}-*"))],
        unnamed_rooms: None,
        tenant: TenantScope::Any,
        moderators: ModeratorPolicy::AsClaimed,
        moderator_claims: RoleClaim::ALL.to_vec(),
        stable_user_ids: true,
        max_lifetime: Duration::from_hours(1),
        emails_verified: false,
        embed: vec![format!("https://{id}.example.org")],
        api_keys: vec![ApiKey::of_text("k1".to_owned(), &api_key(id)).unwrap()],
        api_requests_per_minute: 60,
    };
    Integrations::new(vec![settings("school"), settings("club")]).unwrap()
}

/// The key of an integration for the API.
pub(crate) fn api_key(integration: &str) -> String {
    format!("{integration}-{}", "k".repeat(32))
}
