//! The texts of `-V` and `--version`: version, commit, features and target of the program.

/// The version of the package, without the commit: generated files contain it.
pub(super) const PACKAGE: &str = env!("CARGO_PKG_VERSION");

/// One line, for `-V`.
pub(super) const SHORT: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("BUILD_COMMIT"),
    ")"
);

/// One line for each fact, for `--version`. `src/build.rs` finds them. The commit is `unknown` in a development build, and in
/// one of a source archive without git.
pub(super) const LONG: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit: ",
    env!("BUILD_COMMIT"),
    "\nfeatures: ",
    env!("BUILD_FEATURES"),
    "\ntarget: ",
    env!("BUILD_TARGET"),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fact_has_a_line() {
        let facts: Vec<_> = LONG
            .lines()
            .skip(1)
            .map(|line| line.split_once(": ").unwrap())
            .collect();
        let names: Vec<_> = facts.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["commit", "features", "target"]);
        assert!(facts.iter().all(|(_, fact)| !fact.is_empty()), "{LONG}");
        assert_eq!(SHORT, format!("{PACKAGE} (commit {})", facts[0].1));
    }

    #[test]
    fn features_are_those_of_the_build() {
        let features = match (cfg!(feature = "demo"), cfg!(feature = "otel")) {
            (false, false) => "none",
            (true, false) => "demo",
            (false, true) => "otel",
            (true, true) => "demo, otel",
        };
        assert!(
            LONG.contains(&format!("\nfeatures: {features}\n")),
            "{LONG}"
        );
    }
}
