//! `[[oidc]]` on the command line.

use super::{GOOD, Workplace, text};

const TABLE: &str =
    "[oidc]\nissuer = \"https://sso.example.org/realms/main\"\nclient_id = \"jitsi\"\n";

const TABLES: &str = r#"
[[oidc]]
id = "school"
issuer = "https://sso.example.org/realms/main"
client_id = "jitsi"

[[oidc]]
id = "firm"
issuer = "https://login.firm.example.com"
client_id = "meetings"
claims.name = "displayName"
"#;

const RULES: &str = r#"
[[room]]
match = "class-*"
enter = "provider:school"
sign_in.providers = ["school"]

[[room]]
match = "*"
enter = "subject:firm:7"
"#;

#[test]
fn explain_shows_the_providers_of_a_room_and_takes_claims_of_one() {
    let place = Workplace::new();
    let (head, _) = GOOD.split_once("[[room]]").unwrap();
    assert!(head.contains(TABLE));
    let file = format!("{}{RULES}", head.replace(TABLE, TABLES));
    place.private("gateway.toml", &file);
    place.open("claims.json", r#"{"sub": "7"}"#);
    let explain = |room: &str, provider: &[&str]| {
        let words = ["explain", "--room", room, "--claims", "claims.json"];
        let output = place.run(&[&words[..], provider].concat(), &[]);
        (text(&output.stdout), text(&output.stderr))
    };
    let (of_school, of_firm) = (["--provider", "school"], ["--provider", "firm"]);
    for (room, provider, sign_in, met) in [
        ("class-1", &of_school[..], "school", true),
        ("class-1", &of_firm, "school", false),
        ("x", &of_school, "school or firm", false),
        ("x", &of_firm, "school or firm", true),
    ] {
        let (output, error) = explain(room, provider);
        let line = format!("\nsign-in  {sign_in}\n");
        assert!(
            output.contains(&line),
            "{room} {provider:?} {output}{error}"
        );
        let met = if met { ": met" } else { ": not met" };
        assert!(output.contains(met), "{room} {provider:?} {output}");
    }
    let (_, error) = explain("x", &[]);
    assert!(
        error.contains("requires --provider with one of school, firm"),
        "{error}"
    );
    let (_, error) = explain("x", &["--provider", "other"]);
    assert!(
        error.contains("there is no [[oidc]] with id = \"other\""),
        "{error}"
    );
}
