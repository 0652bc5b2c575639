//! A deployment in which cases are played, one after the other.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use model::clock::Timestamp;
use time::OffsetDateTime;

use super::table::{Case, Check, Exchange, Field, Outcome, ScriptedResponse};
use crate::{
    assets::{Client, site},
    support::{
        asset_server::{AssetHead, AssetServer, Script},
        browser::Page,
        site::Site,
    },
};

pub(super) struct Stage {
    pub(super) site: Site,
    pub(super) server: AssetServer,
    pub(super) client: Client,
}

/// How the cache departs from what a case expects.
#[derive(Debug)]
pub(super) struct Deviation {
    pub(super) text: String,
    /// No stored response was used where the case expects it.
    pub(super) is_stricter: bool,
    /// The expectation is a precondition of the case, and not what the case tests.
    pub(super) is_presupposed: bool,
}

/// The answer to a request, and what happened behind it.
struct Played {
    page: Page,
    received: Vec<AssetHead>,
    outcome: Outcome,
    /// The body that the web server was to send.
    body: String,
}

// === impl Stage ===

impl Stage {
    pub(super) async fn new() -> Self {
        let (site, server) = site("").await;
        let client = Client::of(&site);
        Self {
            site,
            server,
            client,
        }
    }

    /// Plays a case until the cache departs from what it expects.
    pub(super) async fn play(&mut self, case: &Case) -> Result<(), Deviation> {
        let path = format!("/libs/{}.js", case.id.replace('=', "-"));
        let begun = self.site.now();
        let mut earlier: Vec<(&ScriptedResponse, String)> = Vec::new();
        for (number, exchange) in case.exchanges.iter().enumerate() {
            let now = self.site.now();
            let body = exchange.response.body.clone();
            let body = body.unwrap_or_else(|| format!("body {number} of {}", case.id));
            let mut script = script(&exchange.response, &body, now);
            let confirms = matches!(
                exchange.expected.map(|it| it.outcome),
                Some(Outcome::Validated(_))
            );
            let former = earlier.last().filter(|_| confirms);
            script.confirmed = Some(former.map_or_else(Vec::new, |(it, _)| conditions(it, begun)));
            self.server.script(&path, script.clone());
            self.server.take_received();
            let page = self.request(&path, exchange, begun).await;
            let received = self.server.take_received();
            let outcome = outcome_of(&page, &received, &script, &earlier);
            let played = Played {
                page,
                received,
                outcome,
                body,
            };
            played.compare(number, exchange, &earlier, begun)?;
            earlier.push((&exchange.response, played.body));
            if exchange.pauses {
                self.site.clock_control.advance(PAUSE);
            }
        }
        Ok(())
    }

    async fn request(&mut self, path: &str, exchange: &Exchange, begun: Timestamp) -> Page {
        // A version lets the first request store the file.
        let mut target = format!("{path}?v=1");
        if let Some(query) = &exchange.query {
            target = format!("{target}&{query}");
        }
        let lines: Vec<String> = exchange
            .sent
            .iter()
            .map(|field| format!("{}: {}", field.name, field.at(begun)))
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let method = exchange.method.clone();
        let (site, server) = (&self.site, &self.server);
        let sending = self.client.send(method, &target, &lines, "");
        if exchange.response.delay == 0 {
            return sending.await;
        }
        server.hold();
        let delaying = async {
            site.wait_for("the request arrived", async || server.count() > 0)
                .await;
            let delay = Duration::from_secs(exchange.response.delay);
            site.clock_control.advance(delay);
            server.release();
        };
        tokio::join!(sending, delaying).0
    }
}

// === impl Played ===

impl Played {
    fn compare(
        &self,
        number: usize,
        exchange: &Exchange,
        earlier: &[(&ScriptedResponse, String)],
        begun: Timestamp,
    ) -> Result<(), Deviation> {
        let deviation = |text: String, is_stricter, is_presupposed| Deviation {
            text: format!("request {}: {text}", number + 1),
            is_stricter,
            is_presupposed,
        };
        if let Some(expected) = exchange.expected
            && expected.outcome != self.outcome
        {
            let text = format!("{:?}, not {:?}", self.outcome, expected.outcome);
            let is_stricter = self.outcome == Outcome::Fetched;
            return Err(deviation(text, is_stricter, expected.presupposed));
        }
        for check in &exchange.received {
            let last = self.received.last();
            if !last.is_some_and(|last| check.is_met_by_request(last, begun)) {
                let text = format!("the web server received {last:?}, not {check:?}");
                return Err(deviation(text, true, false));
            }
        }
        let is_default = |check: &Check| !matches!(check, Check::Status(_) | Check::Body(_));
        let comes_whole = exchange.answer.iter().all(is_default)
            && exchange.method == Method::GET
            && !exchange.response.aborts;
        let text = self.page.text();
        let (status, is_expected) = match exchange.expected {
            _ if !comes_whole => (self.page.status, true),
            None if number > 0 => (self.page.status, true),
            Some(expected) if expected.outcome != Outcome::Fetched => {
                let is_stored = earlier.iter().any(|(_, body)| *body == text);
                (StatusCode::OK, is_stored)
            }
            _ if exchange.response.status == StatusCode::NO_CONTENT => {
                (StatusCode::NO_CONTENT, text.is_empty())
            }
            _ => (exchange.response.status, text == self.body),
        };
        if status != self.page.status || !is_expected {
            let text = format!("{} {text:?}", self.page.status);
            return Err(deviation(text, false, false));
        }
        for check in &exchange.answer {
            if !check.is_met_by_answer(&self.page, begun) {
                let Page {
                    status, headers, ..
                } = &self.page;
                let text = format!("{status} {headers:?} {text:?}, not {check:?}");
                return Err(deviation(text, false, false));
            }
        }
        Ok(())
    }
}

// === impl Check ===

impl Check {
    fn is_met_by_request(&self, request: &AssetHead, begun: Timestamp) -> bool {
        match self {
            Self::Method(method) => request.method == *method,
            check => check.is_met_by(&request.headers, begun),
        }
    }

    fn is_met_by_answer(&self, page: &Page, begun: Timestamp) -> bool {
        match self {
            Self::Status(status) => page.status == *status,
            Self::Body(body) => page.text() == *body,
            check => check.is_met_by(&page.headers, begun),
        }
    }

    fn is_met_by(&self, headers: &HeaderMap, begun: Timestamp) -> bool {
        match self {
            Self::Equals(field) => headers
                .get(&field.name)
                .is_some_and(|value| value.as_bytes() == field.at(begun).as_bytes()),
            Self::Present(name) => headers.contains_key(name),
            Self::Absent(name) => !headers.contains_key(name),
            Self::Above(name, least) => {
                let number = headers.get(name).and_then(|value| value.to_str().ok());
                number.is_some_and(|number| number.parse::<u64>().unwrap() > *least)
            }
            Self::Status(_) | Self::Method(_) | Self::Body(_) => panic!("{self:?}"),
        }
    }
}

// === impl Field ===

impl Field {
    /// The value at a time.
    fn at(&self, time: Timestamp) -> String {
        let (delta, form) = self.value.split_once(' ').unwrap_or((&self.value, ""));
        let is_relative = DATES.contains(&&*self.name) && delta.starts_with(['+', '-']);
        if !is_relative {
            return self.value.clone();
        }
        let delta: i64 = delta.parse().unwrap();
        let seconds = time.as_unix().checked_add_signed(delta).unwrap();
        let date = OffsetDateTime::from_unix_timestamp(seconds.try_into().unwrap()).unwrap();
        let (weekday, month) = (date.weekday().to_string(), date.month().to_string());
        let (day, month, year) = (date.day(), &month[..3], date.year());
        let (hour, minute, second) = date.time().as_hms();
        let time = format!("{hour:02}:{minute:02}:{second:02} GMT");
        if form == "rfc850" {
            format!("{weekday}, {day:02}-{month}-{:02} {time}", year % 100)
        } else {
            format!("{}, {day:02} {month} {year} {time}", &weekday[..3])
        }
    }
}

fn script(response: &ScriptedResponse, body: &str, now: Timestamp) -> Script {
    let mut lines: Vec<String> = response
        .fields
        .iter()
        .map(|field| format!("{}: {}", field.name, field.at(now)))
        .collect();
    // As the suite's server does.
    if !response.fields.iter().any(|field| field.name == "date") {
        let (name, value) = ("date".to_owned(), "+0".to_owned());
        lines.push(format!("date: {}", Field { name, value }.at(now)));
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut script = Script::new(&lines).status(response.status.as_u16());
    script.aborts = response.aborts;
    if response.status == StatusCode::NO_CONTENT {
        return script.body("");
    }
    script.body(body.to_owned())
}

/// The conditions that a response answers by 304 if it is the same as an earlier one.
fn conditions(earlier: &ScriptedResponse, begun: Timestamp) -> Vec<(HeaderName, HeaderValue)> {
    let value = |name: &str| {
        let field = earlier.fields.iter().find(|field| field.name == name)?;
        HeaderValue::try_from(field.at(begun)).ok()
    };
    let etag = value("etag").map(|etag| (header::IF_NONE_MATCH, etag));
    let date = value("last-modified").map(|date| (header::IF_MODIFIED_SINCE, date));
    etag.into_iter().chain(date).collect()
}

fn outcome_of(
    page: &Page,
    received: &[AssetHead],
    script: &Script,
    earlier: &[(&ScriptedResponse, String)],
) -> Outcome {
    let Some(last) = received.last() else {
        return Outcome::Reused;
    };
    match script.confirmed_condition(&last.headers) {
        Some(header::IF_NONE_MATCH) => return Outcome::Validated("if-none-match"),
        Some(_) => return Outcome::Validated("if-modified-since"),
        None => {}
    }
    let text = page.text();
    if page.status == StatusCode::OK && earlier.iter().any(|(_, body)| *body == text) {
        Outcome::Reused
    } else {
        Outcome::Fetched
    }
}

/// Fields whose values may be relative to a time.
const DATES: [&str; 4] = ["date", "expires", "last-modified", "if-modified-since"];

/// What the suite waits; here the clock advances.
const PAUSE: Duration = Duration::from_secs(3);
