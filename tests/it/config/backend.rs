//! The backend: a self-hosted Jitsi or `JaaS`, and the sections of each.

use config::{self, BackendConfig, Config, ConfigProblems, Environment};
use model::jaas::JaasFeature;

use super::{Workplace, mistakes::GOOD};

const JAAS: &str = r#"
[jaas]
app_id = "vpaas-magic-cookie-0123456789abcdef"
key_id = "4f4910"
key_file = "jaas.key"
"#;

fn place(text: &str) -> Workplace {
    let place = Workplace::new();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    place.private("jaas.key", &key.serialize_pem());
    place.private("gateway.toml", text);
    place
}

/// The valid configuration with `[upstream]` and `[token]` replaced.
fn without_jitsi(instead: &str) -> String {
    let (before, rest) = GOOD.split_once("[upstream]").unwrap();
    let (_, rest) = rest.split_once("[oidc]").unwrap();
    let (middle, rest) = rest.split_once("[token]").unwrap();
    let (_, after) = rest.split_once("[[room]]").unwrap();
    format!("{before}[oidc]{middle}[[room]]{after}{instead}")
}

fn load(place: &Workplace) -> Result<Config, ConfigProblems> {
    let key = place.0.path().join("jaas.key");
    let session = place.0.path().join("session.key");
    let secret = place.0.path().join("prosody.secret");
    let text = std::fs::read_to_string(place.0.path().join("gateway.toml")).unwrap();
    let mut variables = vec![("GATEWAY__SESSION__KEY_FILE", session)];
    if text.contains("key_file = \"jaas.key\"") {
        variables.push(("GATEWAY__JAAS__KEY_FILE", key));
    }
    if text.contains("[token]") {
        variables.push(("GATEWAY__TOKEN__SECRET_FILE", secret));
    }
    let variables = variables
        .into_iter()
        .map(|(name, path)| (name, path.to_str().unwrap().to_owned()));
    config::load(
        &place.0.path().join("gateway.toml"),
        &Environment::from_variables(variables),
    )
}

#[test]
fn jaas_requires_no_upstream_and_no_token() {
    let more = "host = \"stage.8x8.vc\"\nlifetime = \"30m\"\nfeatures = [\"recording\", \"sip-inbound-call\"]\n";
    let config = load(&place(&without_jitsi(&format!("{JAAS}{more}")))).unwrap();
    assert!(config.jitsi().is_none());
    let BackendConfig::Jaas(jaas) = config.backend else {
        panic!("{:?}", config.backend);
    };
    assert_eq!(jaas.key_id, "4f4910");
    assert_eq!(jaas.host, "stage.8x8.vc");
    assert_eq!(jaas.lifetime.as_secs(), 1800);
    assert_eq!(
        jaas.features,
        [JaasFeature::Recording, JaasFeature::SipInboundCall]
    );
}

#[test]
fn a_key_id_may_be_written_as_the_console_shows_it() {
    let shown = JAAS.replace(
        "\"4f4910\"",
        "\"vpaas-magic-cookie-0123456789abcdef/4f4910\"",
    );
    let config = load(&place(&without_jitsi(&shown))).unwrap();
    let BackendConfig::Jaas(jaas) = config.backend else {
        panic!("{:?}", config.backend);
    };
    assert_eq!((&*jaas.key_id, jaas.host.as_str()), ("4f4910", "8x8.vc"));
}

#[test]
fn every_mistake_in_jaas_is_one_line() {
    for (from, to, expected) in [
        (
            "vpaas-magic-cookie-0123456789abcdef",
            "0123456789abcdef",
            "18: jaas.app_id: not an AppID; copy it from 8x8's console; it begins with vpaas-magic-cookie-",
        ),
        (
            "4f4910",
            "vpaas-magic-cookie-other/4f4910",
            "19: jaas.key_id: the key of another AppID; copy the part after the slash from 8x8's console",
        ),
        (
            "4f4910",
            "4f 4910",
            "19: jaas.key_id: not a key id; copy the part after the slash from 8x8's console",
        ),
        (
            "\"jaas.key\"",
            "\"prosody.secret\"",
            "20: jaas.key_file: prosody.secret is not an RSA private key in PEM form; create one with openssl genrsa 2048",
        ),
        (
            "key_id = \"4f4910\"\n",
            "",
            "17: jaas.key_id: missing; add for example key_id = \"4f4910\"",
        ),
        (
            "key_file = \"jaas.key\"\n",
            "key_file = \"jaas.key\"\nhost = \"https://8x8.vc\"\n",
            "21: jaas.host: \"https://8x8.vc\" is not a host; write it as 8x8.vc",
        ),
        (
            "key_file = \"jaas.key\"\n",
            "key_file = \"jaas.key\"\nhost = \"a@8x8.vc\"\n",
            "21: jaas.host: \"a@8x8.vc\" is not a host; write it as 8x8.vc",
        ),
        (
            "key_file = \"jaas.key\"\n",
            "key_file = \"jaas.key\"\nfeatures = [\"recordings\"]\n",
            "21: jaas.features[1]: unknown value \"recordings\"; did you mean \"recording\"",
        ),
    ] {
        assert_eq!(JAAS.matches(from).count(), 1, "{from}");
        let text = without_jitsi(&JAAS.replace(from, to));
        let said = place(&text).check(&[]);
        assert_eq!(said, format!("gateway.toml:{expected}\n"), "{to}");
    }
}

#[test]
fn jaas_conflicts_with_upstream_token_and_reservation() {
    let said = place(&format!("{GOOD}{JAAS}")).check(&[]);
    assert_eq!(
        said,
        "gateway.toml:6: upstream: conflicts with [jaas]; remove [jaas] or [upstream]\n\
         gateway.toml:18: token: conflicts with [jaas]; remove [jaas] or [token]\n"
    );
    let listen = "[reservation]\nlisten = \"127.0.0.1:9091\"\n";
    let said = place(&without_jitsi(&format!("{JAAS}{listen}"))).check(&[]);
    assert_eq!(
        said,
        "gateway.toml:21: reservation: conflicts with [jaas]; remove [jaas] or [reservation]\n"
    );
}

#[test]
fn without_jaas_upstream_and_token_are_required() {
    let said = place(&without_jitsi("")).check(&[]);
    for key in ["upstream.web", "upstream.xmpp_domain", "token.app_id"] {
        assert!(said.contains(&format!("{key}: missing")), "{said}");
    }
    assert!(!said.contains("jaas"), "{said}");
    // An invalid [jaas] makes [upstream] and [token] no requirement.
    let said = place(&format!("jaas = 3\n{}", without_jitsi(""))).check(&[]);
    assert_eq!(
        said,
        "gateway.toml:1: jaas: expected a table, found an integer; write a table\n"
    );
}

#[test]
fn reservation_requires_an_address() {
    assert!(load(&place(GOOD)).unwrap().reservation.is_none());
    let text =
        format!("{GOOD}[reservation]\nlisten = \"127.0.0.1:9091\"\nsecret = \"wXyZ-7f3kq-11\"\n");
    let reservation = load(&place(&text)).unwrap().reservation.unwrap();
    assert_eq!(reservation.listen.port(), 9091);
    assert!(reservation.secret.is_some());
    assert!(!format!("{reservation:?}").contains("wXyZ"));
    for (section, expected) in [
        (
            "[reservation]\nlisten = \"9091\"",
            "26: reservation.listen: \"9091\" is not an address and a port; write it as 0.0.0.0:8080 or [::]:8080",
        ),
        (
            "[reservation]\nsecret = \"wXyZ-7f3kq-11\"",
            "25: reservation.listen: missing; add for example listen = \"127.0.0.1:9091\"",
        ),
    ] {
        let said = place(&format!("{GOOD}{section}\n")).check(&[]);
        assert_eq!(said, format!("gateway.toml:{expected}\n"));
    }
}
