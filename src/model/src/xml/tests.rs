use proptest::prelude::*;

use super::*;

#[test]
fn an_element_is_written_as_it_was_read() {
    let text = "<presence to='r@muc.x/n' xmlns='jabber:client'><x xmlns='u:muc'/>\
                <nick xmlns=\"u:nick\">Z &amp; &#x1f389;&#65;</nick></presence>";
    let element = Element::parse(text).unwrap();
    assert!(element.is("presence", "jabber:client"));
    assert_eq!(element.attribute("to"), Some("r@muc.x/n"));
    assert!(element.child("x").unwrap().is("x", "u:muc"));
    assert_eq!(element.find("nick").unwrap().text(), "Z & \u{1f389}A");
    assert_eq!(
        element.to_string(),
        "<presence xmlns='jabber:client' to='r@muc.x/n'><x xmlns='u:muc'/>\
         <nick xmlns='u:nick'>Z &amp; \u{1f389}A</nick></presence>"
    );
}

#[test]
fn names_are_resolved_to_namespaces() {
    let text = "<body xmlns='b' xmlns:stream='s' xmlns:x='u:x' x:restart='true' restart='no'>\
                <stream:features><mechanism xmlns='m'>ANONYMOUS</mechanism></stream:features></body>";
    let body = Element::parse(text).unwrap();
    assert!(body.is("body", "b"));
    assert!(body.child("features").unwrap().is("features", "s"));
    assert_eq!(body.find("mechanism").unwrap().text(), "ANONYMOUS");
    assert!(body.child("mechanism").is_none());
    assert_eq!(body.attribute_of("u:x", "restart"), Some("true"));
    assert_eq!(body.attribute("restart"), Some("no"));
    assert_eq!(
        body.to_string(),
        "<body xmlns='b' xmlns:ns0='u:x' ns0:restart='true' restart='no'><features xmlns='s'>\
         <mechanism xmlns='m'>ANONYMOUS</mechanism></features></body>"
    );
}

#[test]
fn prefixes_are_declared_where_they_are_asked_for() {
    let features =
        Element::prefixed("stream", "features", "s").with_child(Element::new("bind", "b"));
    let body = Element::new("body", "h")
        .with("xml:lang", "en")
        .with_prefixed("xmpp", "x", "version", "1.0")
        .with_prefixed("xmpp", "x", "restartlogic", "true")
        .with_child(features);
    assert_eq!(
        body.to_string(),
        "<body xmlns='h' xml:lang='en' xmlns:xmpp='x' xmpp:version='1.0' xmpp:restartlogic='true'>\
         <stream:features xmlns:stream='s'><bind xmlns='b'/></stream:features></body>"
    );
    let read = Element::parse(&body.to_string()).unwrap();
    assert_eq!(read.attribute_of("x", "restartlogic"), Some("true"));
    assert_eq!(read.attribute_of(XML, "lang"), Some("en"));
}

#[test]
fn malformed_text_is_refused() {
    for text in [
        "",
        "x",
        "It works!",
        "<",
        "<a",
        "<a>",
        "<a></b>",
        "<a><b></a>",
        "<a/><b/>",
        "<a b/>",
        "<a b=c/>",
        "<a b='1'c='2'/>",
        "<a b='1' b='2'/>",
        "<a b='<'/>",
        "<a>&nbsp;</a>",
        "<a>&#0;</a>",
        "<a>\u{1}</a>",
        "< a/>",
        "<1/>",
        "<x:y/>",
        "<a x:b='1'/>",
    ] {
        assert_eq!(Element::parse(text), Err(XmlError::Malformed), "{text}");
    }
}

#[test]
fn xml_that_xmpp_forbids_is_refused() {
    for text in [
        "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>",
        "<!DOCTYPE html><p>",
        "<a><!-- --></a>",
        "<?x y?><a/>",
        "<a><?x y?></a>",
    ] {
        assert_eq!(Element::parse(text), Err(XmlError::Forbidden), "{text}");
    }
}

#[test]
fn excessive_depth_and_size_are_refused() {
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    assert!(Element::parse(&nested(MAX_DEPTH)).is_ok());
    for text in [
        nested(MAX_DEPTH + 1),
        nested(100_000),
        "<a>".repeat(100_000),
        format!("<a>{}</a>", "<b/>".repeat(MAX_NODES as usize)),
    ] {
        assert_eq!(Element::parse(&text), Err(XmlError::TooComplex));
    }
}

proptest! {
    #[test]
    fn text_and_attributes_survive_a_round_trip(
        value in "[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\u{fffe}\u{ffff}]*"
    ) {
        let element = Element::new("a", "n").with("b", &value).with_text(&value);
        let read = Element::parse(&element.to_string()).unwrap();
        prop_assert_eq!(read.attribute("b"), Some(value.as_str()));
        prop_assert_eq!(read.text(), value);
    }

    #[test]
    fn every_element_that_parses_is_written_as_one_that_parses(
        text in "[<>/&;='\"a:#x1 !?\\PC]{0,60}"
    ) {
        if let Ok(element) = Element::parse(&text) {
            let read = Element::parse(&element.to_string());
            prop_assert_eq!(read, Ok(element));
        }
    }

    #[test]
    fn attributes_of_namespaces_are_written_so_that_they_parse(
        namespaces in proptest::collection::vec("[a-c]", 1..4)
    ) {
        let attributes: Vec<String> = namespaces
            .iter()
            .enumerate()
            .map(|(index, uri)| format!("xmlns:ns{index}='{uri}' ns{index}:v{index}='1'"))
            .collect();
        let attributes = attributes.join(" ");
        let element = Element::parse(&format!("<a {attributes}/>")).unwrap();
        prop_assert_eq!(Element::parse(&element.to_string()), Ok(element));
    }
}
