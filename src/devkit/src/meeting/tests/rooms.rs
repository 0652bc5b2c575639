//! Rooms and their occupants.

use super::*;

#[tokio::test]
async fn occupants_see_roles_and_names_of_the_tokens() {
    let setup = start().await;
    let mut host = setup
        .join(&token("team", "Hanna", true), "team", "h1")
        .await;
    assert_eq!(seen(&host.next().await), seen_self("h1", "Hanna", "owner"));
    let mut max = setup.join(&token("team", "Max", false), "team", "m1").await;
    assert_eq!(seen(&max.next().await), seen_as("h1", "Hanna", "owner"));
    assert_eq!(seen(&max.next().await), seen_self("m1", "Max", "member"));
    let presence = host.next().await;
    assert_eq!(seen(&presence), seen_as("m1", "Max", "member"));
    assert!(!presence.to_string().contains("forged"));
    assert!(presence.to_string().contains("self-chosen"));

    max.send_text(
        "<message xmlns='jabber:client' type='groupchat' to='team@muc.meet.test'>\
              <body>&lt;b&gt;hi</body></message>",
    )
    .await;
    for client in [&mut host, &mut max] {
        let message = client.next().await;
        assert_eq!(
            message.attribute("from"),
            Some("team@muc.meet.test/m1"),
            "{message}"
        );
        assert!(message.to_string().contains("&lt;b&gt;hi"), "{message}");
    }

    drop(max);
    let gone = host.next().await;
    assert_eq!(gone.attribute("type"), Some("unavailable"));
    assert_eq!(gone.attribute("from"), Some("team@muc.meet.test/m1"));
}

#[tokio::test]
async fn a_token_for_another_room_is_refused() {
    let setup = start().await;
    let mut client = setup
        .join(&token("room1", "Max", false), "room2", "m1")
        .await;
    let refused = client.next().await.to_string();
    assert!(
        refused.contains(
            "<error type='cancel'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
             <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>Room does not match the room from token\
             </text><room-mismatch xmlns='http://jitsi.org/jitmeet'/></error>"
        ),
        "{refused}"
    );
    let mut client = setup
        .join(&token("room1", "Max", false), "room1", "bad.nick")
        .await;
    assert_eq!(client.next().await.attribute("type"), Some("error"));
    client
        .send_text(
            "<message xmlns='jabber:client' type='groupchat' to='room1@muc.meet.test'><body>x</body></message>",
        )
        .await;
    assert_eq!(client.next().await.attribute("type"), Some("error"));
}
