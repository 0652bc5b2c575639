use std::path::Path;

use http::{
    HeaderMap, StatusCode,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION},
};
use http_body_util::{BodyExt, Full};
use serde_json::json;

use super::*;

fn completion() -> Completion {
    let overrides = json!({
        "prejoinConfig": {"enabled": false},
        "hosts": {"anonymousdomain": null},
        "defaultLanguage": "</script>\u{2028}é",
    });
    Completion::new("https://meet.example.org", overrides.as_object().unwrap())
}

fn answer(content_type: &str, body: &'static str) -> Response<Full<Bytes>> {
    Response::builder()
        .header(CONTENT_TYPE, content_type)
        .header(CONTENT_LENGTH, body.len())
        .body(Full::new(Bytes::from_static(body.as_bytes())))
        .unwrap()
}

async fn read(answer: Response<CompletedBody<Full<Bytes>>>) -> (HeaderMap, String) {
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_page_is_completed_head_and_body() {
    let page = completion().page(answer("text/html", "<head></head>"), Person::Token("a.b.c"));
    let (headers, body) = read(page).await;
    assert!(body.starts_with("<head><script>") && body.contains(r#"("a.b.c",null)"#));
    assert_eq!(headers[CACHE_CONTROL], "no-store");
    assert!(!headers.contains_key(CONTENT_LENGTH));
}

#[tokio::test]
async fn the_configuration_is_completed_head_and_body() {
    let config = answer("application/javascript", "var config = {};");
    let (headers, body) = read(completion().config(config)).await;
    assert!(body.starts_with("var config = {};\n;if(typeof config"));
    assert_eq!(headers[CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn other_answers_are_passed_on() {
    let picture = completion().page(answer("image/png", "x"), Person::Token("a.b.c"));
    let (headers, body) = read(picture).await;
    assert_eq!(
        (body.as_str(), &headers[CONTENT_LENGTH]),
        ("x", &"1".parse().unwrap())
    );
    let mut redirect = answer("text/html", "<head></head>");
    *redirect.status_mut() = StatusCode::FOUND;
    redirect
        .headers_mut()
        .insert(LOCATION, "/x".parse().unwrap());
    let (headers, body) = read(completion().page(redirect, Person::Name(None))).await;
    assert_eq!(body, "<head></head>");
    assert!(!headers.contains_key(CACHE_CONTROL));
}

#[test]
fn the_operator_has_the_last_word() {
    let overrides = json!({"tokenAuthUrl": "https://other.test/{state}"});
    let completion = Completion::new("https://meet.test", overrides.as_object().unwrap());
    let appendix = std::str::from_utf8(completion.config_js()).unwrap();
    assert!(appendix.contains(r#"config["tokenAuthUrl"]="https://other.test/{state}";"#));
    assert_eq!(appendix.matches("tokenAuthUrl").count(), 1);
}

/// What `tests/page/*.test.mjs` runs is what is sent; `UPDATE_GOLDEN=1 cargo test golden` renews it.
#[test]
fn golden_files_are_fresh() {
    let completion = completion();
    let hostile = "aa.\"</script><!--\u{2028}é&.cc";
    let script = |person| String::from_utf8(completion.script(person).element().to_vec()).unwrap();
    assert_golden("signed_in.html", &script(Person::Token("aa.bb.cc")));
    assert_golden("hostile.html", &script(Person::Token(hostile)));
    assert_golden("nobody.html", &script(Person::Name(None)));
    assert_golden("guest.html", &script(Person::Name(Some(hostile))));
    let appendix = std::str::from_utf8(completion.config_js()).unwrap();
    assert_golden("config.js", appendix);
}

fn assert_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/page")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{name} is stale");
}
