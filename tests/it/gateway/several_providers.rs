//! Several OpenID providers: a person is one of one provider, and no provider acts for another.

mod choice;
mod failures;
mod logout;
mod mix_up;
mod people;
mod records;
mod upgrade;

use std::{net::SocketAddr, sync::Arc};

use devkit::provider::{DevAccount, DevClient, DevProvider, DevProviderSettings, DevProviderState};
use model::{
    clock::{Clock, ClockControl, Timestamp},
    random::Random,
};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use crate::support::{
    browser::{Browser, Page, encode},
    site::{CLIENT_ID, ORIGIN, Site, SiteOptions},
};

/// A provider with the demonstration's accounts, of which each has the same `sub` at every provider.
struct Provider {
    id: &'static str,
    issuer: String,
    state: Arc<DevProviderState>,
    _stop: DropGuard,
}

/// A gateway with two providers.
struct Rig {
    site: Site,
    school: Provider,
    firm: Provider,
}

// === impl Provider ===

impl Provider {
    async fn start(id: &'static str, clock: &Clock) -> Self {
        let addresses = |path: &str| vec![format!("{ORIGIN}/_gateway/{path}")];
        let mut redirect_uris = addresses(&format!("callback/{id}"));
        redirect_uris.extend(addresses("callback"));
        let client = DevClient {
            id: CLIENT_ID.to_owned(),
            secret: Some(SECRET.to_owned().into()),
            redirect_uris,
            post_logout_redirect_uris: addresses("signed-out"),
        };
        let settings = DevProviderSettings {
            clients: vec![client],
            accounts: DevAccount::demonstration(),
            refresh_tokens: true,
            pushed_requests: devkit::provider::PushSupport::None,
        };
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let provider = DevProvider::bind(any, settings, clock.clone(), Random::system())
            .await
            .unwrap();
        let (issuer, state) = (provider.issuer().to_owned(), provider.provider());
        let stop = CancellationToken::new();
        tokio::spawn(provider.run(stop.clone()));
        Self {
            id,
            issuer,
            state,
            _stop: stop.drop_guard(),
        }
    }

    fn table(&self, keys: &str) -> String {
        table(self.id, &self.issuer, SECRET, keys)
    }

    /// Whether a URL is one of this provider.
    fn has(&self, url: &Url) -> bool {
        url.origin() == Url::parse(&self.issuer).unwrap().origin()
    }

    /// The query with which the provider answers an authorization request, without its effect.
    async fn answer(&self, browser: &mut Browser, url: &Url) -> String {
        let mut url = url.clone();
        assert!(self.has(&url), "{url}");
        url.query_pairs_mut().append_pair("login_hint", "max");
        let page = browser.load(&url).await;
        let location = page.headers[http::header::LOCATION].to_str().unwrap();
        Url::parse(location).unwrap().query().unwrap().to_owned()
    }
}

// === impl Rig ===

impl Rig {
    async fn start(rules: &str) -> Self {
        Self::with("", rules).await
    }

    /// Starts a gateway; `of_school` are further keys of the first provider.
    async fn with(of_school: &str, rules: &str) -> Self {
        let (clock, control) = manual_clock();
        let school = Provider::start("school", &clock).await;
        let firm = Provider::start("firm", &clock).await;
        let tables = format!("{}{}{rules}", school.table(of_school), firm.table(""));
        let options = SiteOptions::default().rules(&tables).clock(clock, control);
        let site = Site::with(options).await.ready().await;
        Self { site, school, firm }
    }

    /// A browser that signed in with a provider.
    async fn signed_in(&self, provider: &Provider, account: &str) -> Browser {
        let mut browser = self.site.browser();
        let page = sign_in(&mut browser, provider, account, "/robots.txt").await;
        assert_eq!(page.url.path(), "/robots.txt", "{page:?}");
        browser
    }
}

fn manual_clock() -> (Clock, ClockControl) {
    Clock::manual(Timestamp::from_unix(1_800_000_000))
}

/// One `[[oidc]]` of a configuration.
fn table(id: &str, issuer: &str, secret: &str, keys: &str) -> String {
    format!(
        "[[oidc]]\nid = \"{id}\"\nissuer = \"{issuer}\"\nclient_id = \"{CLIENT_ID}\"\n\
         client_secret = \"{secret}\"\ninsecure_http_issuer = true\ntimeout = \"2s\"\n{keys}\n"
    )
}

/// The address of a sign-in with a provider.
fn login(provider: &str, path: &str) -> String {
    format!(
        "/_gateway/login?return_to={}&provider={provider}",
        encode(path)
    )
}

/// Begins a sign-in with a provider; gives the URL of the authorization request.
async fn begin(browser: &mut Browser, provider: &Provider, path: &str) -> Url {
    let url = browser
        .navigate(&login(provider.id, path))
        .await
        .authorization_url();
    assert!(provider.has(&url), "{url}");
    url
}

async fn sign_in(browser: &mut Browser, provider: &Provider, account: &str, path: &str) -> Page {
    let mut url = begin(browser, provider, path).await;
    url.query_pairs_mut().append_pair("login_hint", account);
    browser.follow(url).await
}

/// Whether the browser has a session.
async fn has_session(browser: &mut Browser) -> bool {
    let page = browser
        .load(&format!("{ORIGIN}/any").parse().unwrap())
        .await;
    page.status == http::StatusCode::OK
}

const SECRET: &str = "client secret of two providers, long enough";

const FOR_MEMBERS: &str = "[[room]]\nmatch = \"*\"\nenter = \"member\"\n";
