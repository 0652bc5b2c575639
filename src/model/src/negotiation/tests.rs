use super::*;
use crate::{
    room::RoomKey,
    seal::{Keyring, Purpose},
};

fn negotiation() -> StreamNegotiation {
    StreamNegotiation::new(StreamPolicy::anonymous("Meet.jitsi")).resumable_by(binding("ann"))
}

fn binding(owner: &str) -> ResumptionBinding {
    let ids = ResumptionIds::new(Keyring::single([9; 32]).tagger(Purpose::Resumption));
    let room = RoomKey::from_text("room-a").unwrap();
    ResumptionBinding::new(Arc::new(ids), owner.to_owned(), &room)
}

/// The negotiation of a client that has authenticated and opened its stream again.
fn authenticated(mut stream: StreamNegotiation, domain: &str) -> StreamNegotiation {
    for message in [&open(domain), &auth("ANONYMOUS")] {
        assert_eq!(stream.client_sent(message.as_bytes()), Ok(None));
    }
    assert_eq!(stream.server_sent(b"<success xmlns="), Ok(None));
    assert_eq!(stream.client_sent(open(domain).as_bytes()), Ok(None));
    assert!(!stream.is_over());
    stream
}

const BOUND: &str = "<iq xmlns='jabber:client' type='result' id='1'>\
    <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>a@meet.jitsi/b</jid></bind></iq>";

fn recorder() -> StreamPolicy {
    StreamPolicy::Recorder {
        domains: Arc::new(["hidden.jitsi".to_owned()]),
    }
}

fn guest() -> StreamPolicy {
    let room = RoomKey::from_text("open-x").unwrap();
    StreamPolicy::tokenless("guest.meet.jitsi", RoomScope::new(&room, "meet.jitsi"))
}

fn open(to: &str) -> String {
    format!("<open xmlns='{FRAMING}' to='{to}' version='1.0'/>")
}

fn auth(mechanism: &str) -> String {
    format!("<auth xmlns='{SASL}' mechanism='{mechanism}'/>")
}

#[test]
fn lib_jitsi_meets_negotiation_passes() {
    let mut stream = authenticated(negotiation(), "MEET.jitsi");
    let bind = "<iq xmlns='jabber:client' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
    assert_eq!(stream.client_sent(bind.as_bytes()), Ok(None));
    assert_eq!(stream.server_sent(BOUND.as_bytes()), Ok(None));
    assert!(stream.is_over() && !stream.is_settled());
    assert_eq!(stream.client_sent(b"\xff"), Ok(None), "no longer checked");
}

#[test]
fn the_client_resumes_its_own_streams_by_ids_that_are_bound() {
    let enabled = "<enabled max='60' xmlns='urn:xmpp:sm:3' id='xR4-_9' resume='true'/>";
    let mut stream = authenticated(negotiation(), "meet.jitsi");
    stream.server_sent(BOUND.as_bytes()).unwrap();
    assert!(stream.awaits(b"<enabled") && !stream.awaits(b"<message"));
    let answer = stream.server_sent(enabled.as_bytes()).unwrap().unwrap();
    let bound = binding("ann").bind("xR4-_9");
    let expected = format!("<enabled xmlns='urn:xmpp:sm:3' id='{bound}' resume='true' max='60'/>");
    assert_eq!(answer, expected);
    assert!(stream.is_settled() && !stream.awaits(b"<enabled"));
    assert_eq!(stream.resumable().unwrap().id, "xR4-_9");

    for (owner, previd, expected) in [
        ("ann", &*bound, "xR4-_9"),
        ("ben", &*bound, "unknown"),
        ("ann", "xR4-_9", "unknown"),
        ("ann", "", "unknown"),
    ] {
        let policy = StreamPolicy::anonymous("meet.jitsi");
        let stream = StreamNegotiation::new(policy).resumable_by(binding(owner));
        let mut stream = authenticated(stream, "meet.jitsi");
        // Something else before, and a prefix, make no difference.
        assert_eq!(stream.client_sent(b"<r xmlns='urn:xmpp:sm:3'/>"), Ok(None));
        let resume = format!("<s:resume xmlns:s='urn:xmpp:sm:3' previd='{previd}' h='7' to='x'/>");
        let forwarded = stream.client_sent(resume.as_bytes()).unwrap().unwrap();
        let expected = format!("<resume xmlns='urn:xmpp:sm:3' h='7' previd='{expected}'/>");
        assert_eq!(forwarded, expected, "{owner} {previd}");
    }
}

#[test]
fn a_resumed_stream_keeps_its_bound_id_and_its_count() {
    let mut stream = authenticated(negotiation(), "meet.jitsi");
    let bound = binding("ann").bind("xR4");
    let resume = format!("<resume xmlns='urn:xmpp:sm:3' previd='{bound}' h='7'/>");
    stream.client_sent(resume.as_bytes()).unwrap();
    let resumed = b"<resumed xmlns='urn:xmpp:sm:3' h='3' previd='xR4'/>";
    let answer = stream.server_sent(resumed).unwrap().unwrap();
    let expected = format!("<resumed xmlns='urn:xmpp:sm:3' h='3' previd='{bound}'/>");
    assert_eq!(answer, expected);
    assert!(stream.is_settled());
    let expected = ResumableStream {
        id: "xR4".to_owned(),
        domain: "meet.jitsi".to_owned(),
        handled: 7,
    };
    assert_eq!(stream.resumable(), Some(&expected));
}

#[test]
fn a_stream_without_resumption_is_settled_by_its_count() {
    let mut stream = authenticated(negotiation(), "meet.jitsi");
    stream.server_sent(BOUND.as_bytes()).unwrap();
    let enabled = b"<enabled xmlns='urn:xmpp:sm:3'/>";
    assert_eq!(stream.server_sent(enabled), Ok(None));
    assert!(stream.is_settled() && stream.resumable().is_none());
}

#[test]
fn what_another_domain_or_mechanism_is_meant_by_is_refused() {
    use NegotiationError as E;
    let opened = open("meet.jitsi");
    let cases = [
        (vec![], open("guest.meet.jitsi"), E::Domain),
        (vec![], open("auth.meet.jitsi"), E::Domain),
        (vec![], open("meet.jitsi."), E::Domain),
        (vec![], open("\u{ff4d}eet.jitsi"), E::Domain),
        (vec![], open("&#103;uest.meet.jitsi"), E::Domain),
        (vec![], format!("<open xmlns='{FRAMING}'/>"), E::Domain),
        // Prosody's parser takes a bare stream header, too.
        (
            vec![],
            "<stream:stream to='guest.meet.jitsi'>".to_owned(),
            E::Malformed,
        ),
        (
            vec![],
            format!("<a:open xmlns:a='{FRAMING}' to='guest.meet.jitsi'/>"),
            E::Domain,
        ),
        (
            vec![],
            format!("<open xmlns='{FRAMING}' to='meet.jitsi' to='guest.meet.jitsi'/>"),
            E::Malformed,
        ),
        (vec![], format!("<!-- -->{opened}"), E::Malformed),
        (
            vec![],
            format!("{opened}{}", open("guest.meet.jitsi")),
            E::Malformed,
        ),
        (vec![], auth("ANONYMOUS"), E::Unauthenticated),
        // Prosody would take this for a stanza, and go on.
        (
            vec![],
            opened.replace("framing", "framin&#103;"),
            E::Unauthenticated,
        ),
        (
            vec![&opened],
            format!("<auth xmlns='{SASL}' mechanism='ANONYMOUS' to='guest.meet.jitsi'/>"),
            E::Mechanism,
        ),
        (vec![&opened], auth("PLAIN"), E::Mechanism),
        (vec![&opened], auth("anonymous"), E::Mechanism),
        (
            vec![&opened],
            format!("<auth xmlns='{SASL}'/>"),
            E::Mechanism,
        ),
        (
            vec![&opened],
            format!("<response xmlns='{SASL}'>eA==</response>"),
            E::Mechanism,
        ),
        (vec![&opened], opened.clone(), E::Unauthenticated),
        (
            vec![&opened],
            "<iq xmlns='jabber:client' type='set'><query xmlns='jabber:iq:auth'/></iq>".to_owned(),
            E::Unauthenticated,
        ),
    ];
    for (before, message, expected) in cases {
        let mut stream = negotiation();
        for message in before {
            stream.client_sent(message.as_bytes()).unwrap();
        }
        let answer = stream.client_sent(message.as_bytes());
        assert_eq!(answer, Err(expected), "{message}");
    }
}

#[test]
fn the_domain_stays_the_same_after_authentication() {
    let mut stream = negotiation();
    stream.client_sent(open("meet.jitsi").as_bytes()).unwrap();
    stream.client_sent(auth("ANONYMOUS").as_bytes()).unwrap();
    let early = stream.client_sent(open("meet.jitsi").as_bytes());
    assert_eq!(early, Err(NegotiationError::Unauthenticated));
    stream.server_sent(b"<success").unwrap();
    let other = stream.client_sent(open("guest.meet.jitsi").as_bytes());
    assert_eq!(other, Err(NegotiationError::Domain));
}

#[test]
fn failed_authentications_are_bounded() {
    let mut stream = StreamNegotiation::new(recorder());
    stream.client_sent(open("hidden.jitsi").as_bytes()).unwrap();
    stream.client_sent(auth("PLAIN").as_bytes()).unwrap();
    for _ in 1..MAX_FAILURES {
        assert_eq!(stream.server_sent(b"<failure"), Ok(None));
    }
    let last = stream.server_sent(b"<failure");
    assert_eq!(last, Err(NegotiationError::TooManyFailures));
}

#[test]
fn visitor_nodes_have_domains_of_their_name() {
    let policy = StreamPolicy::VisitorNode {
        node: "v1".to_owned(),
    };
    for (to, allowed) in [
        ("v1.meet.jitsi", true),
        ("V1.meet.jitsi", true),
        ("v10.meet.jitsi", false),
        ("meet.jitsi", false),
        ("v1", false),
    ] {
        assert_eq!(policy.check_domain(Some(to)).is_ok(), allowed, "{to}");
    }
    assert!(policy.check_domain(None).is_err());
}

#[test]
fn bosh_bodies_are_checked_for_sasl_however_it_is_written() {
    let policy = StreamPolicy::anonymous("meet.jitsi");
    let body = |inside: &str| format!("<body xmlns='x' rid='1' sid='a'>{inside}</body>");
    let references = SASL.replace('l', "&#108;").replace("-s", "&#45;s");
    let cases = [
        (String::new(), Ok(())),
        ("<message>&amp; so</message>".to_owned(), Ok(())),
        (auth("ANONYMOUS"), Ok(())),
        (auth("PLAIN"), Err(NegotiationError::Mechanism)),
        (
            format!("<a:auth xmlns:a='{SASL}' mechanism='PLAIN'/>"),
            Err(NegotiationError::Mechanism),
        ),
        (
            format!("<auth xmlns='{references}' mechanism='PLAIN'/>"),
            Err(NegotiationError::Mechanism),
        ),
        (
            format!("{}<message/>{}", auth("ANONYMOUS"), auth("PLAIN")),
            Err(NegotiationError::Mechanism),
        ),
        (
            "<iq to='auth.meet.jitsi'><query xmlns='jabber:iq:auth'/></iq>".to_owned(),
            Err(NegotiationError::Mechanism),
        ),
        (
            "<enable xmlns='urn:xmpp:sm:3' resume='true'/>".to_owned(),
            Err(NegotiationError::StreamManagement),
        ),
        (
            "<enable xmlns='urn:xmpp:s&#109;:3' resume='true'/>".to_owned(),
            Err(NegotiationError::StreamManagement),
        ),
        (
            "<message><body>urn:xmpp:sm:3 jabber:iq:auth</body></message>".to_owned(),
            Ok(()),
        ),
        ("<auth -sasl".to_owned(), Err(NegotiationError::Malformed)),
    ];
    for (inside, expected) in cases {
        let body = body(&inside);
        assert_eq!(policy.check_body(body.as_bytes()), expected, "{body}");
        assert_eq!(recorder().check_body(body.as_bytes()), Ok(()));
    }
}

#[test]
fn recorders_log_in_at_their_domains_only() {
    for (to, allowed) in [
        ("hidden.jitsi", true),
        ("HIDDEN.jitsi", true),
        ("auth.meet.jitsi", false),
        ("meet.jitsi", false),
        ("", false),
    ] {
        assert_eq!(recorder().check_domain(Some(to)).is_ok(), allowed, "{to}");
    }
}

#[test]
fn a_client_without_a_token_stays_in_its_room_over_a_web_socket() {
    let mut stream = authenticated(StreamNegotiation::new(guest()), "guest.meet.jitsi");
    let early = stream.client_sent(b"<presence to='board@muc.meet.jitsi/a'/>");
    assert_eq!(early, Err(NegotiationError::Room));
    stream.server_sent(BOUND.as_bytes()).unwrap();
    assert!(stream.is_over() && stream.is_checked());
    for (message, expected) in [
        ("<presence to='open-x@muc.meet.jitsi/a'/>", Ok(())),
        ("<r xmlns='urn:xmpp:sm:3'/>", Ok(())),
        (
            "<message to='open-x@muc.meet.jitsi'>&amp;</message>",
            Ok(()),
        ),
        (
            "<presence to='board@muc.meet.jitsi/a'/>",
            Err(NegotiationError::Room),
        ),
        (
            "<presence to='&#98;oard@muc.meet.jitsi/a'/>",
            Err(NegotiationError::Room),
        ),
        (
            "<r/><presence to='board@muc.meet.jitsi/a'/>",
            Err(NegotiationError::Malformed),
        ),
    ] {
        let sent = stream.client_sent(message.as_bytes());
        assert_eq!(sent.map(|_| ()), expected, "{message}");
    }
}

#[test]
fn a_client_without_a_token_stays_in_its_room_over_bosh() {
    for (inside, expected) in [
        ("", Ok(())),
        ("<presence to='open-x@muc.meet.jitsi/a'/>", Ok(())),
        (
            "<message/><presence to='board@muc.meet.jitsi/a'/>",
            Err(NegotiationError::Room),
        ),
        (
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>",
            Err(NegotiationError::Mechanism),
        ),
    ] {
        let body = format!("<body xmlns='x' rid='1' sid='a'>{inside}</body>");
        assert_eq!(guest().check_body(body.as_bytes()), expected, "{body}");
    }
}

#[test]
fn a_client_that_may_only_resume_begins_no_stream() {
    let resume = "<resume xmlns='urn:xmpp:sm:3' previd='a' h='0'/>";
    let bind = "<iq xmlns='jabber:client' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
    let enable = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";
    // What the client sends after its authentication, what Prosody answers, and what may follow.
    let cases = [
        (bind, "", Err(NegotiationError::Resumption)),
        (enable, "", Err(NegotiationError::Resumption)),
        (
            resume,
            "<resumed xmlns='urn:xmpp:sm:3' previd='a'/>",
            Ok(()),
        ),
        (resume, "<failed ", Err(NegotiationError::Resumption)),
        (resume, "", Err(NegotiationError::Resumption)),
    ];
    for (first, answer, expected) in cases {
        let mut stream = authenticated(negotiation().resumption_only(), "meet.jitsi");
        let outcome = stream.client_sent(first.as_bytes()).and_then(|_| {
            stream.server_sent(answer.as_bytes())?;
            stream.client_sent(bind.as_bytes())
        });
        assert_eq!(outcome.map(|_| ()), expected, "{first} {answer}");
    }
}
