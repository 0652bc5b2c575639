//! The cache of Jitsi's static files, with a web server whose responses each test writes.

mod collapsing;
mod compression;
mod poisoning;
mod serving;
mod suite;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use crate::support::{
    asset_server::AssetServer,
    browser::{KeepAliveClient, Page},
    site::{ORIGIN, Site, SiteOptions},
};

/// A deployment in front of an asset server; `sections` are merged into its configuration.
async fn site(sections: &str) -> (Site, AssetServer) {
    site_with("", sections).await
}

/// The same with further keys of `[upstream]`.
async fn site_with(upstream: &str, sections: &str) -> (Site, AssetServer) {
    let server = AssetServer::start().await;
    (site_at(server.url(), upstream, sections).await, server)
}

/// A deployment in front of a web server.
async fn site_at(web: &str, upstream: &str, sections: &str) -> Site {
    let text = format!(
        "[upstream]\nweb = \"{web}\"\n{upstream}\n[[room]]\nmatch = \"*\"\nenter = \"member\"\n{sections}"
    );
    Site::with(SiteOptions::default().rules(&text)).await
}

/// A client of the site.
struct Client(KeepAliveClient);

// === impl Client ===

impl Client {
    fn of(site: &Site) -> Self {
        Self(KeepAliveClient::new(site.browser()))
    }

    async fn get(&mut self, target: &str) -> Page {
        self.get_with(target, &[]).await
    }

    async fn get_with(&mut self, target: &str, fields: &[&str]) -> Page {
        self.send(Method::GET, target, fields, "").await
    }

    async fn send(&mut self, method: Method, target: &str, fields: &[&str], body: &str) -> Page {
        let url = Url::parse(&format!("{ORIGIN}{target}")).unwrap();
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.0.send_body(method, &url, &headers(fields), body).await
    }
}

/// Header fields, one a line.
fn headers(fields: &[&str]) -> HeaderMap {
    let field = |line: &&str| {
        let (name, value) = line.split_once(':').unwrap();
        let name: HeaderName = name.parse().unwrap();
        (
            name,
            HeaderValue::from_bytes(value.trim().as_bytes()).unwrap(),
        )
    };
    fields.iter().map(field).collect()
}

/// The samples of the cache's requests, as `hit 3`, in the order of the exposition; zeros left out.
async fn outcomes(site: &Site) -> Vec<String> {
    let text = site.metrics().await;
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix("jitsi_auth_gateway_cache_requests_total{outcome=\"")?;
        let (outcome, count) = rest.split_once("\"} ")?;
        (count != "0").then(|| format!("{outcome} {count}"))
    });
    samples.collect()
}

/// A gauge of the cache.
async fn gauge(site: &Site, name: &str) -> u64 {
    let text = site.metrics().await;
    let prefix = format!("jitsi_auth_gateway_cache_{name} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&*prefix));
    line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
}

const SCRIPT: &str = "/libs/app.bundle.min.js?v=1";
