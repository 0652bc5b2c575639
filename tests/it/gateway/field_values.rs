//! Field values of every answer, over HTTP/2: none begins or ends with a blank. RFC 9113 § 8.2.1 forbids that, and
//! nghttp2, which curl and other clients use, resets the stream with `PROTOCOL_ERROR`. Clients of HTTP/1.1 trim the
//! value (RFC 9112 § 5.1), so that they do not show the fault.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header, response::Parts};
use http_body_util::Full;

use super::{hostile, unauthenticated};
use crate::support::{
    browser::{Browser, Http2Sender, navigation},
    school,
    site::{ORIGIN, Site, SiteOptions},
};

/// Files of Jitsi's web server, pages among them, beside the paths of other tests.
const FILES: &[&str] = &[
    "/config.js",
    "/libs/app.bundle.min.js?v=1",
    "/libs/none.js",
    "/static/close.html",
    "/base.html",
    "/x/y/config.js",
];

/// A connection of HTTP/2 with the cookies of a browser.
struct Client {
    sender: Http2Sender,
    cookies: HeaderMap,
}

impl Client {
    async fn of(browser: &Browser) -> Self {
        let (sender, _) = browser.connect_http2().await.unwrap();
        let cookies = browser.cookie_header(&ORIGIN.parse().unwrap());
        Self {
            sender,
            cookies: cookies.into_iter().collect(),
        }
    }

    /// Sends a request and returns the head of the answer. A stream of events has no end.
    async fn send(
        &mut self,
        method: Method,
        target: &str,
        fields: HeaderMap,
        body: &'static str,
    ) -> Parts {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{ORIGIN}{target}"))
            .body(Full::new(Bytes::from_static(body.as_bytes())))
            .unwrap();
        request.headers_mut().extend(self.cookies.clone());
        request.headers_mut().extend(fields);
        self.sender.ready().await.unwrap();
        let answer = self.sender.send_request(request).await.unwrap();
        answer.into_parts().0
    }
}

/// Field lines whose value begins or ends with a blank.
fn padded(head: &Parts) -> Vec<String> {
    let padded = head.headers.iter().filter(|(_, value)| {
        let value = value.as_bytes();
        value != value.trim_ascii()
    });
    padded
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect()
}

/// A navigation, one in a frame, and a script.
fn senders() -> [HeaderMap; 3] {
    let mut frame = navigation();
    frame.insert("sec-fetch-dest", HeaderValue::from_static("iframe"));
    [navigation(), frame, HeaderMap::new()]
}

/// Sends every request of the tables, and returns how many were answered, with the faults and the framing policies.
async fn visit(browser: &Browser) -> (usize, Vec<String>, Vec<HeaderValue>) {
    let mut client = Client::of(browser).await;
    let (mut count, mut faults, mut policies) = (0, Vec::new(), Vec::new());
    let mut note = |what: String, head: &Parts| {
        count += 1;
        faults.extend(
            padded(head)
                .into_iter()
                .map(|line| format!("{what}: {line}")),
        );
        policies.extend(
            head.headers
                .get_all(header::CONTENT_SECURITY_POLICY)
                .iter()
                .cloned(),
        );
    };
    for path in hostile::PATHS.iter().chain(FILES) {
        for fields in senders() {
            for method in [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS] {
                let head = client.send(method.clone(), path, fields.clone(), "").await;
                note(format!("{method} {path}"), &head);
            }
        }
    }
    for attempt in &unauthenticated::ATTEMPTS {
        for mut fields in senders() {
            fields.extend(attempt.header.map(|(name, value)| {
                let name = HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            }));
            let method = attempt.method.clone();
            let head = client
                .send(method, attempt.target, fields, attempt.body)
                .await;
            note(format!("{} {}", attempt.method, attempt.target), &head);
        }
    }
    (count, faults, policies)
}

#[tokio::test]
async fn no_answer_has_a_field_value_that_begins_or_ends_with_a_blank() {
    let embed = "[embed]\nsites = [\"https://intranet.example.org\"]\n";
    for (sites, rules, framing) in [
        (
            "no site",
            school::RULES.to_owned(),
            "frame-ancestors 'self'",
        ),
        (
            "one site",
            format!("{}{embed}", school::RULES),
            "frame-ancestors 'self' https://intranet.example.org",
        ),
    ] {
        let site = Site::with(SiteOptions::default().rules(&rules)).await;
        let site = site.ready().await;
        for (person, browser) in [
            ("a visitor", site.browser()),
            ("a member", site.signed_in("hanna").await),
        ] {
            let (count, faults, policies) = visit(&browser).await;
            assert!(faults.is_empty(), "{person}, {sites}: {faults:#?}");
            // The room of a member is Jitsi's page.
            let framed = policies.iter().any(|policy| policy == framing);
            assert!(framed || person == "a visitor", "{sites}: {policies:?}");
            println!("{count} answers to {person}, {sites} may embed rooms");
        }
    }
}
