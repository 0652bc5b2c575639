use std::path::Path;

use http::{
    HeaderMap, StatusCode,
    header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION},
};
use http_body_util::{BodyExt, Full};
use serde_json::json;

use super::*;

fn injector() -> Injector {
    let overrides = json!({
        "prejoinConfig": {"enabled": false},
        "hosts": {"anonymousdomain": null},
        "defaultLanguage": "</script>\u{2028}é",
    });
    Injector::new("https://meet.example.org", overrides.as_object().unwrap())
}

fn response(content_type: &str, body: &'static str) -> Response<Full<Bytes>> {
    Response::builder()
        .header(CONTENT_TYPE, content_type)
        .header(CONTENT_LENGTH, body.len())
        .body(Full::new(Bytes::from_static(body.as_bytes())))
        .unwrap()
}

async fn read(response: Response<InjectedBody<Full<Bytes>>>) -> (HeaderMap, String) {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn script_is_injected_into_the_page() {
    let page = injector().inject_page(
        response("text/html", "<head></head>"),
        PageIdentity::Token("a.b.c"),
    );
    let (headers, body) = read(page).await;
    assert!(body.starts_with("<head><script>") && body.contains(r#"("a.b.c",null)"#));
    assert_eq!(headers[CACHE_CONTROL], "no-store");
    assert!(!headers.contains_key(CONTENT_LENGTH));
}

#[tokio::test]
async fn a_whole_page_is_the_same_as_one_that_streams() {
    let injector = injector();
    let text = "<head><script src=libs/lib-jitsi-meet.min.js></script></head>";
    for identity in [PageIdentity::Token("a.b.c"), PageIdentity::Name(None)] {
        let page = response("text/html", text);
        assert!(injector.is_page(&page));
        let whole = page.map(|_| Bytes::from_static(text.as_bytes()).into());
        let whole = injector.inject_whole_page(whole, identity);
        let streaming = injector.inject_page(response("text/html", text), identity);
        let (headers, body) = read(streaming).await;
        assert!(body.starts_with("<head><script>if("));
        assert_eq!(
            (whole.headers(), &**whole.body()),
            (&headers, body.as_bytes())
        );
    }
    assert!(!injector.is_page(&response("image/png", "x")));
}

#[tokio::test]
async fn options_are_appended_to_config_js() {
    let config = response("application/javascript", "var config = {};");
    let (headers, body) = read(injector().inject_config_js(config)).await;
    assert!(body.starts_with("var config = {};\n;if(typeof config"));
    assert_eq!(headers[CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn other_responses_pass_unchanged() {
    let picture = injector().inject_page(response("image/png", "x"), PageIdentity::Token("a.b.c"));
    let (headers, body) = read(picture).await;
    assert_eq!(
        (body.as_str(), &headers[CONTENT_LENGTH]),
        ("x", &"1".parse().unwrap())
    );
    let mut redirect = response("text/html", "<head></head>");
    *redirect.status_mut() = StatusCode::FOUND;
    redirect
        .headers_mut()
        .insert(LOCATION, "/x".parse().unwrap());
    let (headers, body) = read(injector().inject_page(redirect, PageIdentity::Name(None))).await;
    assert_eq!(body, "<head></head>");
    assert!(!headers.contains_key(CACHE_CONTROL));
}

#[tokio::test]
async fn encoded_responses_pass_unchanged() {
    for coding in ["gzip", "br"] {
        let mut page = response("text/html", "\u{1f}packed");
        page.headers_mut()
            .insert(CONTENT_ENCODING, coding.parse().unwrap());
        let (headers, body) = read(injector().inject_page(page, PageIdentity::Name(None))).await;
        assert_eq!(body, "\u{1f}packed");
        assert_eq!(headers[CONTENT_ENCODING], coding);
        assert_eq!(headers[CONTENT_LENGTH], "7");
    }
}

#[test]
fn configured_overrides_take_precedence() {
    let overrides = json!({"tokenAuthUrl": "https://other.test/{state}"});
    let injector = Injector::new("https://meet.test", overrides.as_object().unwrap());
    let appendix = std::str::from_utf8(&injector.appendix).unwrap();
    assert!(appendix.contains(r#"config["tokenAuthUrl"]="https://other.test/{state}";"#));
    assert_eq!(appendix.matches("tokenAuthUrl").count(), 1);
}

/// `tests/page/*.test.mjs` runs these files. `UPDATE_GOLDEN=1 cargo test -p pages golden` rewrites
/// them.
#[test]
fn golden_files_match() {
    let injector = injector();
    let hostile = "aa.\"</script><!--\u{2028}é&.cc";
    let script =
        |identity| String::from_utf8(injector.script.render(identity).element().to_vec()).unwrap();
    assert_golden("signed_in.html", &script(PageIdentity::Token("aa.bb.cc")));
    assert_golden("hostile.html", &script(PageIdentity::Token(hostile)));
    assert_golden("anonymous.html", &script(PageIdentity::Name(None)));
    assert_golden("guest.html", &script(PageIdentity::Name(Some(hostile))));
    let appendix = std::str::from_utf8(&injector.appendix).unwrap();
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
