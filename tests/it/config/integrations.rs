//! Mistakes in `[[integration]]`.

use super::{PROSODY_SECRET, Workplace, mistakes::GOOD};

/// A valid integration; the valid configuration before it ends at line 24.
const INTEGRATION: &str = r#"[[integration]]
id = "school"
app_id = "moodle"
secret_file = "moodle.secret"
rooms = ["school-*"]
embed = ["https://moodle.example.org"]
[[integration.api_key]]
id = "2027"
key_file = "moodle.key"
"#;

const OTHER: &str = r#"
[[integration]]
id = "shop"
secret_file = "shop.secret"
rooms = ["shop-*"]
"#;

/// A text of the two, its replacement, and the expected report after the file name.
const MISTAKES: &[(&str, &str, &str)] = &[
    (
        r#"id = "school""#,
        r#"id = "School 1""#,
        r#"26: integration[1].id: "School 1" is not an id; write up to 32 lower-case letters, digits and -"#,
    ),
    (
        r#"id = "shop""#,
        r#"id = "school""#,
        "36: integration[2].id: the id of another integration; write another",
    ),
    (
        r#"id = "shop""#,
        "id = \"shop\"\napp_id = \"moodle\"",
        "37: integration[2].app_id: the app_id of another integration; write another",
    ),
    (
        r#"rooms = ["school-*"]"#,
        "",
        r#"25: integration[1].rooms: missing; add for example rooms = ["school-*"]"#,
    ),
    (
        r#"["school-*"]"#,
        "[]",
        r#"29: integration[1].rooms: no pattern, so that it has no rooms; write for example rooms = ["school-*"]"#,
    ),
    (
        r#"["school-*"]"#,
        r#"["school-*", "*"]"#,
        "29: integration[1].rooms[2]: matches every room; write a prefix that only its rooms have, or unnamed_rooms = true for the rooms that nothing else names",
    ),
    (
        r#"["school-*"]"#,
        r#"["?*"]"#,
        "29: integration[1].rooms[1]: matches every room; write a prefix that only its rooms have, or unnamed_rooms = true for the rooms that nothing else names",
    ),
    (
        r#"["school-*"]"#,
        r#"["acme/school-*"]"#,
        "29: integration[1].rooms[1]: names have no slash; write the room in match and the tenant in tenant",
    ),
    (
        r#"secret_file = "moodle.secret""#,
        r#"secret_file = "prosody.secret""#,
        "28: integration[1].secret_file: the secret of [token], too: each could sign for the other; create a separate secret with openssl rand -hex 32",
    ),
    (
        r#"secret_file = "shop.secret""#,
        r#"secret_file = "moodle.secret""#,
        "37: integration[2].secret_file: the secret of integration \"school\", too: each could sign for the other; create a separate secret with openssl rand -hex 32",
    ),
    (
        r#"secret_file = "moodle.secret""#,
        r#"secret_file = "oidc.secret""#,
        "28: integration[1].secret_file: 10 bytes are too few, the algorithm needs 32; create one with openssl rand -hex 32",
    ),
    (
        r#"secret_file = "moodle.secret""#,
        "secret_file = \"moodle.secret\"\nalgorithms = [\"HS256\", \"HS512\"]",
        "28: integration[1].secret_file: 41 bytes are too few, the algorithm needs 64; create one with openssl rand -hex 32",
    ),
    (
        r#"secret_file = "moodle.secret""#,
        "secret_file = \"moodle.secret\"\nalgorithms = [\"HS256\", \"RS256\"]",
        "29: integration[1].algorithms: requires a key pair, not a secret; write one or more of HS256, HS384 and HS512",
    ),
    (
        r#"secret_file = "moodle.secret""#,
        "secret_file = \"moodle.secret\"\nalgorithms = [\"none\"]",
        r#"29: integration[1].algorithms[1]: unknown value "none"; write "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384" or "EdDSA""#,
    ),
    (
        r#"secret_file = "moodle.secret""#,
        "secret_file = \"moodle.secret\"\njwks_file = \"empty.jwks\"",
        "29: integration[1].jwks_file: conflicts with the secret; remove the secret or the keys",
    ),
    (
        r#"secret_file = "moodle.secret""#,
        "jwks_file = \"empty.jwks\"",
        "28: integration[1].jwks_file: empty.jwks: the key set has no usable key; write {\"keys\": […]} with its public keys",
    ),
    (
        r#"secret_file = "shop.secret""#,
        "",
        "35: integration[2]: can neither send users nor use the API; add secret_file, jwks_file, or an [[integration.api_key]]",
    ),
    (
        r#""https://moodle.example.org""#,
        r#""https://moodle.example.org", "http://moodle.example.org""#,
        "30: integration[1].embed[2]: not an https URL; write it as https://moodle.example.org",
    ),
    (
        r#""https://moodle.example.org""#,
        r#""https://moodle.example.org/course""#,
        "30: integration[1].embed[1]: has more than a host and a port; write it as https://moodle.example.org",
    ),
    (
        r#""https://moodle.example.org""#,
        r#""https://*; script-src *""#,
        "30: integration[1].embed[1]: not a URL; write it as https://moodle.example.org",
    ),
    (
        r#""https://moodle.example.org""#,
        r#""https://*.example.org""#,
        "30: integration[1].embed[1]: has an invalid host; write it as https://moodle.example.org",
    ),
    (
        r#"rooms = ["school-*"]"#,
        "rooms = [\"school-*\"]\nmax_lifetime = \"30d\"",
        "30: integration[1].max_lifetime: 30d is too long; write a duration from 1m to 1day",
    ),
    (
        r#"rooms = ["school-*"]"#,
        "rooms = [\"school-*\"]\napi_requests_per_minute = 0",
        "30: integration[1].api_requests_per_minute: out of range; write a number from 1 to 100000",
    ),
    (
        r#"rooms = ["school-*"]"#,
        "rooms = [\"school-*\"]\nmoderators = \"all\"",
        r#"30: integration[1].moderators: unknown value "all"; write "as-claimed", "always" or "never""#,
    ),
    (
        r#"key_file = "moodle.key""#,
        r#"key_file = "oidc.secret""#,
        "33: integration[1].api_key[1].key_file: 10 characters are too few for a key; write one with `openssl rand -base64 32`",
    ),
    (
        r#"key_file = "moodle.key""#,
        r#"sha256 = "abc""#,
        "33: integration[1].api_key[1].sha256: not a SHA-256 in hexadecimal; write one with `printf %s KEY | sha256sum`",
    ),
    (
        r#"key_file = "moodle.key""#,
        "",
        "31: integration[1].api_key[1].key_file: missing; name the file of a key",
    ),
    (
        r#"key_file = "moodle.key""#,
        "key_file = \"moodle.key\"\n[[integration.api_key]]\nid = \"b\"\nkey_file = \"moodle.key\"",
        "34: integration[1].api_key[2]: equals another key, so that its owner is ambiguous; write another",
    ),
];

fn place() -> Workplace {
    let place = Workplace::new();
    place.private("moodle.secret", "moodle-0b54c5f7b1e4d0a6c7f3d2e1b0a9f8e7d6");
    place.private("shop.secret", "shop-7f3d2e1b0a9f8e7d60b54c5f7b1e4d0a6c");
    place.private("moodle.key", "0f9d2b7c5e1a4836b0f9d2b7c5e1a4836b0f9d2b");
    place.private("empty.jwks", r#"{"keys": []}"#);
    place
}

#[test]
fn valid_integrations_pass_the_check() {
    let place = place();
    place.change("", &format!("{INTEGRATION}{OTHER}"));
    assert_eq!(place.check(&[]), "");
}

#[test]
fn every_mistake_with_an_integration_is_one_line() {
    assert_eq!(GOOD.lines().count(), 24);
    let place = place();
    let both = format!("{INTEGRATION}{OTHER}");
    for (from, to, expected) in MISTAKES {
        assert_eq!(both.matches(from).count(), 1, "{from:?} is not there once");
        place.change("", &both.replace(from, to));
        let said = place.check(&[]);
        assert_eq!(said, format!("gateway.toml:{expected}\n"), "{from} → {to}");
        assert!(!said.contains(PROSODY_SECRET));
    }
}

#[test]
fn an_integration_for_all_rooms_is_an_insecure_switch() {
    let place = place();
    let all = INTEGRATION.replace(r#"["school-*"]"#, "[\"*\"]\ninsecure_all_rooms = true");
    place.change("", &all);
    let output = place.run(&["check"], &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("warning: integration.insecure_all_rooms is on\n"),
        "{said}"
    );
    assert!(output.status.success());
}
