use proptest::prelude::*;

use super::*;

#[test]
fn what_is_read_is_written_back() {
    let text = "<presence to='r@muc.x/n' xmlns='jabber:client'><x xmlns='u:muc'/>\
                <nick xmlns=\"u:nick\">Z &amp; &#x1f389;&#65;</nick></presence>";
    let element = Element::parse(text).unwrap();
    assert!(element.is("presence", "jabber:client"));
    assert_eq!(element.attribute("to"), Some("r@muc.x/n"));
    assert!(element.child("x", "u:muc").is_some());
    assert_eq!(
        element.to_string(),
        "<presence xmlns='jabber:client' to='r@muc.x/n'><x xmlns='u:muc'/>\
         <nick xmlns='u:nick'>Z &amp; \u{1f389}A</nick></presence>"
    );
}

#[test]
fn namespaces_are_inherited() {
    let element = Element::parse("<body xmlns='b'><iq><bind xmlns='c'/></iq></body>").unwrap();
    assert!(
        element
            .child("iq", "b")
            .unwrap()
            .child("bind", "c")
            .is_some()
    );
    // Prefixed names stay as they are.
    let element = Element::parse("<body xmlns='b' xmpp:restart='true' xmlns:xmpp='x'/>");
    assert_eq!(element.unwrap().attribute("xmpp:restart"), Some("true"));
}

#[test]
fn broken_forbidden_and_excessive_xml_is_refused() {
    for text in [
        "",
        "x",
        "<",
        "<a",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "<a b/>",
        "<a b=c/>",
        "<a b='1'c='2'/>",
        "<a b='1' b='2'/>",
        "<a b='<'/>",
        "<a>&nbsp;</a>",
        "<a>&#0;</a>",
        "<a>&#xd800;</a>",
        "<a>\u{1}</a>",
        "< a/>",
        "<1/>",
    ] {
        assert_eq!(Element::parse(text), Err(XmlError::Malformed), "{text}");
    }
    for text in [
        "<?xml version='1.0'?><a/>",
        "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>",
        "<a><!-- --></a>",
        "<a><![CDATA[x]]></a>",
    ] {
        assert_eq!(Element::parse(text), Err(XmlError::Forbidden), "{text}");
    }
    let deep = "<a>".repeat(100_000);
    assert_eq!(Element::parse(&deep), Err(XmlError::TooComplex));
    let many = format!("<a>{}</a>", "<b/>".repeat(MAX_ELEMENTS));
    assert_eq!(Element::parse(&many), Err(XmlError::TooComplex));
}

proptest! {
    #[test]
    fn any_text_comes_through(value in "[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\u{fffe}\u{ffff}]*") {
        let element = Element::new("a", "n").with("b", &value).saying(&value);
        let read = Element::parse(&element.to_string()).unwrap();
        prop_assert_eq!(read.attribute("b"), Some(value.as_str()));
    }

    #[test]
    fn nothing_makes_the_reader_panic(text in "[<>/&;='\"a:#x1 !?\\PC]{0,60}") {
        let _ = Element::parse(&text);
    }
}
