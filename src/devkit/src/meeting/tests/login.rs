//! Logins and their refusals.

use super::*;

#[tokio::test]
async fn bad_tokens_are_refused_with_prosodys_reasons() {
    let setup = start().await;
    let good = token("team", "Max", false);
    let failure = |condition: &str, text: &str| {
        format!(
            "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><{condition}/><text>{text}</text></failure>"
        )
    };
    let in_query = format!("room=team&token={good}");
    for (query, bearer, expected) in [
        (
            "",
            Some(good.as_str()),
            "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>".to_owned(),
        ),
        (
            &in_query,
            Some("bad"),
            "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>".to_owned(),
        ),
        ("room=team", None, failure("not-allowed", "token required")),
        (
            "token=",
            Some(&good),
            failure("not-allowed", "Invalid token"),
        ),
        (
            "%74oken=x",
            Some(&good),
            failure("not-allowed", "Invalid token"),
        ),
        ("", Some("x"), failure("not-allowed", "Invalid token")),
    ] {
        let (_, answer) = setup.log_in(query, bearer).await;
        assert_eq!(answer.to_string(), expected, "{query}");
    }
    setup
        .clock_control
        .advance(std::time::Duration::from_secs(181));
    let (_, answer) = setup.log_in("", Some(&good)).await;
    let text = "Not acceptable by exp (61.0 sec since expired)";
    assert_eq!(answer.to_string(), failure("not-allowed", text));
}

#[tokio::test]
async fn stanzas_before_the_login_end_the_stream() {
    let setup = start().await;
    let mut client = setup.connect("", None).await.unwrap();
    client
        .send_text("<presence xmlns='jabber:client' to='team@muc.meet.test/x'/>")
        .await;
    let error = client.next().await;
    assert_eq!(error.name(), "error");
    assert_eq!(client.next().await.name(), "close");
    let mut client = setup.connect("", None).await.unwrap();
    client.send_text("<!DOCTYPE x>").await;
    assert!(client.next().await.to_string().contains("not-well-formed"));
}
