use std::path::Path;

use http::{
    HeaderMap, StatusCode,
    header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION},
};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
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

async fn inject(page: Response<Full<Bytes>>, identity: PageIdentity<'_>) -> (HeaderMap, String) {
    read(injector().inject_page(page, identity).await.unwrap()).await
}

async fn read(response: Response<InjectedBody<Full<Bytes>>>) -> (HeaderMap, String) {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn script_is_injected_into_the_page() {
    let response = response("text/html", "<head></head>");
    let page = injector()
        .inject_page(response, PageIdentity::Token("a.b.c"))
        .await
        .unwrap();
    let length = page.body().size_hint().exact();
    let (headers, body) = read(page).await;
    assert_eq!(length, u64::try_from(body.len()).ok());
    assert!(body.starts_with("<head><script>") && body.contains(r#"("a.b.c",null)"#));
    assert_eq!(headers[CACHE_CONTROL], "no-store");
    assert!(!headers.contains_key(CONTENT_LENGTH));
}

#[tokio::test]
async fn a_page_of_any_length_and_in_any_chunks_is_the_same() {
    let head = "<html><head><script src=libs/lib-jitsi-meet.min.js></script></head>";
    for length in [
        0,
        1_000,
        USUAL_PAGE_BYTES - head.len(),
        USUAL_PAGE_BYTES,
        3 * USUAL_PAGE_BYTES,
    ] {
        let page = format!("{head}{}", "x".repeat(length));
        for chunk in [7, 8_192, 1 << 20] {
            let chunks: Vec<_> = page.as_bytes().chunks(chunk).collect();
            let frames = chunks.iter().map(|chunk| Bytes::copy_from_slice(chunk));
            let frames = frames.map(Frame::data).map(Ok::<_, &str>);
            let body = StreamBody::new(futures_util::stream::iter(frames));
            let response = response("text/html", "").map(|_| body);
            let page = injector()
                .inject_page(response, PageIdentity::Name(None))
                .await
                .unwrap();
            let known = page.body().size_hint().exact();
            let body = page.into_body().collect().await.unwrap().to_bytes();
            let body = String::from_utf8(body.to_vec()).unwrap();
            assert!(body.starts_with("<html><head><script>if("), "{length}");
            assert!(body.ends_with(&"x".repeat(length)), "{length}");
            let is_usual = head.len() + length <= USUAL_PAGE_BYTES;
            assert_eq!(known, is_usual.then_some(body.len() as u64), "{length}");
        }
    }
}

#[tokio::test]
async fn a_page_that_breaks_off_is_an_error() {
    let frames = [Ok(Frame::data(Bytes::from_static(b"<head>"))), Err("reset")];
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let response = response("text/html", "").map(|_| body);
    let injector = injector();
    let page = injector.inject_page(response, PageIdentity::Name(None));
    assert_eq!(page.await.unwrap_err(), "reset");
}

#[tokio::test]
async fn the_response_to_a_head_request_has_the_fields_of_the_page() {
    let response = response("text/html", "").map(|_| Empty::<Bytes>::new());
    let injector = injector();
    let page = injector.inject_page(response, PageIdentity::Name(None));
    let page = page.await.unwrap();
    assert_eq!(page.headers()[CACHE_CONTROL], "no-store");
    assert!(!page.headers().contains_key(CONTENT_LENGTH));
    assert!(
        page.into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .is_empty()
    );
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
    let picture = response("image/png", "x");
    let (headers, body) = inject(picture, PageIdentity::Token("a.b.c")).await;
    assert_eq!(
        (body.as_str(), &headers[CONTENT_LENGTH]),
        ("x", &"1".parse().unwrap())
    );
    let mut redirect = response("text/html", "<head></head>");
    *redirect.status_mut() = StatusCode::FOUND;
    redirect
        .headers_mut()
        .insert(LOCATION, "/x".parse().unwrap());
    let (headers, body) = inject(redirect, PageIdentity::Name(None)).await;
    assert_eq!(body, "<head></head>");
    assert!(!headers.contains_key(CACHE_CONTROL));
}

#[tokio::test]
async fn encoded_responses_pass_unchanged() {
    for coding in ["gzip", "br"] {
        let mut page = response("text/html", "\u{1f}packed");
        page.headers_mut()
            .insert(CONTENT_ENCODING, coding.parse().unwrap());
        let (headers, body) = inject(page, PageIdentity::Name(None)).await;
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
