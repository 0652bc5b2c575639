//! The API for other systems.

use std::{fs, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use proxy::api;
use serde_json::{Value, json};
use url::Url;

use crate::support::{
    browser::{Browser, Page},
    logs::Logs,
    site::{ORIGIN, Site, SiteOptions},
};

const SCHOOL_KEY: &str = "0f9d2b7c5e1a4836b0f9d2b7c5e1a4836b0f9d2b";
const SHOP_KEY: &str = "9a3c71e05d2f48b69a3c71e05d2f48b69a3c71e0";

const INTEGRATIONS: &str = r#"
[[room]]
match = "*"
enter = "member"
[[integration]]
id = "school"
rooms = ["school-*"]
api_requests_per_minute = 60
[[integration.api_key]]
id = "main"
key = "0f9d2b7c5e1a4836b0f9d2b7c5e1a4836b0f9d2b"
[[integration]]
id = "shop"
rooms = ["shop-*", "sale"]
tenant = "acme"
[[integration.api_key]]
id = "main"
key = "9a3c71e05d2f48b69a3c71e05d2f48b69a3c71e0"
"#;

/// A client of the API with its key.
struct System {
    browser: Browser,
    headers: HeaderMap,
}

// === impl System ===

impl System {
    fn with_key(site: &Site, key: &str) -> Self {
        let system = Self {
            browser: site.browser(),
            headers: HeaderMap::new(),
        };
        system.with("authorization", &format!("Bearer {key}"))
    }

    /// Reads an address that the API returned.
    async fn load(&self, url: &str) -> Page {
        let url = Url::parse(url).unwrap();
        let (method, headers) = (Method::GET, self.headers.clone());
        let mut browser = self.browser.clone();
        browser.send(method, &url, headers, "".into()).await
    }

    fn with(&self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap();
        let mut headers = self.headers.clone();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        Self {
            browser: self.browser.clone(),
            headers,
        }
    }

    fn without(&self, name: &str) -> Self {
        let mut headers = self.headers.clone();
        headers.remove(name);
        Self {
            browser: self.browser.clone(),
            headers,
        }
    }

    async fn send(&self, method: Method, path: &str, body: impl Into<bytes::Bytes>) -> Page {
        let url = Url::parse(&format!("{ORIGIN}/_gateway/api/v1/{path}")).unwrap();
        let headers = self.headers.clone();
        let mut browser = self.browser.clone();
        browser.send(method, &url, headers, body.into()).await
    }

    async fn post(&self, path: &str, body: &Value) -> Page {
        let system = self.with("content-type", "application/json; charset=utf-8");
        system.send(Method::POST, path, body.to_string()).await
    }

    async fn get(&self, path: &str) -> Page {
        self.send(Method::GET, path, "").await
    }
}

async fn site() -> Site {
    Site::with(SiteOptions::default().rules(INTEGRATIONS)).await
}

fn json_of(page: &Page) -> Value {
    assert_eq!(page.headers[header::CONTENT_TYPE], "application/json");
    assert_eq!(page.headers[header::CACHE_CONTROL], "no-store");
    serde_json::from_str(&page.text()).unwrap()
}

/// Status and `code` of a problem response.
fn problem(page: &Page) -> (u16, String) {
    let text = page.text();
    let problem: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    assert_eq!(
        page.headers[header::CONTENT_TYPE],
        "application/problem+json"
    );
    assert_eq!(page.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(problem["status"], page.status.as_u16());
    assert_eq!(problem["type"], "about:blank");
    assert!(problem["request"].as_str().unwrap().contains('-'), "{text}");
    let code = problem["code"].as_str().unwrap().to_owned();
    (page.status.as_u16(), code)
}

fn expected(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn creating_a_meeting_returns_its_room_and_links() {
    let logs = Logs::keep();
    let site = site().await;
    let school = System::with_key(&site, SCHOOL_KEY);
    let request = json!({
        "owner": {"email": "hanna@example.org"}, "slug": "School parents 7b", "guests": true,
        "not_before": "2027-01-16T09:30:00+01:00", "title": "Parents & children", "minutes": 45,
    });
    let page = school.post("meetings", &request).await;
    assert_eq!(page.status, StatusCode::CREATED, "{}", page.text());
    let meeting = json_of(&page);
    let room = meeting["room"].as_str().unwrap();
    assert!(room.starts_with("school-parents-7b-"), "{room}");
    let url = format!("{ORIGIN}/{room}");
    assert_eq!(meeting["url"], url);
    let tokens = ["host_url", "guest_url"].map(|name| {
        let link = meeting[name].as_str().unwrap();
        let token = link.strip_prefix(&format!("{url}?invite=")).unwrap();
        token.to_owned()
    });
    assert_ne!(tokens[0], tokens[1]);
    assert_eq!(meeting["expires_at"], "2027-01-23T08:30:00Z");
    let ics = format!(
        "{ORIGIN}/_gateway/meeting.ics?room={room}&start=2027-01-16T08%3A30&minutes=45\
         &title=Parents+%26+children"
    );
    assert_eq!(meeting["ics_url"], ics);
    let entry = school.load(&ics).await;
    assert_eq!(entry.status, StatusCode::OK, "{}", entry.text());
    assert!(entry.text().contains(&format!("URL:{url}")) || entry.text().contains(&url));
    // Another system's key is none, and a person is sent to sign in.
    let refused = System::with_key(&site, SHOP_KEY).load(&ics).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let page = site
        .browser()
        .navigate(ics.strip_prefix(ORIGIN).unwrap())
        .await;
    assert_eq!(page.url.path(), "/_gateway/login");

    let page = school.get(&format!("rooms/{room}")).await;
    assert_eq!(
        json_of(&page),
        json!({"room": room, "open": false, "host_present": false, "people": 0})
    );
    let link = json!({"room": room, "role": "guest", "uses": 1, "ttl_seconds": 600});
    let page = school.post("links", &link).await;
    assert_eq!(page.status, StatusCode::CREATED);
    assert_eq!(json_of(&page)["expires_at"], "2027-01-15T08:10:00Z");

    let made_up = json!({"owner": {"subject": "4711"}, "tenant": "acme"});
    let shop = System::with_key(&site, SHOP_KEY);
    let meeting = json_of(&shop.post("meetings", &made_up).await);
    let room = meeting["room"].as_str().unwrap();
    assert!(room.starts_with("acme/shop-"), "{room}");
    assert!(meeting.get("guest_url").is_none());
    let page = shop.get(&format!("rooms/{room}")).await;
    assert_eq!(json_of(&page)["room"], room);

    let text = logs.text();
    for secret in [SCHOOL_KEY, SHOP_KEY, &tokens[0], &tokens[1]] {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
    let line = logs.lines_with("call=\"create_meeting\"");
    assert!(
        line.iter()
            .any(|line| line.contains("integration=\"school\""))
    );
}

#[tokio::test]
async fn a_repeated_idempotency_key_repeats_the_answer() {
    let site = site().await;
    let school = System::with_key(&site, SCHOOL_KEY).with("idempotency-key", "a5b1");
    let request = json!({"owner": {"subject": "4711"}});
    let first = school.post("meetings", &request).await;
    let again = school.post("meetings", &request).await;
    assert_eq!(
        (again.status, again.text()),
        (StatusCode::CREATED, first.text())
    );
    assert!(!first.headers.contains_key("idempotency-replayed"));
    assert_eq!(again.headers["idempotency-replayed"], "true");

    let other = json!({"owner": {"subject": "4712"}});
    let reused = school.post("meetings", &other).await;
    assert_eq!(problem(&reused), expected(422, "idempotency_key_reused"));
    let fresh = school.with("idempotency-key", "a5b2");
    let fresh = fresh.post("meetings", &request).await;
    assert_ne!(fresh.text(), first.text());
    // Idempotency keys are separate per integration.
    let shop = System::with_key(&site, SHOP_KEY).with("idempotency-key", "a5b1");
    let request = json!({"owner": {"subject": "4711"}, "tenant": "acme"});
    let foreign = shop.post("meetings", &request).await;
    assert_eq!(foreign.status, StatusCode::CREATED);
    assert!(!foreign.headers.contains_key("idempotency-replayed"));

    let bad = school.with("idempotency-key", "a b");
    let bad = bad.post("meetings", &request).await;
    assert_eq!(problem(&bad), expected(400, "idempotency_key_invalid"));
}

/// A right key works from the address of a guesser, too.
#[tokio::test]
async fn guesses_at_api_keys_have_a_rate() {
    let options = SiteOptions::default()
        .rules(INTEGRATIONS)
        .limits("sign_ins_per_minute = 3")
        .listen("workers = 1");
    let site = Site::with(options).await.ready().await;
    let guesser = System::with_key(&site, "0000000000000000000000000000000000000000");
    for status in [401, 401, 401, 429, 429] {
        let page = guesser.get("rooms/school-1").await;
        assert_eq!(page.status.as_u16(), status, "{}", page.text());
    }
    let school = System::with_key(&site, SCHOOL_KEY);
    let page = school.get("rooms/school-1").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
}

#[tokio::test]
async fn requests_without_a_valid_api_key_are_refused() {
    let site = site().await;
    let school = System::with_key(&site, SCHOOL_KEY);
    let request = json!({"owner": {"subject": "4711"}});
    let nobody = school.without("authorization");
    for (headers, code, challenge) in [
        (nobody.with("x", "y"), "key_missing", "Bearer realm=\"api\""),
        (
            nobody.with("cookie", "__Host-gateway-session=x"),
            "key_missing",
            "Bearer realm=\"api\"",
        ),
        (
            nobody.with("authorization", &format!("Basic {SCHOOL_KEY}")),
            "key_missing",
            "Bearer realm=\"api\"",
        ),
        (
            nobody.with("authorization", &format!("Bearer {SCHOOL_KEY}0")),
            "key_unknown",
            "Bearer realm=\"api\", error=\"invalid_token\"",
        ),
        (
            nobody.with("authorization", "Bearer gateway"),
            "key_unknown",
            "Bearer realm=\"api\", error=\"invalid_token\"",
        ),
    ] {
        for page in [
            headers.post("meetings", &request).await,
            headers.post("links", &json!({})).await,
            headers.send(Method::DELETE, "links/school.A", "").await,
            headers.get("rooms/school-1").await,
            // Before anything else of the request is judged.
            headers.get("rooms/%2A").await,
        ] {
            assert_eq!(problem(&page), expected(401, code));
            assert_eq!(page.headers[header::WWW_AUTHENTICATE], challenge);
        }
    }
}

#[tokio::test]
async fn rooms_and_links_of_others_are_out_of_reach() {
    let site = site().await;
    let school = System::with_key(&site, SCHOOL_KEY);
    let shop = System::with_key(&site, SHOP_KEY);
    let owner = json!({"subject": "4711"});
    let foreign = expected(403, "room_foreign");
    let slug = json!({"owner": owner, "slug": "shop-1"});
    assert_eq!(problem(&school.post("meetings", &slug).await), foreign);
    let link = json!({"room": "acme/shop-1", "role": "host"});
    assert_eq!(problem(&school.post("links", &link).await), foreign);
    assert_eq!(problem(&school.get("rooms/acme/shop-1").await), foreign);
    // A room name of its own in another tenant.
    assert_eq!(problem(&shop.get("rooms/shop-1").await), foreign);

    let link = json_of(&shop.post("links", &link).await);
    let path = format!("links/{}", link["id"].as_str().unwrap());
    let revoke = async |system: &System| system.send(Method::DELETE, &path, "").await;
    assert_eq!(problem(&revoke(&school).await), expected(404, "not_found"));
    for _ in 0..2 {
        let page = revoke(&shop).await;
        assert_eq!(
            (page.status, page.text()),
            (StatusCode::NO_CONTENT, String::new())
        );
    }
}

#[tokio::test]
async fn every_api_error_is_a_problem_with_a_code() {
    let site = site().await;
    let school = System::with_key(&site, SCHOOL_KEY);
    let json_type = school.with("content-type", "application/json");
    let good = r#"{"owner":{"subject":"4711"}}"#;
    let post = async |system: &System, body: &str| {
        let body = bytes::Bytes::copy_from_slice(body.as_bytes());
        problem(&system.send(Method::POST, "meetings", body).await)
    };
    assert_eq!(post(&school, good).await, expected(415, "not_json_type"));
    let form = school.with("content-type", "application/x-www-form-urlencoded");
    assert_eq!(post(&form, good).await, expected(415, "not_json_type"));
    assert_eq!(post(&json_type, "{").await, expected(400, "not_json"));
    assert_eq!(post(&json_type, "").await, expected(400, "not_json"));
    assert_eq!(post(&json_type, "[]").await, expected(422, "field_invalid"));
    let unknown = r#"{"owner":{"subject":"4711"},"lobby":true}"#;
    assert_eq!(
        post(&json_type, unknown).await,
        expected(422, "field_invalid")
    );
    let large = format!("{}{good}", " ".repeat(api::MAX_BODY_BYTES));
    assert_eq!(
        post(&json_type, &large).await,
        expected(413, "body_too_large")
    );

    let page = school.get("meetings").await;
    assert_eq!(problem(&page), expected(405, "method_not_allowed"));
    assert_eq!(page.headers[header::ALLOW], "POST");
    let page = school.post("rooms/school-1", &json!({})).await;
    assert_eq!(page.headers[header::ALLOW], "GET, HEAD");
    for path in ["", "room", "meetings/"] {
        let page = school.get(path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(
        problem(&school.get("rooms/%2A").await),
        expected(422, "room_invalid")
    );
    for path in ["rooms/a%2Fb", "rooms//a"] {
        assert_eq!(
            problem(&school.get(path).await),
            expected(400, "refused"),
            "{path}"
        );
    }
    // Other spellings of the path are refused.
    assert_eq!(
        problem(&school.get("%72ooms/school-1").await),
        expected(404, "refused")
    );
}

#[tokio::test]
async fn an_api_key_over_its_rate_is_refused_with_retry_after() {
    let site = site().await;
    let school = System::with_key(&site, SCHOOL_KEY);
    // All workers share one rate limiter.
    for _ in 0..60 {
        assert_eq!(school.get("rooms/school-1").await.status, StatusCode::OK);
    }
    let page = school.get("rooms/school-1").await;
    assert_eq!(problem(&page), expected(429, "too_many_requests"));
    assert_eq!(page.headers[header::RETRY_AFTER], "1");
    let limited = "jitsi_auth_gateway_limits_total{limit=\"api_requests\"} 1\n";
    assert!(site.metrics().await.contains(limited));
    let shop = System::with_key(&site, SHOP_KEY);
    assert_eq!(shop.get("rooms/acme/sale").await.status, StatusCode::OK);
    site.clock_control.advance(Duration::from_secs(1));
    assert_eq!(school.get("rooms/school-1").await.status, StatusCode::OK);
}

#[tokio::test]
async fn without_keys_or_tls_there_is_no_api() {
    let site = site().await;
    let school = System::with_key(&site, SCHOOL_KEY);
    let plain = site.http_address();
    let url = format!("http://{plain}/_gateway/api/v1/rooms/school-1");
    let page = school.browser.clone().get_plain(&url).await;
    assert_eq!(problem(&page), expected(421, "refused"));

    let closed = Site::start().await;
    let page = System::with_key(&closed, SCHOOL_KEY);
    assert_eq!(
        problem(&page.get("rooms/school-1").await),
        expected(404, "not_found")
    );
    assert_eq!(
        problem(&page.get("openapi.json").await),
        expected(404, "not_found")
    );
}

#[tokio::test]
async fn the_openapi_document_is_served_and_up_to_date() {
    let site = site().await;
    let page = System::with_key(&site, SCHOOL_KEY)
        .without("authorization")
        .get("openapi.json")
        .await;
    let served = json_of(&page);
    assert_eq!(served, api::openapi());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/openapi.json");
    let written = fs::read_to_string(path).unwrap();
    let remedy = "run `cargo run -- config openapi > config/openapi.json`";
    assert!(written == format!("{served:#}\n"), "{remedy}");
}

#[tokio::test]
async fn refused_keys_and_foreign_rooms_and_links_are_audited_and_counted() {
    let logs = Logs::keep();
    let site = site().await;
    let guess = "guessed-key-000000000000000000000000000001";
    for _ in 0..5 {
        let page = System::with_key(&site, guess).get("rooms/school-1").await;
        assert_eq!(problem(&page), expected(401, "key_unknown"));
    }
    // The bound is per address and minute.
    site.clock_control.advance(Duration::from_mins(1));
    let school = System::with_key(&site, SCHOOL_KEY);
    let page = school.get("rooms/acme/sale").await;
    assert_eq!(problem(&page), expected(403, "room_foreign"));
    site.clock_control.advance(Duration::from_mins(1));
    let foreign = school.send(Method::DELETE, "links/shop_AAAAAAAAAAAAAAAA", "");
    assert_eq!(problem(&foreign.await), expected(404, "not_found"));
    let metrics = site.metrics().await;
    for (operation, outcome, times) in [
        ("room", "key_unknown", 5),
        ("room", "foreign", 1),
        ("revoke_link", "foreign", 1),
        ("room", "ok", 0),
    ] {
        let line = format!(
            "jitsi_auth_gateway_api_requests_total{{operation=\"{operation}\",outcome=\"{outcome}\"}} {times}\n"
        );
        assert!(metrics.contains(&line), "{line} in\n{metrics}");
    }
    let audit = logs.audit();
    assert!(!audit.contains(guess));
    let lines: Vec<Value> = audit
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["event"] == "api_refused" && line["suppressed"] != 0)
        .collect();
    // Four of the five guesses were left out; the next line has their number.
    let foreign_room = lines.iter().find(|line| line["suppressed"] == 4);
    let foreign_room = foreign_room.unwrap_or_else(|| panic!("{audit}"));
    assert_eq!(foreign_room["reason"], "foreign");
    assert_eq!(foreign_room["call"], "room");
    assert_eq!(foreign_room["integration"], "school");
    assert_eq!(foreign_room["key"], "main");
}
