use proptest::prelude::*;

use super::*;

/// Raw path segment → node, as Jitsi's client computes it.
const SPELLINGS: &[(&str, &str)] = &[
    ("TeamCall", "teamcall"),
    ("teamcall", "teamcall"),
    ("TEAMCALL", "teamcall"),
    ("Team%20Call", "team%20call"),
    ("team%20call", "team%20call"),
    ("Team%2520Call", "team%20call"),
    ("Team+Call", "teamcall"),
    ("Team%2BCall", "team%2bcall"),
    ("Caf%C3%A9", "caf%c3%a9"),
    ("caf%c3%a9", "caf%c3%a9"),
    ("CAF%C3%89", "caf%c3%a9"),
    ("Cafe%CC%81", "caf%c3%a9"),
    ("caf%25c3%25a9", "caf%c3%a9"),
    ("Caf%25C3%25A9", "caf%c3%a9"),
    (
        "%D0%9F%D0%BB%D0%B0%D0%BD%D0%B5%D1%80%D0%BA%D0%B0",
        "%d0%bf%d0%bb%d0%b0%d0%bd%d0%b5%d1%80%d0%ba%d0%b0",
    ),
    (
        "%d0%bf%d0%bb%d0%b0%d0%bd%d0%b5%d1%80%d0%ba%d0%b0",
        "%d0%bf%d0%bb%d0%b0%d0%bd%d0%b5%d1%80%d0%ba%d0%b0",
    ),
    (
        "%D0%9F%D0%9B%D0%90%D0%9D%D0%95%D0%A0%D0%9A%D0%90",
        "%d0%bf%d0%bb%d0%b0%d0%bd%d0%b5%d1%80%d0%ba%d0%b0",
    ),
    ("%E4%BC%9A%E8%AD%B0", "%e4%bc%9a%e8%ad%b0"),
    ("%EF%BC%A1%EF%BC%A2", "ab"),
    ("%EF%AC%81sh", "fish"),
    ("%C3%84rger", "%c3%a4rger"),
    ("STRA%C3%9FE", "stra%c3%9fe"),
    (
        "%CE%A3%CE%9F%CE%A6%CE%9F%CE%A3",
        "%cf%83%ce%bf%cf%86%ce%bf%cf%82",
    ),
    ("%F0%9F%8E%89Party", "%f0%9f%8e%89party"),
    ("a-b_c.d~e", "a-b_c.d~e"),
    ("%61%62c", "abc"),
    ("room:1", "room1"),
    ("room%3A1", "room%3a1"),
    ("what%3F", "what%3f"),
    ("50%25off", "50%25off"),
    ("100%25", "100%25"),
    ("(private)", "private"),
    ("%28private%29", "(private)"),
    ("a!b", "ab"),
    ("a%21b", "a!b"),
    ("a*b", "ab"),
    ("a%2Ab", "a*b"),
    ("a&b=c", "abc"),
    ("a%26b%3Dc", "a%26b%3dc"),
    ("a@b", "ab"),
    ("a%40b", "a%40b"),
    ("a%C2%A0b", "a%20b"),
    ("%E2%91%A0", "1"),
    ("Q&A", "qa"),
    ("x%22y", "x%22y"),
    ("%3Cscript%3E", "%3cscript%3e"),
];

#[test]
fn every_spelling_of_a_page_gives_the_node_that_the_client_computes() {
    assert!(SPELLINGS.len() >= 40);
    for (spelling, expected) in SPELLINGS {
        let room = RoomKey::from_page(None, spelling).unwrap();
        assert_eq!(room.key.node(), *expected, "{spelling}");
    }
}

#[test]
fn query_values_of_old_and_new_clients_give_the_key_of_the_page() {
    for (spelling, expected) in SPELLINGS {
        let key = RoomKey::from_page(None, spelling).unwrap().key;
        // New clients send the decoded name, old ones the node; both form-encoded once more.
        assert_eq!(
            RoomKey::from_query(None, &key.readable()).unwrap(),
            key,
            "{spelling}"
        );
        assert_eq!(
            RoomKey::from_query(None, expected).unwrap(),
            key,
            "{spelling}"
        );
    }
}

#[test]
fn a_doubly_encoded_page_gets_a_spelling_that_is_encoded_once() {
    let room = RoomKey::from_page(Some("Acme"), "Caf%25C3%25A9%2520X").unwrap();
    assert_eq!(room.respelled.as_deref(), Some("/acme/Caf%C3%A9%20X"));
    assert_eq!(
        RoomKey::from_page(Some("acme"), "Caf%C3%A9%20X")
            .unwrap()
            .respelled,
        None
    );
}

/// The lower case of `İ` is two characters, whose order with another mark NFKC changes: the client reads
/// one node from the page and the gateway another from that node, unless the page has the latter.
#[test]
fn a_name_that_nfkc_changes_again_gets_a_spelling_that_it_does_not() {
    let page = RoomKey::from_page(None, "%C4%B0%D9%8C").unwrap();
    assert_eq!(page.key.node(), "i%d9%8c%cc%87");
    assert_eq!(page.respelled.as_deref(), Some("/i%D9%8C%CC%87"));
    let respelled = RoomKey::from_page(None, "i%D9%8C%CC%87").unwrap();
    assert_eq!(
        (respelled.key, respelled.respelled),
        (page.key.clone(), None)
    );
    for of_client in ["i%cc%87%d9%8c", "i%d9%8c%cc%87"] {
        assert_eq!(RoomKey::from_query(None, of_client).unwrap(), page.key);
    }
    assert_eq!(RoomKey::from_text("İ\u{64c}").unwrap(), page.key);
    // Alone it is one node.
    let alone = RoomKey::from_page(None, "%C4%B0stanbul").unwrap();
    assert_eq!(
        (alone.key.node(), alone.respelled),
        ("i%cc%87stanbul", None)
    );
}

#[test]
fn names_that_no_room_can_have_are_refused() {
    let refused = |segment: &str| RoomKey::from_page(None, segment).unwrap_err();
    assert_eq!(refused(""), RoomError::Empty);
    assert_eq!(refused("%20"), RoomError::Empty);
    assert_eq!(refused("()"), RoomError::Empty);
    assert_eq!(refused("a%ZZ"), RoomError::Encoding);
    assert_eq!(refused("a%E9"), RoomError::Encoding);
    assert_eq!(refused("a%00"), RoomError::Character('\0'));
    assert_eq!(refused("a%0D%0Ab"), RoomError::Character('\r'));
    assert_eq!(refused("a%2Fb"), RoomError::Character('/'));
    assert_eq!(refused("a%252Fb"), RoomError::Character('/'));
    assert_eq!(refused("%27"), RoomError::Empty);
    assert_eq!(refused("__jicofo-health-check1"), RoomError::Reserved);
    // Prosody and 8x8 take a token for `*` as a token for every room.
    assert_eq!(refused("%2A"), RoomError::Reserved);
    assert_eq!(refused("%252A"), RoomError::Reserved);
    assert_eq!(refused("%EF%BC%8A"), RoomError::Reserved);
    let tenant = Tenant::parse("acme").unwrap();
    let in_query = RoomKey::from_query(Some(tenant), "*");
    assert_eq!(in_query, Err(RoomError::Reserved));
    assert!(RoomKey::try_from("*".to_owned()).is_err());
    for taken in [
        "metrics",
        "Index.HTML",
        "%EF%BD%8Detrics",
        "HTTP-Bind-2",
        "Config.JS",
    ] {
        assert_eq!(refused(taken), RoomError::Reserved, "{taken}");
    }
    // Prosody would look for such a room, and Jitsi's client never asks for one.
    let quoted = RoomKey::from_query(None, "o'hara");
    assert_eq!(quoted, Err(RoomError::Character('\'')));
}

#[test]
fn names_are_as_long_as_nodes_of_xmpp() {
    let tenant = "t".repeat(63);
    for (letter, fit, fit_with_tenant) in [
        ("x", 1023, 958),
        ("п", 170, 159),
        ("会", 113, 106),
        ("🎉", 85, 79),
        ("%EF%BC%A1", 1023, 958),
    ] {
        for (tenant, fit) in [(None, fit), (Some(&*tenant), fit_with_tenant)] {
            let longest = RoomKey::from_page(tenant, &letter.repeat(fit)).unwrap().key;
            assert!(longest.to_string().len() <= MAX_NODE_BYTES, "{letter}");
            let longer = RoomKey::from_page(tenant, &letter.repeat(fit + 1));
            assert_eq!(longer, Err(RoomError::TooLong), "{letter}");
        }
    }
}

#[test]
fn a_claim_names_the_room_encoded_or_plain() {
    for (page, claim, named) in [
        ("o'hara", "o'hara", true),
        ("o%27hara", "O'Hara", true),
        ("Team%20(A)!", "Team (A)!", true),
        ("Team%20%28A%29%21", "Team (A)!", true),
        ("Q%26A", "Q&A", true),
        ("Q&A", "Q&A", true),
        ("caf%C3%A9", "caf%c3%a9", true),
        ("caf%C3%A9", "cafe", false),
        ("team", "team/", false),
        ("team", "acme/team", false),
        ("a%26b", "ab", false),
    ] {
        let room = RoomKey::from_page(None, page).unwrap().key;
        assert_eq!(room.is_named_by(claim) == Ok(true), named, "{page} {claim}");
    }
}

#[test]
fn only_canonical_keys_deserialize_and_each_has_a_page() {
    for text in [
        "x",
        "acme/x",
        "caf%c3%a9",
        "a%20b",
        "100%25",
        "(private)",
        "a!*b",
    ] {
        let json = serde_json::to_string(text).unwrap();
        let room: RoomKey = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&room).unwrap(), json);
        // The page of the key leads back to the key.
        let path = room.page_path();
        let (tenant, segment) = path[1..]
            .split_once('/')
            .map_or((None, &path[1..]), |(t, s)| (Some(t), s));
        let page = RoomKey::from_page(tenant, segment).unwrap();
        assert_eq!((page.key, page.respelled), (room, None), "{path}");
    }
    for text in [
        "",
        "X",
        "caf%C3%A9",
        "a b",
        "A.B/x",
        "a.b/x",
        "a/b/c",
        "caf%25c3%25a9",
    ] {
        let json = serde_json::to_string(text).unwrap();
        assert!(serde_json::from_str::<RoomKey>(&json).is_err(), "{text}");
    }
    let typed = RoomKey::from_text("  Team Ünit #1 ").unwrap();
    assert_eq!(typed.page_path(), "/team%20%C3%BCnit%201");
    assert_eq!(RoomKey::from_text("a.b/X").unwrap().to_string(), "a_b/x");
    assert_eq!(RoomKey::from_text("100%25").unwrap().node(), "100%25");
}

#[test]
fn a_page_that_jitsis_web_server_does_not_have_gets_a_spelling_that_it_has() {
    for (tenant, segment, respelled) in [
        (None, "te&st", Some("/test")),
        (None, "a:b", Some("/ab")),
        (None, "o'hara", Some("/ohara")),
        (None, "o%27hara", Some("/ohara")),
        (None, "d%2527%C3%A9t%C3%A9", Some("/d%C3%A9t%C3%A9")),
        (Some("acme"), "o%EF%BC%87hara", Some("/acme/ohara")),
        (Some("acme"), "R%26D&more", Some("/acme/R%26Dmore")),
        // Its locations match these.
        (None, "it(is)!", None),
        (None, "a+b", None),
    ] {
        let room = RoomKey::from_page(tenant, segment).unwrap();
        assert_eq!(room.respelled.as_deref(), respelled, "{segment}");
    }
}

proptest! {
    #[test]
    fn canonicalization_is_idempotent(name in "\\PC{1,40}") {
        let encoded = path_segment(&name);
        if let Ok(room) = RoomKey::from_page(None, &encoded) {
            prop_assert!(room.key.node().is_ascii());
            let readable = path_segment(&room.key.readable());
            prop_assert_eq!(RoomKey::from_page(None, &readable).unwrap().key, room.key);
        }
    }
}

#[test]
fn a_typed_name_that_loses_characters_has_a_shorter_one() {
    for (typed, shortened) in [
        ("Team Call", None),
        (" acme/Planning/ ", None),
        ("B%C3%BCro", None),
        ("a_b-c.d", None),
        ("x@y", Some("xy")),
        ("O'Hara", Some("OHara")),
        ("a/b/c", Some("b/c")),
        ("acme//x", Some("acme/x")),
        ("Tom's 100%25 day", Some("Toms 100% day")),
    ] {
        let room = RoomKey::from_text(typed).unwrap();
        assert_eq!(room.shortened(typed).as_deref(), shortened, "{typed}");
        if let Some(shortened) = shortened {
            assert_eq!(RoomKey::from_text(shortened).unwrap(), room, "{typed}");
            assert_eq!(room.shortened(shortened), None, "{typed}");
        }
    }
}

#[test]
fn a_typed_name_keeps_its_spelling_in_the_address() {
    for (typed, path) in [
        ("Open-Plausch", "/Open-Plausch"),
        (" Team Call ", "/Team%20Call"),
        ("BÜRO", "/B%C3%9CRO"),
        ("B%C3%BCro", "/B%C3%BCro"),
        ("Acme/Planning", "/acme/Planning"),
        ("acme/PLANNING", "/acme/PLANNING"),
        ("plain", "/plain"),
        // Compatibility characters are another spelling for Jitsi's page as well (NFKC).
        ("Ｗide", "/%EF%BC%B7ide"),
    ] {
        let room = RoomKey::from_text(typed).unwrap();
        assert_eq!(room.page_path_as(typed), path, "{typed}");
        let (tenant, segment) = match path[1..].split_once('/') {
            Some((tenant, segment)) => (Some(tenant), segment),
            None => (None, &path[1..]),
        };
        assert_eq!(RoomKey::from_page(tenant, segment).unwrap().key, room);
        assert_eq!(room.page_path_as("another"), room.page_path());
    }
}
