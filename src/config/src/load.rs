//! Loads the configuration from its file and the environment.

use std::{collections::BTreeMap, fs, io, path::Path, sync::Arc};

use zeroize::Zeroizing;

use super::{
    diagnostics::Diagnostics,
    environment::Environment,
    location::Location,
    problem::{ConfigProblem, ConfigProblems, Fault},
    provenance::{self, SyntaxError},
    schema::schema,
    schema_check::ExpectedType,
    secret,
    section_digests::SectionDigests,
    sections::RawConfig,
    settings::Config,
};

/// Reads and checks the file, the environment, and every file that they name.
pub fn load(path: &Path, environment: &Environment) -> Result<Config, ConfigProblems> {
    let file: Arc<str> = path.display().to_string().into();
    let bytes = fs::read(path).map_err(|error| unreadable(&file, &error))?;
    let text = String::from_utf8(bytes).map_err(|_| not_utf8(&file))?;
    let text = Zeroizing::new(text);
    // A file that has been deleted since is not accessible, either.
    let world_accessible = secret::is_world_accessible(path).unwrap_or(false);
    parse(
        &file,
        &text,
        environment,
        Diagnostics::new(world_accessible),
    )
}

fn parse(
    file: &Arc<str>,
    text: &str,
    environment: &Environment,
    mut diagnostics: Diagnostics,
) -> Result<Config, ConfigProblems> {
    let expected = ExpectedType::from_schema(&schema());
    let mut root = provenance::parse(file, text).map_err(syntax)?;
    environment.overlay(&mut root, &expected, &mut diagnostics);
    let mut locations = BTreeMap::new();
    root.collect_locations("", &mut locations);
    diagnostics.set_locations(locations);
    expected.check(&mut root, "", &mut diagnostics);
    let root = root.into_json();
    let section_digests = SectionDigests::compute(&root);
    let config = match serde_path_to_error::deserialize::<_, RawConfig>(root) {
        Ok(raw) => raw.resolve(section_digests, &mut diagnostics),
        Err(error) => {
            // A bug: the schema was generated from the same types. The inner error may quote a
            // secret.
            let path = error.path().to_string();
            let remedy = "look the key up in docs/configuration.md";
            diagnostics.reject(&path, Fault::new("cannot be read", remedy));
            None
        }
    };
    match (diagnostics.into_problems(), config) {
        // With problems, the settings may lack optional values that were invalid.
        (Some(problems), _) => Err(problems),
        (None, Some(config)) => Ok(config),
        (None, None) => unreachable!("a section that does not resolve has a problem"),
    }
}

fn unreadable(file: &Arc<str>, error: &io::Error) -> ConfigProblem {
    let what = if error.kind() == io::ErrorKind::NotFound {
        "no such file".to_owned()
    } else {
        format!("cannot be read: {error}")
    };
    let remedy = "name the configuration with --config or GATEWAY_CONFIG";
    file_problem(file, Fault::new(what, remedy))
}

fn not_utf8(file: &Arc<str>) -> ConfigProblem {
    file_problem(file, Fault::new("not UTF-8", "write the file as UTF-8"))
}

fn file_problem(file: &Arc<str>, fault: Fault) -> ConfigProblem {
    ConfigProblem::new(Location::File(Arc::clone(file)), "", fault)
}

fn syntax(error: SyntaxError) -> ConfigProblem {
    let remedy = "see https://toml.io for the syntax of TOML";
    ConfigProblem::new(error.location, "", Fault::new(error.message, remedy))
}
