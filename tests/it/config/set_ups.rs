//! `init` for each kind of provider: the file that it writes passes `check`, and its `[oidc]`, its rule and the printed
//! registration are those of the provider's page.

use std::{
    path::Path,
    process::{Command, Output},
};

use setup::Provider;
use toml::{Table, Value};

use super::{Workplace, text};
use crate::documents::markdown::{Page, pages, root};

/// Nothing listens there, so that the look at the provider ends at once.
const ISSUER: &str = "https://127.0.0.1:9/";

const FOLDER: &str = "docs/providers/";

fn run(directory: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jitsi-auth-gateway"))
        .args(words)
        .current_dir(directory)
        .env_clear()
        .output()
        .unwrap()
}

/// The first configuration of a page.
fn example(page: &Page) -> Table {
    let block = page.blocks.iter().find(|block| block.language == "toml");
    block.unwrap().text.parse().unwrap()
}

fn member_of<'t>(table: &'t Table, key: &str) -> &'t str {
    table[key].as_str().unwrap()
}

/// The last rule, which is for all rooms.
fn last_rule(file: &Table) -> &Table {
    let rules = file["room"].as_array().unwrap();
    rules.last().unwrap().as_table().unwrap()
}

#[test]
fn each_page_about_a_provider_is_an_answer_and_the_other_way_round() {
    let kinds: Vec<_> = Provider::all().map(Provider::name).collect();
    let (other, named) = kinds.split_last().unwrap();
    assert_eq!(*other, "other");
    let pages = pages();
    let paths = pages.iter().map(|page| &*page.path);
    let names = paths.filter_map(|path| path.strip_prefix(FOLDER)?.strip_suffix(".md"));
    let mut documented: Vec<_> = names.filter(|name| *name != "README").collect();
    documented.sort_unstable();
    let mut named = named.to_vec();
    named.sort_unstable();
    assert_eq!(named, documented);
}

#[test]
fn the_configuration_and_the_registration_are_those_of_the_page() {
    let (files, pages) = (Workplace::new(), pages());
    for provider in Provider::all().filter(|provider| provider.name() != "other") {
        let name = provider.name();
        let path = format!("{FOLDER}{name}.md");
        let page = pages.iter().find(|page| page.path == path).unwrap();
        let expected = example(page);
        let oidc = expected["oidc"].as_table().unwrap();
        let issuer = provider.issuer_example();
        let issuer = issuer.replace("TENANT-ID", "11111111-2222-3333-4444-555555555555");
        assert_eq!(issuer, member_of(oidc, "issuer"), "{name}");

        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let moderators = last_rule(&expected)["moderators"].as_array().unwrap();
        let moderators: Vec<_> = moderators.iter().map(|one| one.as_str().unwrap()).collect();
        let output = run(
            directory,
            &[
                "init",
                "--public-url=https://meet.example.org",
                "--platform=debian",
                "--workspace=example.org",
                "--enter=member",
                &format!("--provider={name}"),
                &format!("--issuer={ISSUER}"),
                &format!("--client-id={}", member_of(oidc, "client_id")),
                &format!("--moderators={}", moderators.join(",")),
            ],
        );
        assert_eq!(
            output.status.code(),
            Some(0),
            "{name}: {}",
            text(&output.stderr)
        );

        let written = std::fs::read_to_string(directory.join("gateway.toml")).unwrap();
        let written: Table = written.parse().unwrap();
        let differing = ["issuer", "client_secret_file"];
        let without = |oidc: &Value| {
            let mut oidc = oidc.as_table().unwrap().clone();
            oidc.retain(|key, _| !differing.contains(&key));
            oidc
        };
        assert_eq!(
            without(&written["oidc"]),
            without(&expected["oidc"]),
            "{name}"
        );
        // Where an instance has accounts of other people too, the page names groups that an operator knows only.
        if !["gitlab", "forgejo"].contains(&name) {
            assert_eq!(
                last_rule(&written)["enter"],
                last_rule(&expected)["enter"],
                "{name}"
            );
        }
        assert_eq!(
            last_rule(&written)["moderators"],
            last_rule(&expected)["moderators"],
            "{name}"
        );

        let prose = std::fs::read_to_string(root().join(&path)).unwrap();
        let printed = text(&output.stdout);
        assert!(printed.contains(&path), "{name}: {printed}");
        for endpoint in ["callback", "signed-out", "backchannel-logout"] {
            let url = format!("https://meet.example.org/_gateway/{endpoint}");
            assert_eq!(
                printed.contains(&url),
                prose.contains(&url),
                "{name}: {url}"
            );
        }

        for file in ["oidc.secret", "tls.crt", "tls.key"] {
            std::fs::copy(files.0.path().join(file), directory.join(file)).unwrap();
        }
        let checked = run(directory, &["check", "--config", "gateway.toml"]);
        assert_eq!(
            checked.status.code(),
            Some(0),
            "{name}: {}",
            text(&checked.stderr)
        );
        assert_eq!(text(&checked.stderr), "", "{name}");
    }
}
