use model::random::Random;

use super::*;
use crate::{JitsiEnv, Provider, RoomEntry};

fn deployment(platform: Platform, provider: Provider, entry: RoomEntry) -> Deployment {
    Deployment {
        public_url: "https://meet.example.org".parse().unwrap(),
        platform,
        provider,
        issuer: provider.issuer_example().to_owned(),
        client_id: "jitsi \"x\"".to_owned(),
        client_secret: Some(SecretString::from("the client secret")),
        workspace: provider.is_public().then(|| "example.org".to_owned()),
        entry,
        moderators: vec!["group:staff".to_owned()],
        jitsi: JitsiEnv::default(),
    }
}

fn target() -> Target {
    Target {
        directory: "/srv/gateway".to_owned(),
        uid: 1000,
        gid: 1000,
    }
}

fn text_of<'s>(setup: &'s Setup, path: &str) -> &'s str {
    let file = setup.files.iter().find(|file| file.path == Path::new(path));
    &file.unwrap_or_else(|| panic!("no {path}")).contents
}

/// Loads the configuration with the files where they were written; the certificate is a new one.
fn load(setup: &Setup) -> Result<config::Config, config::ConfigProblems> {
    let directory = tempfile::tempdir().unwrap();
    NewFile::write_all(&setup.files, directory.path()).unwrap();
    let own = rcgen::generate_simple_self_signed(["meet.example.org".to_owned()]).unwrap();
    for (variable, path) in &setup.check_paths {
        let path = directory.path().join(path);
        let pem = match *variable {
            "GATEWAY__TLS__CERTIFICATE" => own.cert.pem(),
            "GATEWAY__TLS__KEY" => own.signing_key.serialize_pem(),
            _ => continue,
        };
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let key = NewFile {
            path: Path::new("x"),
            purpose: "",
            is_secret: true,
            contents: Zeroizing::new(pem),
        };
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        NewFile::write_all(&[key], &directory.path().join("temporary")).unwrap();
        std::fs::rename(directory.path().join("temporary/x"), path).unwrap();
    }
    let file = directory.path().join("copy.toml");
    std::fs::write(&file, &setup.gateway_toml).unwrap();
    let variables = setup.check_paths.iter();
    let variables = variables.map(|(name, path)| (*name, directory.path().join(path)));
    config::load(&file, &config::Environment::from_variables(variables))
}

#[test]
fn each_answer_makes_a_configuration_without_a_problem() {
    for platform in Platform::ALL {
        for provider in Provider::all() {
            for entry in RoomEntry::ALL {
                let own = deployment(platform, provider, entry);
                let setup = own.compose(&target(), &Random::predictable(1));
                let loaded = load(&setup);
                let config = loaded
                    .unwrap_or_else(|problems| panic!("{platform} {provider} {entry}: {problems}"));
                assert_eq!(config.public_url.origin(), "https://meet.example.org");
                let [oidc] = &config.oidc[..] else {
                    panic!("one provider");
                };
                assert_eq!(oidc.client_id, own.client_id);
                assert_eq!(oidc.issuer, own.issuer);
                assert!(config.insecure_switches.is_empty());
            }
        }
    }
}

#[test]
fn secrets_are_new_and_in_their_files_only() {
    let provider = "keycloak".parse().unwrap();
    for platform in Platform::ALL {
        let own = deployment(platform, provider, RoomEntry::Link);
        let [first, second] = [1, 2].map(|seed| own.compose(&target(), &Random::predictable(seed)));
        let [session_key, app_secret, client_secret] = own.secret_paths();
        assert_ne!(text_of(&first, session_key), text_of(&second, session_key));
        assert_ne!(text_of(&first, app_secret), text_of(&second, app_secret));
        let secrets =
            [session_key, app_secret, client_secret].map(|path| text_of(&first, path).trim());
        for file in &first.files {
            let has_secret = secrets.iter().any(|secret| file.contents.contains(secret));
            assert_eq!(has_secret, file.is_secret, "{}", file.path.display());
        }
        let printed = format!(
            "{:?}{:?}{:?}{first:?}",
            first.registration, first.jitsi, first.commands
        );
        assert!(!secrets.iter().any(|secret| printed.contains(secret)));
    }
}

#[test]
fn a_file_of_jitsi_is_kept_where_it_fits() {
    let text = "PUBLIC_URL=https://meet.example.org\nXMPP_DOMAIN=xmpp.example.org\nENABLE_AUTH=1\n\
                AUTH_TYPE=jwt\nJWT_APP_ID=shop\nJWT_APP_SECRET=0123456789abcdef0123456789abcdef\n\
                ENABLE_GUESTS=1\nXMPP_MUC_MODULES=polls_log\nJVB_PREFER_SCTP=0\n\
                PROSODY_TRUSTED_PROXIES=10.9.0.0/24\n";
    let mut own = deployment(Platform::Docker, "okta".parse().unwrap(), RoomEntry::Member);
    own.jitsi = JitsiEnv::parse(text).unwrap();
    let setup = own.compose(&target(), &Random::predictable(1));
    let lines = text_of(&setup, "jitsi.env");
    for absent in [
        "JWT_APP_SECRET",
        "JWT_APP_ID",
        "\nENABLE_AUTH=",
        "PUBLIC_URL",
        "PROSODY_TRUSTED_PROXIES",
    ] {
        assert!(!lines.contains(absent), "{absent}: {lines}");
    }
    assert!(lines.contains("\nENABLE_GUESTS=0  # was 1\n"), "{lines}");
    assert!(lines.contains("\nJVB_PREFER_SCTP=1  # was 0\n"), "{lines}");
    assert!(
        lines.contains("\nXMPP_MUC_MODULES=polls_log,token_affiliation"),
        "{lines}"
    );
    assert!(setup.jitsi.contains(&"ENABLE_GUESTS=0  (now 1)".to_owned()));
    let secret = text_of(&setup, "secrets/prosody.secret");
    assert_eq!(secret, "0123456789abcdef0123456789abcdef\n");
    for line in ["xmpp_domain = \"xmpp.example.org\"", "app_id = \"shop\""] {
        assert!(setup.gateway_toml.contains(line), "{}", setup.gateway_toml);
    }
}

#[test]
fn with_google_only_the_accounts_of_the_workspace_are_members() {
    for (entry, expected) in [
        (RoomEntry::Member, "enter = [\"claim:hd=example.org\"]"),
        (
            RoomEntry::Link,
            "enter = [\"claim:hd=example.org\", \"link\"]",
        ),
        (
            RoomEntry::Guest,
            "enter = [\"claim:hd=example.org\", \"link\", \"guest\"]",
        ),
        (RoomEntry::Open, "host = [\"claim:hd=example.org\"]"),
    ] {
        let own = deployment(Platform::Debian, "google".parse().unwrap(), entry);
        let setup = own.compose(&target(), &Random::predictable(1));
        assert!(
            setup.gateway_toml.contains(expected),
            "{}",
            setup.gateway_toml
        );
        assert!(!setup.gateway_toml.contains("\"member\""));
    }
}

/// `deploy/compose/existing` sets the same by hand.
#[test]
fn the_variables_of_docker_are_those_of_the_file_for_an_existing_jitsi() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/compose/existing/compose.gateway.yaml"
    );
    let by_hand = std::fs::read_to_string(file).unwrap();
    let own = deployment(
        Platform::Docker,
        "keycloak".parse().unwrap(),
        RoomEntry::Link,
    );
    let setup = own.compose(&target(), &Random::predictable(1));
    let lines = text_of(&setup, "jitsi.env");
    let (_, services) = by_hand.split_once("\n  web:\n").unwrap();
    let variables = services.lines().filter_map(|line| {
        let (name, _) = line.trim().split_once(": ")?;
        let is_variable = |c: char| c.is_ascii_uppercase() || c == '_';
        name.chars().all(is_variable).then_some(name)
    });
    let variables: Vec<_> = variables.collect();
    assert!(variables.len() > 12, "{variables:?}");
    for name in variables {
        assert!(lines.contains(&format!("\n{name}=")), "{name}: {lines}");
    }
}

#[test]
fn the_steps_name_the_certificate_and_the_way_back() {
    let provider = "keycloak".parse().unwrap();
    for platform in [Platform::Docker, Platform::Debian] {
        let setup = deployment(platform, provider, RoomEntry::Link);
        let setup = setup.compose(&target(), &Random::predictable(1));
        let has_certificate = setup.jitsi.iter().any(|step| step.contains("[tls.acme]"));
        assert!(has_certificate, "{:?}", setup.jitsi);
        let position = |part: &str| {
            let found = setup.commands.iter().position(|line| line.contains(part));
            found.unwrap_or_else(|| panic!("{part}: {:?}", setup.commands))
        };
        match platform {
            Platform::Docker => assert!(position("cp .env env.before") < position(">>.env")),
            _ => assert!(position(" check ") < position("systemctl enable")),
        }
    }
}
