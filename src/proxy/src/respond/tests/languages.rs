//! The pages of errors in the language of their reader.

use super::*;

/// The part of a page that is shown.
fn shown(page: &str) -> &str {
    let (_, main) = page.split_once("<main>").unwrap();
    main.split_once("</main>").unwrap().0
}

/// Asserts that the page has a sentence and a link, and that its language is the reader's.
async fn assert_in_language(error: &RequestError, language: &'static str) {
    let pages = Pages::new(Brand::from_name("Meet"), Languages::default());
    let mut person = responder(Audience::Person);
    person.accept_language = Some(HeaderValue::from_static(language));
    let answer = error.answer(&person, &pages, None);
    let case = format!("{error:?} in {language}");
    assert_eq!(
        answer.headers()[header::CONTENT_LANGUAGE],
        language,
        "{case}"
    );
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let page = shown(&body);
    assert!(
        page.contains("<p>") && page.contains("class=\"button"),
        "{case}: {page}"
    );
    if language != "en" {
        // The text of the error is for logs and programs.
        let text = error
            .to_string()
            .replace('"', "&#34;")
            .replace('\'', "&#39;");
        assert!(!page.contains(&text), "{case}: {page}");
        assert!(!page.contains("lang=\"en\""), "{case}: {page}");
    }
}

#[tokio::test]
async fn the_page_of_every_error_is_in_the_language_of_its_reader() {
    for language in [
        "en", "de", "fr", "es", "ar", "pt", "it", "nl", "pl", "tr", "uk", "ja", "zh-Hans",
    ] {
        for (error, ..) in errors() {
            assert_in_language(&error, language).await;
        }
        for error in EMBED_ERRORS {
            assert_in_language(&error.into(), language).await;
        }
    }
}

const EMBED_ERRORS: [EmbedError; 13] = [
    EmbedError::TooLong,
    EmbedError::Token(TokenError::Malformed),
    EmbedError::Token(TokenError::NotYetValid),
    EmbedError::Token(TokenError::Expired),
    EmbedError::Kind,
    EmbedError::UnknownIssuer,
    EmbedError::OtherKey,
    EmbedError::LongLived,
    EmbedError::NoRoom,
    EmbedError::Pattern,
    EmbedError::OtherTenant,
    EmbedError::ForeignRoom,
    EmbedError::UserId,
];
