//! Configuration blocks in the documents: each is valid when it replaces the same sections of a
//! valid file, and the providers' pages decide as documented on the claims that they show.

use std::{fs, sync::LazyLock};

use serde_json::json;
use toml::{Table, Value};

use super::{GOOD, OIDC_SECRET, SESSION_KEY, Workplace, text};
use crate::documents::markdown::{Block, Page, pages};

#[test]
fn every_toml_block_in_the_documents_is_valid() {
    let mut seen = 0;
    for page in pages() {
        for block in page.blocks.iter().filter(|block| block.language == "toml") {
            let place = Workplace::new();
            prepare(&place, &page, block);
            let said = place.check(&[]);
            let lacks = block
                .markers
                .iter()
                .any(|one| one == "needs: --features otel")
                && !cfg!(feature = "otel");
            let at = format!("{}:{}: {said}", page.path, block.line);
            if lacks {
                assert!(said.contains("build it with --features otel"), "{at}");
            } else {
                assert_eq!(said, "", "{at}");
            }
            seen += 1;
        }
    }
    assert!(seen >= 12, "pieces were read: {seen}");
}

/// `<!-- claims: ROOM: ANSWER -->` before a block of claims is the expected decision.
#[test]
fn provider_pages_decide_as_documented() {
    let mut seen = 0;
    for page in pages() {
        if !page.path.starts_with("docs/providers/") || page.path.ends_with("README.md") {
            continue;
        }
        let place = Workplace::new();
        let snippet = page.blocks.iter().find(|block| block.language == "toml");
        prepare(&place, &page, snippet.unwrap());
        let before = seen;
        for block in page.blocks.iter().filter(|block| block.language == "json") {
            place.open("claims.json", &block.text);
            // A file of the page is not claims.
            let decisions = |marker: &&String| !marker.starts_with("file: ");
            for marker in block.markers.iter().filter(decisions) {
                let (room, answer) = marker
                    .strip_prefix("claims: ")
                    .and_then(|rest| rest.split_once(": "))
                    .unwrap_or_else(|| panic!("{}: {marker}", page.path));
                let explain = ["explain", "--room", room, "--claims", "claims.json"];
                let output = text(&place.run(&explain, &[]).stdout);
                let expected = format!("\nanswer   {answer}");
                assert!(output.contains(&expected), "{}: {output}", page.path);
                seen += 1;
            }
        }
        assert!(seen > before, "{} decides nothing", page.path);
    }
    assert!(seen >= 9, "claims were decided upon: {seen}");
}

/// Writes the valid configuration with the block merged, and every file that it names.
fn prepare(place: &Workplace, page: &Page, block: &Block) {
    let mut whole: Table = GOOD.parse().unwrap();
    // An API key belongs to an integration, which the page shows earlier.
    let keys_only = block.text.starts_with("[[integration.api_key]]");
    let before = if keys_only { INTEGRATION } else { "" };
    let piece: Table = format!("{before}{}", block.text)
        .parse()
        .unwrap_or_else(|error| panic!("{}:{}: {error}", page.path, block.line));
    if piece.contains_key("jaas") {
        whole.remove("upstream");
        whole.remove("token");
    }
    if piece.contains_key("shard") {
        let upstream = whole.get_mut("upstream").and_then(Value::as_table_mut);
        upstream.unwrap().retain(|key, _| key == "xmpp_domain");
    }
    overlay(&mut whole, piece);
    let mut files = 0;
    name_files(place, "", &mut whole, &mut files);
    place.private("gateway.toml", &whole.to_string());
}

fn overlay(whole: &mut Table, piece: Table) {
    for (key, value) in piece {
        match (whole.get_mut(&key), value) {
            (Some(Value::Table(there)), Value::Table(more)) => overlay(there, more),
            (_, value) => {
                whole.insert(key, value);
            }
        }
    }
}

/// Creates the files that the documents name, with valid contents.
fn name_files(place: &Workplace, path: &str, table: &mut Table, files: &mut usize) {
    for (key, value) in table.iter_mut() {
        let path = format!("{path}.{key}");
        match value {
            Value::Table(table) => name_files(place, &path, table, files),
            Value::Array(list) => {
                for entry in list.iter_mut().filter_map(Value::as_table_mut) {
                    name_files(place, &path, entry, files);
                }
            }
            Value::String(name) => {
                let Some(content) = content(place, &path, *files) else {
                    continue;
                };
                *files += 1;
                *name = format!("file-{files}");
                place.private(name, &content);
            }
            _ => {}
        }
    }
}

/// The RSA key of a client, and its certificate.
static CLIENT: LazyLock<(String, String)> = LazyLock::new(|| {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let params = rcgen::CertificateParams::new(["jitsi".to_owned()]).unwrap();
    (key.serialize_pem(), params.self_signed(&key).unwrap().pem())
});

/// The contents of a file by the option that names it; `None` for other options.
fn content(place: &Workplace, option: &str, number: usize) -> Option<String> {
    let of = |name: &str| Some(fs::read_to_string(place.0.path().join(name)).unwrap());
    let rsa = || rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    match option {
        ".session.key_file" => Some(SESSION_KEY.to_owned()),
        ".oidc.client_secret_file" => Some(OIDC_SECRET.to_owned()),
        ".oidc.ca_file" | ".store.ca_file" | ".tls.certificate" => of("tls.crt"),
        ".tls.additional.certificate" => of("other.crt"),
        ".tls.key" => of("tls.key"),
        ".tls.additional.key" => of("other.key"),
        ".token.key.file" | ".jaas.key_file" => Some(rsa().serialize_pem()),
        ".oidc.client_key_file" => Some(CLIENT.0.clone()),
        ".oidc.client_certificate_file" => Some(CLIENT.1.clone()),
        ".oidc.group_lookup.key_file" => {
            let file = json!({
                "type": "service_account",
                "private_key": rsa().serialize_pem(),
                "client_email": "meet@project.iam.gserviceaccount.com",
                "token_uri": "https://oauth2.googleapis.com/token",
            });
            Some(file.to_string())
        }
        ".store.url_file" => Some("rediss://:a-long-password-of-its-own@redis:6379".to_owned()),
        option if option.ends_with("_file") => Some(format!("{number:032x}4f0c1b7a9e2d5833")),
        _ => None,
    }
}

const INTEGRATION: &str = r#"[[integration]]
id = "odoo"
secret_file = "odoo.secret"
rooms = ["odoo-*"]
"#;
