use std::fs;

use crate::cli::{Exit, tests::command};

/// Nothing listens there, so that the look at the provider ends at once.
const ISSUER: &str = "https://127.0.0.1:9/realms/main";

const BY_OPTIONS: &[&str] = &[
    "--public-url",
    "https://meet.example.org",
    "--provider",
    "keycloak",
    "--issuer",
    ISSUER,
    "--client-id",
    "jitsi",
    "--enter",
    "link",
    "--moderators",
    "group:staff",
];

/// Runs `init` in a directory.
fn init(directory: &str, words: &[&str], input: &str) -> (Exit, String, String) {
    let all = [&["init", "--directory", directory], words].concat();
    command(&all, input)
}

/// The files of a directory that are the same at each run: those without a new secret.
fn constant_files(directory: &str) -> Vec<(String, String)> {
    let secret = ["prosody.lua", "jitsi.env", "session.key", "prosody.secret"];
    let entries = fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths
        .filter(|path| path.is_file())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path))
        .filter(|(name, _)| !secret.contains(&&**name))
        .map(|(name, path)| {
            (
                name,
                fs::read_to_string(path).unwrap().replace(directory, "DIR"),
            )
        })
        .collect();
    files.sort();
    files
}

#[test]
fn answers_and_options_write_the_same_files() {
    for (number, platform, names, next) in [
        (
            1,
            "docker",
            &["compose.gateway.yaml", "gateway.toml"][..],
            "up --detach",
        ),
        (
            2,
            "debian",
            &["gateway.toml"],
            "systemctl enable --now jitsi-auth-gateway",
        ),
        (
            3,
            "kubernetes",
            &["values.yaml"],
            "helm --namespace meet install gateway",
        ),
    ] {
        let parent = tempfile::tempdir().unwrap();
        let directory = |name: &str| parent.path().join(name).display().to_string();
        let (by_options, by_answers) = (directory("options"), directory("answers"));
        let options = [BY_OPTIONS, &["--platform", platform]].concat();
        let (exit, output, error) = init(&by_options, &options, "");
        assert_eq!(exit, Exit::Done, "{output}{error}");
        let answers = format!("https://meet.example.org\n{number}\n\n{ISSUER}\n\n\ngroup:staff\n");
        let (exit, output, error) = init(&by_answers, &[], &answers);
        assert_eq!(exit, Exit::Done, "{output}{error}");
        let written = constant_files(&by_answers);
        assert_eq!(written, constant_files(&by_options), "{platform}");
        let found: Vec<_> = written.iter().map(|(name, _)| &**name).collect();
        assert_eq!(found, names, "{platform}");
        assert!(
            written
                .iter()
                .any(|(_, text)| text.contains("\"group:staff\"")),
            "{written:?}"
        );
        for expected in [
            "https://meet.example.org/_gateway/callback",
            "warning: the provider cannot be reached",
            "Still to be done before it can start:\n  oidc.client_secret_file:",
            next,
        ] {
            assert!(output.contains(expected), "{expected}: {output}");
        }
        let secret = [
            "prosody.secret",
            "secrets/prosody.secret",
            "secrets/app-secret",
        ];
        let secret = secret.map(|file| fs::read_to_string(format!("{by_answers}/{file}")));
        let secret = secret.into_iter().find_map(Result::ok).unwrap();
        assert!(!output.contains(secret.trim()), "{platform}");
    }
}

#[test]
fn wrong_answers_are_asked_again_and_a_missing_one_names_its_option() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().display().to_string();
    let answers = "meet.example.org\nhttps://meet.example.org\n7\nkubernetes\nokta\n\
                   http://sso.example.org\n";
    let (exit, output, error) = init(&directory, &[], answers);
    assert_eq!(exit, Exit::Refused);
    for expected in [
        "not a URL; write it as https://meet.example.org",
        "answer docker, debian or kubernetes",
        "write an https URL",
    ] {
        assert!(output.contains(expected), "{expected}: {output}");
    }
    assert_eq!(
        error,
        "error: the input ended before an answer; give it with --issuer\n"
    );
    assert_eq!(
        fs::read_dir(&directory).unwrap().count(),
        0,
        "nothing is written"
    );
}

#[test]
fn a_configuration_that_exists_is_kept_before_a_question_is_asked() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gateway.toml");
    fs::write(&file, "# mine\n").unwrap();
    let (exit, output, error) = init(&directory.path().display().to_string(), &[], "");
    assert_eq!((exit, &*output), (Exit::Refused, ""));
    assert!(
        error.contains("gateway.toml exists; nothing was written"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(file).unwrap(), "# mine\n");
}

#[test]
fn options_are_refused_before_a_question_is_asked() {
    for (words, expected) in [
        (["--issuer", "http://sso.example.org"], "write an https URL"),
        (
            ["--public-url", "http://meet.example.org"],
            "not an https URL",
        ),
        (
            ["--platform", "windows"],
            "[possible values: docker, debian, kubernetes]",
        ),
        (
            ["--moderators", "staff"],
            "answer owner, member, or conditions",
        ),
        (["--workspace", "example"], "write a domain"),
        (["--from-env", "/nonexistent/.env"], "/nonexistent/.env: "),
        (
            ["--client-secret-file", "/nonexistent/x"],
            "/nonexistent/x: ",
        ),
        (["--directory", "/tmp/a b"], "choose a --directory"),
    ] {
        let (exit, _, error) = command(&[&["init"][..], &words].concat(), "");
        assert_eq!(exit, Exit::Refused, "{words:?}");
        assert!(error.contains(expected), "{words:?}: {error}");
    }
}

#[test]
fn the_env_file_of_jitsi_answers_two_questions() {
    let directory = tempfile::tempdir().unwrap();
    let env = directory.path().join(".env");
    fs::write(
        &env,
        "PUBLIC_URL=https://meet.example.org/\nENABLE_GUESTS=1\n",
    )
    .unwrap();
    let target = directory.path().join("gateway").display().to_string();
    let words = [
        "--from-env",
        &env.display().to_string(),
        "--provider",
        "google",
    ];
    let (exit, output, error) = init(&target, &words, "example.org\n\n3\n\n");
    assert_eq!(exit, Exit::Done, "{output}{error}");
    assert!(output.contains("ENABLE_GUESTS=0  (now 1)"), "{output}");
    assert_eq!(
        fs::read_to_string(env).unwrap().lines().count(),
        2,
        "it is read only"
    );
    let toml = fs::read_to_string(format!("{target}/gateway.toml")).unwrap();
    assert!(toml.contains("\"claim:hd=example.org\""), "{toml}");
}
