//! The configuration through the command line: `check`, `token`, `config`.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use config::{self, Environment};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;

mod backend;
mod certificates;
mod documents;
mod explanations;
mod inspect;
mod integrations;
mod mistakes;
mod policies;
mod providers;
mod secrets;
mod set_ups;
mod shards;
mod workers;

use self::mistakes::{GOOD, MISTAKES};

/// A working directory with a valid configuration and every file that it names.
struct Workplace(TempDir);

impl Workplace {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.private("gateway.toml", GOOD);
        place.private("session.key", SESSION_KEY);
        place.private("prosody.secret", PROSODY_SECRET);
        place.private("oidc.secret", OIDC_SECRET);
        place.private("empty.secret", "\n");
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["meet.example.org".to_owned()]).unwrap();
        place.private("tls.crt", &cert.pem());
        place.private("tls.key", &signing_key.serialize_pem());
        let other = generate_simple_self_signed(["other.example.org".to_owned()]).unwrap();
        place.private("other.crt", &other.cert.pem());
        place.private("other.key", &other.signing_key.serialize_pem());
        place.open("open.secret", PROSODY_SECRET);
        place.open("logo.gif", "GIF89a");
        place.open("end.css", "</style>");
        place.open("misspelt.toml", "language = 'pt'\n[wrods]\n");
        place
    }

    fn private(&self, name: &str, text: &str) {
        self.write(name, text, 0o600);
    }

    fn open(&self, name: &str, text: &str) {
        self.write(name, text, 0o644);
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// The valid configuration with one text replaced; an empty `from` appends.
    fn change(&self, from: &str, to: &str) {
        let text = if from.is_empty() {
            format!("{GOOD}{to}\n")
        } else {
            assert_eq!(GOOD.matches(from).count(), 1, "{from:?} is not there once");
            GOOD.replace(from, to)
        };
        self.private("gateway.toml", &text);
    }

    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_jitsi-auth-gateway"))
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .env("GATEWAY_CONFIG", "gateway.toml")
            .envs(environment.iter().copied())
            .output()
            .unwrap()
    }

    /// The output of `check` but for the warning about restarts; empty for a valid configuration.
    fn check(&self, environment: &[(&str, &str)]) -> String {
        let output = self.run(&["check"], environment);
        let forgets = format!("warning: {}\n", config::FORGETS_REVOCATIONS);
        // The directories of Unix sockets are made at the start.
        let error = text(&output.stderr).replace(&forgets, "");
        let missing = |line: &&str| !line.starts_with("warning: the directory of listen.");
        let error: String = error.split_inclusive('\n').filter(missing).collect();
        let expected = if error.is_empty() { 0 } else { 2 };
        assert_eq!(output.status.code(), Some(expected), "{error}");
        error
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn every_mistake_is_one_line_with_file_line_key_and_remedy() {
    let place = Workplace::new();
    assert!(MISTAKES.len() > 25, "the table is there");
    for (from, to, expected) in MISTAKES {
        place.change(from, to);
        let said = place.check(&[]);
        assert_eq!(said, format!("gateway.toml:{expected}\n"), "{from} → {to}");
    }
}

#[test]
fn all_problems_are_reported_in_the_order_of_the_file() {
    let place = Workplace::new();
    place.private(
        "gateway.toml",
        "public_url = 'x'\n[listen]\nhttp = 3\n[oidc]\nisuer = 'https://a'\n\
         [token]\nlifetime = '5h'\n[[room]]\nmatch = '*'\nenter = ['a', 'b']\n",
    );
    let keys: Vec<String> = place
        .check(&[("GATEWAY__LOG__LEVEL", "loud")])
        .lines()
        .map(|line| line.splitn(3, ": ").take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        keys,
        [
            "gateway.toml:1 public_url",
            "gateway.toml:1 session.key_file",
            "gateway.toml:1 upstream.web",
            "gateway.toml:1 upstream.xmpp",
            "gateway.toml:1 upstream.xmpp_domain",
            "gateway.toml:3 listen.http",
            "gateway.toml:4 oidc.client_id",
            "gateway.toml:5 oidc.isuer",
            "gateway.toml:6 token.app_id",
            "gateway.toml:6 token.secret_file",
            "gateway.toml:7 token.lifetime",
            "gateway.toml:10 room[1].enter[1]",
            "gateway.toml:10 room[1].enter[2]",
            "environment GATEWAY__LOG__LEVEL log.level",
        ]
    );
}

#[test]
fn a_valid_file_passes_the_check() {
    let place = Workplace::new();
    let output = place.run(&["check"], &[]);
    assert_eq!(text(&output.stdout), "gateway.toml is valid\n");
    let forgets = format!("warning: {}\n", config::FORGETS_REVOCATIONS);
    assert_eq!(text(&output.stderr), forgets);
    assert_eq!(output.status.code(), Some(0));
    let directory = [("GATEWAY__STORE__DIRECTORY", "state")];
    let output = place.run(&["check"], &directory);
    assert_eq!(text(&output.stderr), "");
    place.change(
        "secret_file = \"prosody.secret\"",
        "secret_file = \"open.secret\"",
    );
    let lax = [
        ("GATEWAY__INSECURE_READABLE_SECRETS", "true"),
        ("GATEWAY__STORE__DIRECTORY", "state"),
    ];
    let output = place.run(&["check"], &lax);
    assert_eq!(
        text(&output.stderr),
        "warning: insecure_readable_secrets is on\n"
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_missing_directory_of_a_unix_socket_is_a_warning() {
    let place = Workplace::new();
    let state = [("GATEWAY__STORE__DIRECTORY", "state")];
    for (directory, expected) in [
        ("/", ""),
        (
            "/nonexistent/",
            "warning: the directory of listen.http, /nonexistent, is missing and has to be there at the start\n\
             warning: the directory of listen.admin, /nonexistent, is missing and has to be there at the start\n",
        ),
    ] {
        place.change(
            r#"http = "127.0.0.1:8080""#,
            &format!(
                "http = \"unix:{directory}http.sock\"\nadmin = \"unix:{directory}admin.sock\""
            ),
        );
        let output = place.run(&["check"], &state);
        assert_eq!(text(&output.stderr), expected);
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn a_missing_file_is_named() {
    let place = Workplace::new();
    let output = place.run(&["check", "--config", "none.toml"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stderr),
        "none.toml: no such file; name the configuration with --config or GATEWAY_CONFIG\n"
    );
}

#[test]
fn the_environment_sets_keys_of_every_kind() {
    let place = Workplace::new();
    let path = place.0.path().join("gateway.toml");
    let prosody = place.0.path().join("prosody.secret");
    let session = place.0.path().join("session.key");
    let config = config::load(
        &path,
        &Environment::from_variables([
            ("GATEWAY__PUBLIC_URL", "https://other.example.org:8443"),
            ("GATEWAY__LISTEN__WORKERS", "3"),
            ("GATEWAY__LISTEN__HTTPS", "[::1]:0"),
            ("GATEWAY__TLS__CERTIFICATE", &*at(&place, "tls.crt")),
            ("GATEWAY__TLS__KEY", &*at(&place, "tls.key")),
            ("GATEWAY__LISTEN__TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
            ("GATEWAY__OIDC__SCOPES", "[\"openid\", \"groups\"]"),
            ("GATEWAY__OIDC__CLAIMS__GROUPS", "realm_access.roles"),
            ("GATEWAY__OIDC__INSECURE_TRUST_UNVERIFIED_EMAIL", "true"),
            ("GATEWAY__OIDC__CLIENT_SECRET", OIDC_SECRET),
            ("GATEWAY__SESSION__KEY_FILE", session.to_str().unwrap()),
            ("GATEWAY__TOKEN__SECRET_FILE", prosody.to_str().unwrap()),
            ("GATEWAY__TOKEN__LIFETIME", "30s"),
            (
                "GATEWAY__ROOM",
                "[{ match = \"a*\", enter = \"closed\" }, { match = \"*\", enter = [\"group:b\"] }]",
            ),
            ("GATEWAY_PORT", "tcp://10.0.0.1:80"),
        ]),
    )
    .unwrap();
    assert_eq!(config.public_url.origin(), "https://other.example.org:8443");
    let provider = &config.oidc[0];
    assert_eq!(
        provider.redirect_uri.as_str(),
        "https://other.example.org:8443/_gateway/callback"
    );
    assert_eq!(config.server.workers, 3);
    assert!(config.server.tls.is_some());
    assert_eq!(config.server.trusted_proxies.len(), 2);
    assert_eq!(provider.scopes, ["openid", "groups"]);
    assert_eq!(provider.claims.groups, "realm_access.roles");
    let token = &config.jitsi().unwrap().token;
    assert_eq!(token.lifetime.as_secs(), 30);
    assert_eq!(token.issuer, "gateway");
    assert_eq!(token.subject, "meet.jitsi");
    assert_eq!(config.policy.rules().len(), 2);
    assert_eq!(
        config.insecure_switches,
        ["oidc.insecure_trust_unverified_email"]
    );
}

#[test]
fn mistakes_in_the_environment_name_the_variable() {
    let place = Workplace::new();
    for (name, value, expected) in [
        (
            "GATEWAY__OIDC__ISSUER",
            "http://sso",
            "oidc.issuer: not https, so that an attacker on the network path could sign in as any user; use https, or \
             set insecure_http_issuer = true for a test",
        ),
        (
            "GATEWAY__OIDC__ISUER",
            "x",
            "oidc.isuer: unknown key; did you mean GATEWAY__OIDC__ISSUER",
        ),
        (
            "GATEWAY__LISTEN__WORKERS",
            "many",
            "listen.workers: not an integer; write digits only",
        ),
        (
            "GATEWAY__LOG__ACCESS",
            "yes",
            "log.access: neither true nor false; write true or false",
        ),
        (
            "GATEWAY__OIDC",
            "x",
            "oidc: a section, not a key; add two underscores and the name of a key",
        ),
        (
            "GATEWAY__ROOM__0__MATCH",
            "x",
            "room.0.match: one entry of a list cannot be set; set the whole list as a TOML array \
             in one variable",
        ),
        (
            "GATEWAY__OIDC",
            "[{ issuer = \"https://sso.example.org\", client_id = \"jitsi\" }]",
            "oidc[1].id: missing; add for example id = \"school\"",
        ),
        (
            "GATEWAY__PUBLIC_URL__X",
            "x",
            "public_url.x: unknown key; remove the part after the last two underscores",
        ),
        (
            "GATEWAY__ROOM",
            "[{ match = 3, enter = \"member\" }]",
            "room[1].match: expected a string, found an integer; write for example \"*\"",
        ),
    ] {
        assert_eq!(
            place.check(&[(name, value)]),
            format!("environment {name}: {expected}\n")
        );
    }
    let both = [
        ("GATEWAY__TOKEN__SECRET", PROSODY_SECRET),
        ("GATEWAY__TOKEN__SECRET_FILE", "prosody.secret"),
    ];
    assert_eq!(
        place.check(&both),
        "environment GATEWAY__TOKEN__SECRET_FILE: token.secret_file: conflicts with secret; remove \
         one of the two\n"
    );
}

#[test]
fn secrets_are_never_shown() {
    let place = Workplace::new();
    let path = place.0.path().join("gateway.toml");
    let environment = Environment::from_variables([
        ("GATEWAY__OIDC__CLIENT_SECRET", OIDC_SECRET),
        ("GATEWAY__SESSION__KEY", SESSION_KEY),
        ("GATEWAY__TOKEN__SECRET", PROSODY_SECRET),
    ]);
    let config = config::load(&path, &environment).unwrap();
    let shown = format!("{config:#?} {config:?} {environment:?}");
    for secret in [OIDC_SECRET, SESSION_KEY, PROSODY_SECRET] {
        assert!(!shown.contains(secret));
    }
    // Nor in the report of a misplaced secret.
    for (from, to) in [
        ("secret_file = \"prosody.secret\"", "secret = hush-hush"),
        (
            "secret_file = \"prosody.secret\"",
            "secret = [\"hush-hush\"]",
        ),
        ("secret_file = \"prosody.secret\"", "secret = \"hush-hush\""),
        (
            "secret_file = \"prosody.secret\"",
            "secret_ = \"hush-hush\"",
        ),
        ("key_file = \"session.key\"", "key = \"hush-hush\""),
    ] {
        place.change(from, to);
        let said = place.check(&[]);
        assert!(!said.is_empty() && !said.contains("hush"), "{said}");
    }
}

#[test]
fn a_secret_in_a_world_accessible_file_is_rejected() {
    let place = Workplace::new();
    let inline = GOOD.replace(
        "secret_file = \"prosody.secret\"",
        &format!("secret = \"{PROSODY_SECRET}\""),
    );
    place.private("gateway.toml", &inline);
    assert_eq!(place.check(&[]), "");
    place.open("gateway.toml", &inline);
    assert_eq!(
        place.check(&[]),
        "gateway.toml:20: token.secret: a secret in a file that every account of the machine can \
         access; run chmod o-rwx on the file, or use secret_file\n"
    );
}

#[test]
fn usage_errors_and_help_have_documented_exit_codes() {
    let place = Workplace::new();
    for (arguments, code) in [
        (&["--version"][..], 0),
        (&["--help"], 0),
        (&["config", "schema"], 0),
        (&[], 2),
        (&["serve"], 2),
        (&["check", "--colour"], 2),
        (&["token", "mint"], 2),
        (&["token", "inspect", "x"], 2),
        (&["token", "mint", "--room", "()"], 2),
        (&["token", "mint", "--room", "a", "--ttl", "2d"], 2),
    ] {
        let output = place.run(arguments, &[]);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert_eq!(output.stdout.is_empty(), code != 0, "{arguments:?}");
    }
}

#[test]
fn a_misspelt_word_of_the_command_line_has_a_suggestion() {
    let place = Workplace::new();
    for (arguments, expected) in [
        (&["chekc"][..], "a similar subcommand exists: 'check'"),
        (&["rooms", "lst"], "a similar subcommand exists: 'list'"),
        (
            &["check", "--confg", "x"],
            "a similar argument exists: '--config'",
        ),
        (
            &["explain", "--room", "x", "--ouput", "json"],
            "a similar argument exists: '--output'",
        ),
        (
            &["explain", "--room", "x", "--output", "jsn"],
            "a similar value exists: 'json'",
        ),
        (
            &["init", "--provider", "keyclok"],
            "a similar value exists: 'keycloak'",
        ),
        (
            &["init", "--platform", "debain"],
            "a similar value exists: 'debian'",
        ),
        (
            &["init", "--enter", "memeber"],
            "a similar value exists: 'member'",
        ),
    ] {
        let output = place.run(arguments, &[]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let said = text(&output.stderr);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}

#[test]
fn minted_tokens_have_the_requested_claims() {
    let place = Workplace::new();
    let arguments = [
        "token",
        "mint",
        "--room",
        "Acme/Board Meeting",
        "--count",
        "2",
        "--print",
        "tokens",
    ];
    let output = place.run(&[&arguments[..], &["--name", "Zoë"]].concat(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let tokens = text(&output.stdout);
    let claims: Vec<serde_json::Value> = tokens
        .lines()
        .map(|token| {
            let output = place.run(&["token", "inspect", token], &[]);
            assert_eq!(output.status.code(), Some(0));
            let report = text(&output.stdout);
            assert!(report.contains("no rule is broken"), "{report}");
            let (_, claims) = report.split_once("claims: ").unwrap();
            let end = claims.find("\n}").unwrap() + 2;
            serde_json::from_str(&claims[..end]).unwrap()
        })
        .collect();
    assert_eq!(claims.len(), 2);
    assert_eq!(claims[0]["room"], "board%20meeting");
    assert_eq!(claims[0]["sub"], "acme");
    assert_eq!(claims[0]["context"]["user"]["name"], "Zoë");
    assert_eq!(claims[0]["context"]["user"]["moderator"], true);
    assert_eq!(claims[1]["context"]["user"]["name"], "Test 2");
    assert_eq!(claims[1]["context"]["user"]["moderator"], false);
}

#[test]
fn inspect_explains_why_prosody_rejects_a_token() {
    // {"typ":"JWT","alg":"none"} and {"room":"x"}
    let token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0.eyJyb29tIjoieCJ9.x";
    let output = Workplace::new().run(&["token", "inspect", token], &[]);
    assert_eq!(output.status.code(), Some(1));
    let report = text(&output.stdout);
    for line in [
        "refused: Invalid or incorrect alg",
        "refused: 'iss' claim is missing",
    ] {
        assert!(report.contains(line), "{report}");
    }
}

#[test]
fn the_schema_in_the_repository_is_fresh() {
    let written = fs::read_to_string(repository("config/gateway.schema.json")).unwrap();
    let remedy = "run `cargo run -- config schema > config/gateway.schema.json`";
    assert!(written == format!("{:#}\n", config::schema()), "{remedy}");
}

#[test]
fn the_example_in_the_repository_is_valid() {
    let place = Workplace::new();
    let path = repository("config/gateway.toml");
    let environment = Environment::from_variables([
        (
            "GATEWAY__OIDC__CLIENT_SECRET_FILE",
            at(&place, "oidc.secret"),
        ),
        ("GATEWAY__SESSION__KEY_FILE", at(&place, "session.key")),
        ("GATEWAY__TOKEN__SECRET_FILE", at(&place, "prosody.secret")),
    ]);
    let config = config::load(Path::new(&path), &environment).unwrap();
    assert!(config.insecure_switches.is_empty());
}

#[test]
fn the_reference_contains_every_key() {
    let reference = config::reference();
    let mut keys = Vec::new();
    collect_keys(&config::schema(), &mut keys);
    assert!(keys.len() > 50);
    for key in keys {
        assert!(
            ["`", "[", "."]
                .iter()
                .any(|before| reference.contains(&format!("{before}{key}"))),
            "{key}"
        );
    }
    assert!(!reference.contains("|  |\n"), "a key has no description");
}

fn collect_keys(schema: &serde_json::Value, keys: &mut Vec<String>) {
    let properties = schema
        .get("properties")
        .or_else(|| schema.pointer("/items/properties"));
    for (key, schema) in properties.and_then(|p| p.as_object()).into_iter().flatten() {
        keys.push(key.clone());
        collect_keys(schema, keys);
    }
}

fn at(place: &Workplace, name: &str) -> String {
    place.0.path().join(name).to_str().unwrap().to_owned()
}

fn repository(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

const SESSION_KEY: &str = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA";
const PROSODY_SECRET: &str = "4f0c1b7a9e2d5833c6a1f04b7e92d85a";
const OIDC_SECRET: &str = "wXyZ-7f3kq";
