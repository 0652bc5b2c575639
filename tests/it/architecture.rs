//! Dependencies point one way: each module may use those above it in this list, and no other.

use std::{fs, path::Path};

/// From values without I/O, over what talks to one neighbour each, to what knows everything.
const ORDER: &[&str] = &[
    // The pure middle.
    "clock",
    "random",
    "path",
    "room",
    "shard",
    "identity",
    "policy",
    "seal",
    "owner",
    "query",
    "route",
    "session",
    "invitation",
    "headers",
    "bosh",
    "token",
    "calendar",
    "jws",
    "integration",
    "jaas",
    // What is counted and traced, what replicas share, what is over, and who is where.
    "metrics",
    "traces",
    "store",
    "replica",
    "revocation",
    "presence",
    // One neighbour each.
    "oidc",
    "page",
    "pages",
    "upstream",
    // Which shard each room is on.
    "placement",
    "api",
    // The request path, and the sockets that it is served on.
    "gateway",
    "server",
    "admin",
    "reservation",
    // Assembly: knows everything, is known by nobody below.
    "telemetry",
    "config",
    "doctor",
    "app",
    "dev",
    "lifecycle",
    "cli",
];

/// Modules that open no socket, read no file and wait for nothing.
const PURE: &[&str] = &[
    "path",
    "room",
    "shard",
    "identity",
    "policy",
    "seal",
    "owner",
    "query",
    "route",
    "session",
    "invitation",
    "headers",
    "bosh",
    "token",
    "calendar",
    "jws",
    "integration",
    "jaas",
];

#[test]
fn no_module_uses_one_below_it() {
    let mut seen = 0;
    for (module, file, text) in sources() {
        let own = position(&module);
        // Tests may reach down to build what they need.
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for used in used_modules(code) {
            seen += 1;
            assert!(
                position(&used) <= own,
                "{file} uses `{used}`, which is assembled above it"
            );
        }
    }
    assert!(seen > 100, "the imports were read: {seen}");
}

#[test]
fn the_pure_middle_does_no_io() {
    for (module, file, text) in sources() {
        if !PURE.contains(&module.as_str()) {
            continue;
        }
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for forbidden in [
            "tokio::",
            "hyper::",
            "std::fs",
            "std::net::Tcp",
            ".await",
            "async fn",
        ] {
            assert!(!code.contains(forbidden), "{file} has `{forbidden}`");
        }
    }
}

#[test]
fn every_module_has_its_place() {
    for (module, file, _) in sources() {
        assert!(ORDER.contains(&module.as_str()), "{file} is in no list");
    }
}

/// Top-level module, file and text of every source file but tests, `lib.rs` and `main.rs`.
fn sources() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut directories = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let inside = path
                .strip_prefix(&root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let is_test = inside.contains("tests") || inside.contains("testing");
            if path.extension().is_none_or(|own| own != "rs")
                || is_test
                || ["lib.rs", "main.rs"].contains(&&*inside)
            {
                continue;
            }
            let module = inside.split(['/', '.']).next().unwrap().to_owned();
            sources.push((module, inside, fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(sources.len() > 80, "{}", sources.len());
    sources
}

/// The modules that `crate::…` and `use crate::{…}` name.
fn used_modules(code: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_ascii_lowercase() || *c == '_')
            .collect()
    };
    let mut used = Vec::new();
    for (_, rest) in code
        .match_indices("crate::")
        .map(|(at, name)| (at, &code[at + name.len()..]))
    {
        let Some(list) = rest.strip_prefix('{') else {
            used.push(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut begins = true;
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                c if begins && !c.is_whitespace() => {
                    used.push(word(&list[at..]));
                    begins = false;
                }
                _ => {}
            }
        }
    }
    used.retain(|module| !module.is_empty());
    used
}

fn position(module: &str) -> usize {
    ORDER
        .iter()
        .position(|known| *known == module)
        .unwrap_or_else(|| panic!("`{module}` is in no list"))
}
