//! Passes the commit of the source, the features and the target to the program, for `--version`.

#![expect(
    clippy::disallowed_methods,
    reason = "Cargo passes the settings of a build by the environment"
)]

use std::{env, path::Path, process::Command};

/// The commit, if the environment names it: `deploy/release` and `deploy/Dockerfile` do.
const COMMIT: &str = "GATEWAY_COMMIT";

fn main() {
    println!("cargo::rerun-if-env-changed={COMMIT}");
    println!("cargo::rerun-if-changed=src/build.rs");
    let named = env::var(COMMIT)
        .ok()
        .filter(|commit| !commit.trim().is_empty());
    let commit = named.or_else(release_commit);
    let commit = commit.unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=BUILD_COMMIT={}", commit.trim());
    println!("cargo::rustc-env=BUILD_FEATURES={}", features());
    let target = env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=BUILD_TARGET={target}");
}

/// The features of the package that are on, but for `default`, which is a list of others.
fn features() -> String {
    let on = env::vars()
        .filter_map(|(name, _)| Some(name.strip_prefix("CARGO_FEATURE_")?.to_lowercase()));
    let mut on: Vec<String> = on.filter(|feature| feature != "default").collect();
    on.sort();
    if on.is_empty() {
        "none".to_owned()
    } else {
        on.join(", ")
    }
}

/// The commit that is checked out. Only for a release: in a development build, each commit would rebuild the program.
fn release_commit() -> Option<String> {
    if env::var("PROFILE").ok()? != "release" {
        return None;
    }
    let root = env::var("CARGO_MANIFEST_DIR").ok()?;
    // The source may be unpacked inside another repository.
    let top = git(&root, &["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != Path::new(&root).canonicalize().ok()? {
        return None;
    }
    // Each commit and checkout appends to this file.
    let log = git(&root, &["rev-parse", "--git-path", "logs/HEAD"])?;
    println!(
        "cargo::rerun-if-changed={}",
        Path::new(&root).join(log).display()
    );
    git(&root, &["rev-parse", "--short=12", "HEAD"])
}

/// The output of a git command; nothing if it fails or there is no git.
fn git(root: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(["-C", root])
        .args(arguments)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output
        .status
        .success()
        .then(|| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}
