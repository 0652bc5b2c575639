//! Jitsi's web server: one HTML file for every room, with the configuration before the scripts,
//! like Jitsi's own.
//!
//! Responses contain no part of the request; the page's scripts read the URL and show it as text.

use http::{Method, Request, StatusCode, header};

use crate::http::{self as server, HttpResponse};

/// The prepared page and `config.js`.
#[derive(Debug)]
pub(super) struct Pages {
    config: String,
    html: String,
}

// === impl Pages ===

impl Pages {
    pub(super) fn new(xmpp_domain: &str) -> Self {
        let hosts = serde_json::json!({
            "domain": xmpp_domain,
            "muc": format!("{}{xmpp_domain}", super::rooms::MUC_PREFIX),
        });
        // The page embeds this text in a script element, which `</` could end.
        let hosts = hosts.to_string().replace('<', "\\u003c");
        let config = format!("var config = {{ hosts: {hosts}, bosh: '/http-bind' }};\n");
        Self {
            html: HTML.replacen("/* style.css */", pages::STYLE, 1).replacen(
                "/* config.js */",
                &config,
                1,
            ),
            config,
        }
    }

    pub(super) fn handle<B>(&self, request: &Request<B>) -> HttpResponse {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return server::text(StatusCode::METHOD_NOT_ALLOWED, "GET only");
        }
        let path = request.uri().path();
        match path.trim_start_matches('/') {
            "libs/lib-jitsi-meet.min.js" => script(CLIENT),
            "libs/app.bundle.min.js" => script(APP),
            "external_api.js" | "interface_config.js" => script(""),
            "favicon.ico" | "robots.txt" => server::text(StatusCode::NOT_FOUND, "nothing here"),
            path => self.room_or_file(path),
        }
    }

    /// The page at `/`, `/<room>` and `/<tenant>/<room>`, and `config.js` in the same folders; with any
    /// number of tenants before them, which Jitsi's nginx strips until it recognizes the rest.
    fn room_or_file(&self, mut path: &str) -> HttpResponse {
        while let Some((first, rest)) = path.split_once('/')
            && rest.contains('/')
            && !FOLDERS.contains(&first)
        {
            path = rest;
        }
        let mut segments = path.split('/');
        let (first, second, more) = (segments.next(), segments.next(), segments.next());
        let last = second.or(first).unwrap_or_default();
        let is_file = second.is_some() && first.is_some_and(|first| FOLDERS.contains(&first));
        if last == "config.js" && more.is_none() {
            return script(self.config.clone());
        }
        if is_file || more.is_some() || (last.is_empty() && second.is_some()) {
            return server::text(StatusCode::NOT_FOUND, "nothing here");
        }
        let mut page = server::response(
            StatusCode::OK,
            "text/html; charset=utf-8",
            self.html.clone(),
        );
        // As docker-jitsi-meet's `meet.conf`, which says nothing about caching of pages.
        page.headers_mut().remove(header::CACHE_CONTROL);
        page
    }
}

fn script(text: impl Into<bytes::Bytes>) -> HttpResponse {
    server::response(StatusCode::OK, "text/javascript; charset=utf-8", text)
}

/// Folders of Jitsi's web server, which are not tenants.
const FOLDERS: [&str; 9] = [
    "libs",
    "css",
    "static",
    "images",
    "fonts",
    "lang",
    "sounds",
    ".well-known",
    "transcripts",
];

const HTML: &str = include_str!("web/index.html");
const CLIENT: &str = include_str!("web/client.js");
const APP: &str = include_str!("web/app.js");
