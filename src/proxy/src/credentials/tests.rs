use cluster::store::{MemoryStore, Store};
use http::{HeaderValue, header};
use model::{
    identity::Standing,
    policy::{Features, Role},
    random::Random,
    token::PersonalClaims,
};
use tokio::runtime::Handle;

use super::*;
use crate::testing::{Deployment, ORIGIN, context, key, no_integrations};

/// A deployment whose handoff tokens a store in memory remembers.
struct Exchange {
    deployment: Deployment,
    tokens: TokenExchange,
}

/// The client of a request.
struct Client {
    context: RequestContext,
    headers: HeaderMap,
}

// === impl Exchange ===

impl Exchange {
    fn new() -> Self {
        let deployment = Deployment::new();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let (clock, random) = (deployment.clock.clone(), Random::system());
        let client_tokens =
            ClientTokens::new(&deployment.keyring, ORIGIN, clock.clone(), random.clone());
        let tokens = TokenExchange {
            client_tokens: Arc::new(client_tokens),
            authenticator: Arc::clone(&deployment.authenticator),
            passes: PassIssuer {
                lifetime: Duration::from_hours(1),
                clock: clock.clone(),
                random,
            },
            store: StoreClient::new(store, Handle::current()),
            clock,
        };
        Self { deployment, tokens }
    }

    /// A token for a guest's pass to the room `x`, for an hour.
    fn token(&self, kind: ClientTokenKind) -> (Pass, String) {
        let pass = self.deployment.pass("x", Standing::Guest);
        let features = Features::default();
        let lifetime = Duration::from_hours(1);
        let tokens = &self.tokens.client_tokens;
        let token = tokens.issue(
            &pass,
            Role::Participant,
            &features,
            kind,
            lifetime,
            PersonalClaims::ALL,
        );
        (pass, token.as_str().to_owned())
    }

    /// The kind of a handoff token that was issued now.
    fn handoff(&self) -> ClientTokenKind {
        let now = self.deployment.clock.now();
        ClientTokenKind::Handoff {
            first_use_before: now.after(Duration::from_mins(5)),
        }
    }

    /// The outcome of showing a token as a word.
    async fn show(&self, token: &str, room: &str, intent: Intent, client: &Client) -> String {
        let room = key(room);
        let presented = PresentedToken {
            token,
            room: &room,
            intent,
            headers: &client.headers,
            context: &client.context,
        };
        match self.tokens.pass(&presented, &no_integrations()).await {
            Ok(Some(exchanged)) => match exchanged.entry {
                Entry::Any => "pass".to_owned(),
                Entry::ResumptionOnly => "resumption".to_owned(),
            },
            Ok(None) => "none".to_owned(),
            Err(RequestError::Credential(CredentialError::Over)) => "over".to_owned(),
            Err(error) => error.token_reason().unwrap_or("fault").to_owned(),
        }
    }
}

// === impl Client ===

impl Client {
    fn new(last: u8, agent: &'static str) -> Self {
        let headers = HeaderMap::from_iter([(header::USER_AGENT, HeaderValue::from_static(agent))]);
        let context = context(last);
        Self { context, headers }
    }
}

#[tokio::test]
async fn a_handoff_token_that_was_used_in_time_is_good_for_its_room_from_any_address() {
    let exchange = Exchange::new();
    let (app, elsewhere) = (Client::new(1, "app"), Client::new(2, "app"));
    let (_, token) = exchange.token(exchange.handoff());
    for (minutes, room, intent, client, expected) in [
        (0, "y", Intent::Connect, &app, "room_other"),
        (0, "x", Intent::Connect, &app, "pass"),
        (0, "x", Intent::Resume, &elsewhere, "pass"),
        (20, "x", Intent::Resume, &elsewhere, "pass"),
        (0, "x", Intent::Connect, &elsewhere, "pass"),
        (0, "x", Intent::Poll, &app, "pass"),
        (0, "x", Intent::Page, &app, "token_unused_too_long"),
        (60, "x", Intent::Connect, &app, "over"),
        (0, "x", Intent::Resume, &app, "over"),
        (0, "x", Intent::Poll, &app, "over"),
    ] {
        let later = Duration::from_mins(minutes);
        exchange.deployment.hand.advance(later);
        let shown = exchange.show(&token, room, intent, client).await;
        assert_eq!(shown, expected, "{minutes} {room} {intent:?}");
    }
}

#[tokio::test]
async fn a_handoff_token_that_was_not_used_in_time_begins_no_stream() {
    let exchange = Exchange::new();
    let app = Client::new(1, "app");
    let (_, token) = exchange.token(exchange.handoff());
    exchange.deployment.hand.advance(Duration::from_mins(5));
    // However often it is tried. Prosody knows whether there is a stream to resume.
    for _ in 0..2 {
        for (intent, expected) in [
            (Intent::Connect, "token_unused_too_long"),
            (Intent::Page, "token_unused_too_long"),
            (Intent::Resume, "resumption"),
        ] {
            let shown = exchange.show(&token, "x", intent, &app).await;
            assert_eq!(shown, expected, "{intent:?}");
        }
    }
}

#[tokio::test]
async fn a_handoff_token_opens_one_page() {
    let exchange = Exchange::new();
    let app = Client::new(1, "app");
    let (_, token) = exchange.token(exchange.handoff());
    for expected in ["pass", "token_used"] {
        let shown = exchange.show(&token, "x", Intent::Page, &app).await;
        assert_eq!(shown, expected);
    }
}

#[tokio::test]
async fn an_embed_token_opens_its_room_until_its_pass_is_revoked() {
    let exchange = Exchange::new();
    let app = Client::new(1, "app");
    let (pass, token) = exchange.token(ClientTokenKind::Embed);
    for _ in 0..2 {
        assert_eq!(
            exchange.show(&token, "x", Intent::Connect, &app).await,
            "pass"
        );
    }
    drop(exchange.deployment.authenticator.revoke(pass.credential()));
    for intent in [Intent::Page, Intent::Connect, Intent::Resume, Intent::Poll] {
        assert_eq!(exchange.show(&token, "x", intent, &app).await, "over");
    }
}

#[tokio::test]
async fn tokens_that_prove_nothing_are_ignored() {
    let exchange = Exchange::new();
    let app = Client::new(1, "app");
    let identity = crate::testing::person("ann");
    let features = Features::default();
    let display = DisplayToken::new(
        &key("x"),
        Role::Moderator,
        &features,
        &identity,
        PersonalClaims::ALL,
    );
    for token in [display.as_str(), "a.b.c", ""] {
        assert_eq!(
            exchange.show(token, "x", Intent::Connect, &app).await,
            "none",
            "{token}"
        );
    }
}
