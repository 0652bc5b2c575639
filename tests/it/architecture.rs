//! Architecture rules that Cargo does not enforce: the order of the crates, and the purity of
//! `model` and `pages`.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use toml::Table;

/// The crates in order: a crate may depend on earlier entries only.
const LAYERS: &[&str] = &[
    "model", "observe", "cluster", "oidc", "pages", "proxy", "acme", "config", "doctor", "setup",
    "devkit",
];

#[test]
fn each_crate_depends_on_lower_ones_only() {
    let crates = manifests();
    assert_eq!(crates.len(), LAYERS.len(), "a crate is in no layer");
    for (name, manifest) in &crates {
        let own = layer(name).unwrap_or_else(|| panic!("`{name}` is in no layer"));
        for table in ["dependencies", "dev-dependencies"] {
            for used in manifest.get(table).into_iter().flat_map(|t| {
                let table = t.as_table().unwrap();
                table.keys().filter_map(|dependency| layer(dependency))
            }) {
                assert!(used < own, "`{name}` depends on `{}`", LAYERS[used]);
            }
        }
    }
}

#[test]
fn the_model_reaches_no_network() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", "model", "--edges", "normal"])
        .args(["--prefix", "none", "--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let tree = String::from_utf8(output.stdout).unwrap();
    let packages: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(packages.contains(&"jsonwebtoken"), "{tree}");
    for forbidden in ["tokio", "hyper", "rustls", "socket2", "mio"] {
        assert!(!packages.contains(&forbidden), "`model` uses {forbidden}");
    }
}

#[test]
fn the_model_and_the_pages_have_no_io_and_no_async() {
    for (file, text) in ["model", "pages"].iter().flat_map(|name| sources(name)) {
        for forbidden in [
            "std::fs",
            "std::net::Tcp",
            "std::thread",
            ".await",
            "async fn",
        ] {
            assert!(!text.contains(forbidden), "{file} has `{forbidden}`");
        }
    }
}

/// `VerifiedIdentity` turns claims into an identity, so only the code that verifies ID tokens creates one.
#[test]
fn identities_are_verified_in_one_place() {
    let callers: Vec<String> = LAYERS
        .iter()
        .flat_map(|name| sources(name))
        .filter(|(_, text)| text.contains("VerifiedIdentity::by_provider("))
        .map(|(file, _)| file)
        .collect();
    assert_eq!(callers, ["src/oidc/src/identification.rs"]);
}

/// The manifest of each crate in `src`, by crate name.
fn manifests() -> BTreeMap<String, Table> {
    fs::read_dir(root().join("src"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("Cargo.toml").exists())
        .map(|path| {
            let text = fs::read_to_string(path.join("Cargo.toml")).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, text.parse().unwrap())
        })
        .collect()
}

/// Path and text of each source file of a crate, without tests.
fn sources(name: &str) -> Vec<(String, String)> {
    let mut directories = vec![root().join("src").join(name).join("src")];
    let mut sources = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let file = path.strip_prefix(root()).unwrap().to_str().unwrap();
            let file = file.to_owned();
            if ["/tests.rs", "/tests", "/testing.rs", "/testing"]
                .iter()
                .any(|end| file.ends_with(end))
            {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|own| own == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                // An inline test module is the last item of its file.
                let code = match text.find("mod tests {") {
                    Some(tests) => text[..tests].to_owned(),
                    None => text,
                };
                sources.push((file, code));
            }
        }
    }
    assert!(!sources.is_empty(), "`{name}` has no sources");
    sources.sort();
    sources
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|known| *known == name)
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
