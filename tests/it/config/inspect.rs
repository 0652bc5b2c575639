//! `token inspect --config`: what the gateway would do with a token of another system.

use serde_json::json;

use super::{GOOD, Workplace, text};
use crate::support::signing_key::sign_with_secret;

#[test]
fn inspect_says_what_the_gateway_would_do_with_a_token_of_another_system() {
    let place = Workplace::new();
    let integration = r#"
[[integration]]
preset = "odoo-o-meet"
app_id = "odoo"
secret_file = "odoo.secret"
"#;
    place.private("gateway.toml", &format!("{GOOD}{integration}"));
    let secret = "the secret in the settings of O-Meet";
    place.private("odoo.secret", secret);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let token = |lifetime: u64, audience: &str| {
        let claims = json!({
            "iss": "odoo", "aud": audience, "exp": now + lifetime, "room": "meet-6de9324805",
            "context": {"user": {"name": "Anne", "email": "", "moderator": "true"}},
        });
        sign_with_secret("", secret.as_bytes(), &claims)
    };
    let inspect = |token: &str, room: &str| {
        let mut arguments = vec!["token", "inspect", "--config", "gateway.toml", token];
        if !room.is_empty() {
            arguments.extend(["--room", room]);
        }
        let output = place.run(&arguments, &[]);
        (output.status.code(), text(&output.stdout))
    };
    let (code, report) = inspect(&token(3600, "odoo"), "");
    assert_eq!(code, Some(0), "{report}");
    for line in [
        "\nroom: meet-6de9324805\n",
        "\ngateway: takes it from integration odoo-o-meet\n",
        "\nperson: Anne (integration:odoo-o-meet:",
    ] {
        assert!(report.contains(line), "{report}");
    }
    for (token, room, expected) in [
        (
            token(7200 + 600, "odoo"),
            "",
            "lifetime_too_long: the token lives longer than is allowed\n\
             integration: odoo-o-meet\nclaim: exp\nfound: in 2h 10m\nallowed: at most 2h from now\n",
        ),
        (
            token(3600, "jitsi"),
            "",
            "claim: aud\nfound: jitsi\nallowed: odoo\n",
        ),
        (
            token(3600, "odoo"),
            "board",
            "claim: room\nfound: meet-6de9324805\nallowed: the room of the address, board\n",
        ),
    ] {
        let (code, report) = inspect(&token, room);
        assert_eq!(code, Some(1), "{report}");
        assert!(report.contains(expected), "{report}");
    }
}
