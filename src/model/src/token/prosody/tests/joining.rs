//! Joining rooms with accepted claims.

use super::*;

#[test]
fn joining_compares_the_room_claim_with_the_node() {
    let rules = rules();
    let joins = |claim: Value, node: &str, tenant: Option<&str>| {
        let claims = rules
            .verify(Some(&signed(&claims(|c| c["room"] = claim))), NOW)
            .unwrap();
        let domain = "meet.jitsi";
        rules.check_room(
            &claims,
            &MucRoom {
                node,
                tenant,
                domain,
            },
        )
    };
    assert_eq!(joins(json!("team"), "team", None), Ok(()));
    assert_eq!(joins(json!("TEAM"), "team", None), Ok(()));
    assert_eq!(joins(json!("*"), "team", None), Ok(()));
    assert_eq!(joins(json!("team"), "team", Some("acme")), Ok(()));
    assert_eq!(joins(json!("CAF%C3%A9"), "caf%c3%a9", None), Ok(()));
    let refused = RoomRefusal::RoomMismatch;
    assert_eq!(joins(json!("café"), "caf%c3%a9", None), Err(refused));
    assert_eq!(joins(json!("team"), "team2", None), Err(refused));
    assert_eq!(joins(json!(7), "7", None), Err(refused));
    assert_eq!(refused.marker(), Some("room-mismatch"));
}

#[test]
fn domain_verification_compares_the_subject_too() {
    let rules = ProsodyRules {
        domain_verification: true,
        ..rules()
    };
    let joins = |subject: &str, tenant: Option<&str>| {
        let token = signed(&claims(|c| c["sub"] = json!(subject)));
        let claims = rules.verify(Some(&token), NOW).unwrap();
        let room = MucRoom {
            node: "team",
            tenant,
            domain: "meet.jitsi",
        };
        rules.check_room(&claims, &room)
    };
    let refused = Err(RoomRefusal::RoomAndTokenMismatch);
    assert_eq!(joins("Meet.Jitsi", None), Ok(()));
    assert_eq!(joins("*", None), Ok(()));
    assert_eq!(joins("other", None), refused);
    assert_eq!(joins("acme", Some("acme")), Ok(()));
    assert_eq!(joins("meet.jitsi", Some("acme")), refused);
}

#[test]
fn affiliations_are_those_of_mod_token_affiliation() {
    let affiliation = |context: Value| {
        let token = signed(&claims(|c| c["context"] = context));
        rules().verify(Some(&token), NOW).unwrap().affiliation()
    };
    for owner in [
        json!({"user": {"moderator": true}}),
        json!({"user": {"moderator": "true"}}),
        json!({"user": {"affiliation": "teacher"}}),
    ] {
        assert_eq!(affiliation(owner.clone()), Affiliation::Owner, "{owner}");
    }
    for member in [
        json!({}),
        json!({"user": {"moderator": "True"}}),
        json!({"user": {"moderator": 1}}),
        json!({"user": {"affiliation": "member", "moderator": false}}),
    ] {
        assert_eq!(affiliation(member.clone()), Affiliation::Member, "{member}");
    }
}
