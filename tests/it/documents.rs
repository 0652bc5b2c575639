//! The documents: links, names of options, findings and source items, freshness of generated pages.

use std::{collections::BTreeSet, fs, path::Path};

use doctor::FindingKind;
use model::policy::Condition;
use proxy::api;

pub(crate) mod markdown;

use self::markdown::{Page, pages, root};

#[test]
fn the_configuration_reference_is_fresh() {
    let written = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let remedy = "run `cargo run -- config reference > docs/configuration.md`";
    assert!(written == config::reference(), "{remedy}");
}

#[test]
fn the_page_on_the_api_is_fresh() {
    let written = fs::read_to_string(root().join("docs/api.md")).unwrap();
    let remedy = "run `cargo run -- config openapi --markdown > docs/api.md`";
    assert!(written == api::markdown(), "{remedy}");
}

/// A file that no step names would never run.
#[test]
fn the_whole_suite_runs_every_file_of_tests() {
    let suite = fs::read_to_string(root().join("tests/run")).unwrap();
    let words: BTreeSet<_> = suite
        .split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ';'))
        .map(|word| word.trim_end_matches(".test.js"))
        .collect();
    let mut files = 0;
    for folder in ["after", "direct", "doctor", "gateway"] {
        for entry in fs::read_dir(root().join("tests/real").join(folder)).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            let Some(name) = file.strip_suffix(".test.js") else {
                continue;
            };
            files += 1;
            assert!(
                words.contains(&*format!("{folder}/{name}")),
                "{folder}/{file}"
            );
        }
    }
    assert!(files > 40, "{files}");
}

#[test]
fn every_link_has_a_target() {
    let pages = pages();
    let mut seen = 0;
    for page in &pages {
        for link in &page.links {
            let Some(target) = page.local_target(link) else {
                let allowed = ["https://", "mailto:"];
                let fine = allowed.iter().any(|scheme| link.target.starts_with(scheme));
                assert!(fine, "{}: {}", page.at(link.line), link.target);
                continue;
            };
            seen += 1;
            let (path, anchor) = &target;
            assert!(
                root().join(path).exists(),
                "{}: {path} is not there",
                page.at(link.line)
            );
            let Some(anchor) = anchor else { continue };
            let there = pages.iter().find(|other| other.path == *path);
            let anchors = there.map(|page| &page.anchors);
            assert!(
                anchors.is_some_and(|anchors| anchors.contains(anchor)),
                "{}: {path} has no heading #{anchor}; it has {anchors:?}",
                page.at(link.line)
            );
        }
    }
    assert!(seen > 40, "links were read: {seen}");
}

#[test]
fn the_table_of_languages_is_that_of_their_files() {
    let page = fs::read_to_string(root().join("docs/pages.md")).unwrap();
    let (_, table) = page.split_once("## Languages").unwrap();
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        let tag = cells.next()?.trim_end_matches('`').to_owned();
        Some((tag, cells.nth(1)? == "no"))
    };
    let listed: BTreeSet<_> = table.lines().filter_map(row).collect();
    let files = fs::read_dir(root().join("src/pages/src/texts")).unwrap();
    let described = files.map(|file| {
        let path = file.unwrap().path();
        let is_unread = fs::read_to_string(&path)
            .unwrap()
            .starts_with("# No native speaker");
        (
            path.file_stem().unwrap().to_str().unwrap().to_owned(),
            is_unread,
        )
    });
    let described: BTreeSet<_> = described.collect();
    assert_eq!(listed, described);
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let count = format!("[{} languages](docs/pages.md)", described.len());
    assert!(readme.contains(&count), "README.md lacks {count}");
}

/// The text of a link such as `[`name`](../tests/it/x.rs)` occurs in the file: a test, a type, or
/// the file's own path.
#[test]
fn links_to_source_name_existing_items() {
    let mut seen = 0;
    for page in pages() {
        for link in &page.links {
            let Some((path, None)) = page.local_target(link) else {
                continue;
            };
            let name = link.text.trim_matches('`');
            let is_code = link.text.starts_with('`') && link.text.ends_with('`');
            let is_source = [".rs", ".js", ".mjs", ".py", ".lua", "run"];
            if !is_code || !is_source.iter().any(|end| path.ends_with(end)) {
                continue;
            }
            seen += 1;
            let text = fs::read_to_string(root().join(&path)).unwrap();
            let is_rust = Path::new(&path).extension().is_some_and(|end| end == "rs");
            let said = if is_rust && !name.contains(['/', '.', ':']) {
                text.contains(&format!(" {name}")) || text.contains(&format!("{name}("))
            } else {
                path.ends_with(name) || text.contains(name)
            };
            assert!(said, "{}: {path} has no {name}", page.at(link.line));
        }
    }
    assert!(seen > 30, "links to source were read: {seen}");
}

#[test]
fn every_page_is_in_the_index() {
    let pages = pages();
    let index = pages.iter().find(|page| page.path == "docs/README.md");
    let listed: BTreeSet<String> = index
        .unwrap()
        .links
        .iter()
        .filter_map(|link| index.unwrap().local_target(link))
        .map(|(path, _)| path)
        .collect();
    for page in &pages {
        let is_listed = page.path.starts_with("docs/") && page.path != "docs/README.md";
        assert!(
            !is_listed || listed.contains(&page.path),
            "docs/README.md does not list {}",
            page.path
        );
    }
}

#[test]
fn every_name_of_an_option_exists() {
    let schema = config::schema();
    let mut keys = BTreeSet::new();
    collect("", &schema, &mut keys);
    assert!(keys.len() > 80);
    let sections: BTreeSet<&str> = keys
        .iter()
        .filter_map(|key| key.split_once('.').map(|(section, _)| section))
        .collect();
    let mut seen = 0;
    for page in pages() {
        for (line, word) in page.code_words() {
            if let Some(name) = word.strip_prefix("GATEWAY__") {
                let name = name.split('=').next().unwrap_or_default();
                let key = name.to_lowercase().replace("__", ".");
                seen += 1;
                assert!(
                    keys.contains(&key),
                    "{}: no option {key} for {word}",
                    page.at(line)
                );
                continue;
            }
            let key = word.split([' ', '=']).next().unwrap_or_default();
            let Some((section, rest)) = key.split_once('.') else {
                continue;
            };
            let is_key = !rest.is_empty()
                && key
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || "._".contains(c));
            // File and host names look like options.
            let is_file = [
                ".toml", ".md", ".js", ".json", ".rs", ".yaml", ".conf", ".crt", ".key",
            ]
            .iter()
            .any(|end| key.ends_with(end));
            if !is_key || is_file || !sections.contains(section) || NOT_OPTIONS.contains(&key) {
                continue;
            }
            seen += 1;
            assert!(
                keys.contains(key),
                "{}: there is no option {key}",
                page.at(line)
            );
        }
    }
    assert!(seen > 100, "options were read: {seen}");
}

/// Words such as `C4.redirect` are ids of findings.
#[test]
fn every_condition_of_rules_is_documented() {
    for page in ["docs/people-and-rooms.md", "docs/configuration.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        let missing: Vec<_> = Condition::FORMS
            .iter()
            .filter(|form| !text.contains(&format!("`{form}`")))
            .collect();
        assert!(missing.is_empty(), "{page}: {missing:?}");
    }
}

#[test]
fn every_finding_that_is_named_exists() {
    let known: BTreeSet<String> = FindingKind::all().map(|kind| kind.to_string()).collect();
    let mut seen = 0;
    for page in pages() {
        for (line, word) in page.code_words() {
            let Some((check, _)) = word.split_once('.') else {
                continue;
            };
            let is_check = check.len() == 2
                && check.starts_with(|c: char| c.is_ascii_uppercase())
                && check.ends_with(|c: char| c.is_ascii_digit());
            if !is_check {
                continue;
            }
            seen += 1;
            let exists = known.contains(word);
            assert!(exists, "{}: there is no finding {word}", page.at(line));
        }
    }
    assert!(seen > 25, "findings were read: {seen}");
}

/// All keys by their dotted paths, sections among them.
fn collect(path: &str, schema: &serde_json::Value, keys: &mut BTreeSet<String>) {
    let properties = schema
        .get("properties")
        .or_else(|| schema.pointer("/items/properties"))
        // A table or a list of such tables.
        .or_else(|| schema.pointer("/anyOf/0/properties"));
    for (key, schema) in properties.and_then(|p| p.as_object()).into_iter().flatten() {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        collect(&path, schema, keys);
        keys.insert(path);
    }
}

#[test]
fn every_block_has_a_language_and_a_marker() {
    for page in pages() {
        for block in &page.blocks {
            let known = LANGUAGES.contains(&&*block.language);
            assert!(
                known,
                "{}: a block of {:?}; commands are `console`, other text is one of {LANGUAGES:?}",
                page.at(block.line),
                block.language
            );
            if block.language != "console" {
                continue;
            }
            let says = |marker: &String| marker.starts_with("run") || marker.starts_with("needs: ");
            assert!(
                block.markers.iter().any(says),
                "{}: no <!-- run --> or <!-- needs: … --> before the block; see tests/docs/README.md",
                page.at(block.line)
            );
            assert!(
                block.text.lines().any(|line| line.starts_with("$ ")),
                "{}: no line begins with $",
                page.at(block.line)
            );
        }
    }
}

#[test]
fn all_pages_of_the_repository_are_read() {
    let paths: Vec<String> = pages().into_iter().map(|page| page.path).collect();
    for path in ["README.md", "CONTRIBUTING.md", "docs/providers/keycloak.md"] {
        assert!(paths.iter().any(|known| known == path), "{path}");
    }
}

#[test]
fn the_licence_is_what_the_package_says() {
    let licence = fs::read_to_string(root().join("LICENSE")).unwrap();
    assert!(licence.contains("Apache License") && licence.contains("Version 2.0, January 2004"));
    let package = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(package.contains("license = \"Apache-2.0\""));
    let version = env!("CARGO_PKG_VERSION");
    let changes = fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    assert!(
        changes.contains(&format!("## [{version}]")) || changes.contains(&format!("## {version}")),
        "CHANGELOG.md does not tell of {version}"
    );
}

impl Page {
    /// Path and line, for messages.
    fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }
}

/// Words that look like options.
const NOT_OPTIONS: &[&str] = &[];

const LANGUAGES: &[&str] = &[
    "apache",
    "caddyfile",
    "console",
    "env",
    "haproxy",
    "json",
    "lua",
    "mermaid",
    "nginx",
    "python",
    "text",
    "toml",
    "yaml",
];
