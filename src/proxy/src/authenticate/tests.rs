use std::time::Duration;

use cluster::revocation::Selector;
use http::{HeaderMap, HeaderValue, header};
use model::{
    identity::Standing,
    session::{Principal, Visitor},
};

use super::*;
use crate::testing::{Deployment, ORIGIN, embedded, invited, key, no_integrations};

/// What a visitor is, as a word.
fn kind(visitor: &Visitor) -> &'static str {
    match visitor.principal().map(|principal| &**principal) {
        None => "anonymous",
        Some(Principal::Member(_)) => "member",
        Some(Principal::Pass(_)) => "pass",
        Some(Principal::MemberWithPass { .. }) => "member with pass",
    }
}

#[test]
fn cookies_and_rooms_make_visitors() {
    let deployment = Deployment::new();
    let member = deployment.session("ann");
    let guest = deployment.pass("x", Standing::Guest);
    let link = deployment.pass("x", invited("l1"));
    let of_member = member.pass_to(&key("x"), deployment.clock.now().after(HOUR));
    let unconfigured = deployment.pass("x", embedded("shop"));
    for (session, pass, room, expected) in [
        (None, None, "x", "anonymous"),
        (Some(&member), None, "x", "member"),
        (Some(&member), None, "acme/y", "member"),
        (None, Some(&guest), "x", "pass"),
        (None, Some(&guest), "y", "anonymous"),
        (None, Some(&guest), "acme/x", "anonymous"),
        (None, Some(&link), "x", "pass"),
        (None, Some(&of_member), "x", "pass"),
        (None, Some(&of_member), "y", "anonymous"),
        // A name that a guest chose adds nothing to an account.
        (Some(&member), Some(&guest), "x", "member"),
        (Some(&member), Some(&of_member), "x", "member"),
        (Some(&member), Some(&link), "x", "member with pass"),
        (Some(&member), Some(&link), "y", "member"),
        // Passes of an integration that is no longer configured are invalid.
        (None, Some(&unconfigured), "x", "anonymous"),
        (Some(&member), Some(&unconfigured), "x", "member"),
    ] {
        let headers = deployment.cookies(session, pass);
        let visitor = deployment.authenticator.visitor(
            &OpenedSessions::default(),
            &headers,
            &key(room),
            &no_integrations(),
        );
        assert_eq!(kind(&visitor), expected, "{session:?} {pass:?} {room}");
    }
}

#[test]
fn each_credential_of_a_member_with_a_link_can_be_revoked() {
    let revoke: [(Selector, &str); 4] = [
        (
            Selector::ProviderSession {
                sid: "op-ann".to_owned(),
                subject: None,
            },
            "pass",
        ),
        (Selector::ProviderSubject("ann".to_owned()), "pass"),
        (Selector::Operator("ann".to_owned()), "pass"),
        (Selector::Link("l1".to_owned()), "member"),
    ];
    for (selector, expected) in revoke {
        let deployment = Deployment::new();
        let (member, link) = (
            deployment.session("ann"),
            deployment.pass("x", invited("l1")),
        );
        let headers = deployment.cookies(Some(&member), Some(&link));
        let authenticator = &deployment.authenticator;
        let opened = OpenedSessions::default();
        let earlier = authenticator.visitor(&opened, &headers, &key("x"), &no_integrations());
        let earlier = earlier.principal().unwrap();
        assert!(authenticator.is_valid(earlier, &no_integrations()));
        drop(authenticator.revocations.revoke(selector.clone()));
        assert!(
            !authenticator.is_valid(earlier, &no_integrations()),
            "{selector:?}"
        );
        let now = authenticator.visitor(&opened, &headers, &key("x"), &no_integrations());
        assert_eq!(kind(&now), expected, "{selector:?}");
    }
}

#[test]
fn the_pass_itself_can_be_revoked_too() {
    let deployment = Deployment::new();
    let (member, link) = (
        deployment.session("ann"),
        deployment.pass("x", invited("l1")),
    );
    let authenticator = &deployment.authenticator;
    let principal = Principal::combine(member, link.clone());
    let selector = Selector::Session(link.credential().into());
    drop(authenticator.revocations.revoke(selector));
    assert!(!authenticator.is_valid(&principal, &no_integrations()));
}

#[test]
fn a_member_with_a_link_is_renewed_like_any_member() {
    let deployment = Deployment::new();
    let member = deployment.session("ann");
    let pass = deployment.pass("x", invited("l1"));
    let principal = Principal::combine(member.clone(), pass.clone());
    deployment.hand.advance(HOUR / 12);
    let sessions = &deployment.authenticator.sessions;
    assert_eq!(principal.renewable(), Some(&member));
    assert!(sessions.renew(principal.renewable().unwrap()).is_some());
    assert_eq!(Principal::Pass(pass).renewable(), None);
}

#[test]
fn what_ends_first_ends_a_member_with_a_link() {
    let deployment = Deployment::new();
    let (member, pass) = (
        deployment.session("ann"),
        deployment.pass("x", invited("l1")),
    );
    let sessions = &deployment.authenticator.sessions;
    let combined = Principal::combine(member.clone(), pass.clone());
    assert_eq!(sessions.latest_end(&combined), pass.ends());
    let member = Principal::Member(member);
    assert_eq!(
        sessions.latest_end(&member),
        deployment.clock.now().after(HOUR * 24)
    );
}

#[test]
fn signalling_takes_cookies_from_pages_of_this_site_only() {
    let deployment = Deployment::new();
    let member = deployment.session("ann");
    let visitor = |origin: Option<&str>| {
        let mut headers: HeaderMap = deployment.cookies(Some(&member), None);
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        let visitor = deployment.authenticator.signalling_visitor(
            &OpenedSessions::default(),
            &headers,
            &key("x"),
            &no_integrations(),
        );
        visitor.map(|visitor| kind(&visitor))
    };
    assert_eq!(visitor(Some(ORIGIN)), Ok("member"));
    assert_eq!(visitor(Some("https://evil.example")), Err(ForeignOrigin));
    assert_eq!(visitor(Some("null")), Err(ForeignOrigin));
    assert_eq!(visitor(None), Ok("anonymous"), "an app");
}

#[test]
fn sessions_end_when_they_idle_and_when_they_are_revoked() {
    let deployment = Deployment::new();
    let opened = OpenedSessions::default();
    let authenticator = &deployment.authenticator;
    let is_member = |headers: &HeaderMap| {
        let visitor = authenticator.visitor(&opened, headers, &key("x"), &no_integrations());
        assert_eq!(
            visitor.principal().is_some(),
            authenticator.session(headers).is_some()
        );
        visitor.principal().is_some()
    };
    let member = deployment.session("ann");
    let headers = deployment.cookies(Some(&member), None);
    assert!(is_member(&headers) && is_member(&headers));
    deployment.hand.advance(HOUR / 4);
    assert!(!is_member(&headers), "idle");
    let member = deployment.session("ann");
    let headers = deployment.cookies(Some(&member), None);
    assert!(is_member(&headers));
    let selector = Selector::Session(member.credential().into());
    drop(authenticator.revocations.revoke(selector));
    assert!(!is_member(&headers), "revoked");
}

#[test]
fn a_cookie_is_opened_once_and_only_as_it_was_sealed() {
    let deployment = Deployment::new();
    let opened = OpenedSessions::default();
    let sessions = &deployment.authenticator.sessions;
    let sealed = sessions.seal(&deployment.session("ann")).unwrap();
    let first = opened.open(sessions, &sealed).unwrap();
    assert!(Rc::ptr_eq(&first, &opened.open(sessions, &sealed).unwrap()));
    assert!(opened.open(sessions, &sealed[1..]).is_none());
    let other = sessions.seal(&deployment.session("bob")).unwrap();
    let other = opened.open(sessions, &other).unwrap();
    assert_eq!(other.identity().subject, "bob");
    assert!(!format!("{opened:?}").contains(&sealed[..9]));
}

const HOUR: Duration = Duration::from_hours(1);

/// A client in a meeting sends the cookie of its sign-in for hours.
#[test]
fn a_session_that_was_opened_before_has_the_identity_that_the_provider_confirmed_last() {
    let deployment = Deployment::new();
    let opened = OpenedSessions::default();
    let session = deployment.session("ann").refreshable();
    let headers = deployment.cookies(Some(&session), None);
    let groups = || {
        let authenticator = &deployment.authenticator;
        let visitor = authenticator.visitor(&opened, &headers, &key("x"), &no_integrations());
        visitor.principal().unwrap().identity().groups.clone()
    };
    let before = groups();
    let mut identity = session.identity().clone();
    identity.groups = vec!["board".to_owned()];
    assert_ne!(before, identity.groups);
    let at = deployment.clock.now().after(Duration::from_secs(1));
    let revalidations = &deployment.authenticator.revalidations;
    revalidations.confirm(&session, identity, at);
    assert_eq!(groups(), ["board"]);
}

#[test]
fn signing_the_same_passes_out_again_revokes_nothing_more() {
    let deployment = Deployment::new();
    let pass = deployment.pass("x", Standing::Guest);
    let headers = deployment.cookies(None, Some(&pass));
    let authenticator = &deployment.authenticator;
    let mut revoked = authenticator.revocations.watch();
    for expected in [true, false, false] {
        let (receipts, _, deletions) = authenticator.revoke_passes(RequestCookies::new(&headers));
        assert_eq!(deletions.len(), 1);
        assert_eq!(receipts.len(), usize::from(expected));
        assert_eq!(revoked.has_changed().unwrap(), expected);
        revoked.mark_unchanged();
        // A revocation has the precision of a second.
        deployment.hand.advance(Duration::from_secs(1));
    }
}
