//! Brand and language of the pages.

use super::*;

#[test]
fn a_page_shows_logo_accent_and_links_of_the_brand() {
    let brand = Brand {
        logo: Some(Logo::parse(b"<svg/>").unwrap()),
        accent: Some("#7a1f5c".parse().unwrap()),
        links: vec![BrandLink {
            label: "Imprint & more".to_owned(),
            url: Url::parse("https://example.org/imprint?a&b").unwrap(),
        }],
        ..Brand::from_name("Example")
    };
    let page = Pages::new(brand, Languages::default()).render(&Content::NotFound, &request("x"));
    for part in [
        "<img src=\"data:image/svg+xml;base64,",
        "<bdi>Example</bdi>",
        "--accent: #7a1f5c;",
        "<a href=\"https://example.org/imprint?a&#38;b\"><bdi>Imprint &#38; more</bdi></a>",
    ] {
        assert!(text(&page).contains(part), "{part}\n{}", text(&page));
    }
    assert!(policy(&page).contains("; img-src data:; "));
    let (_, style, _) = element(text(&page), "<style>", "</style>").unwrap();
    assert!(policy(&page).contains(&csp_hash(style.as_bytes())));
}

#[test]
fn a_page_is_in_the_requested_language() {
    let hebrew = "language = 'he'\ndirection = 'rtl'\n[not_found]\ntitle = 'אין כאן כלום'";
    let languages = Languages::new(vec![Texts::parse(hebrew).unwrap()], &[]).unwrap();
    let pages = Pages::new(Brand::from_name("Meet"), languages);
    let accept = HeaderValue::from_static("he-IL, en;q=0.5");
    let request = PageRequest {
        accept_language: Some(&accept),
        request_id: "x",
    };
    let page = pages.render(&Content::NotFound, &request);
    assert!(text(&page).contains("<html lang=\"he\" dir=\"rtl\">"));
    assert!(text(&page).contains("<h1>אין כאן כלום</h1>"));
    assert_eq!(page.headers[CONTENT_LANGUAGE], "he");
}
