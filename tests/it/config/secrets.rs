//! A secret is the same from the configuration, an environment variable and a file.

use config::{self, Environment};
use secrecy::ExposeSecret;

use super::{GOOD, Workplace};

/// What is written, and the secret; `None` is refused.
const WRITTEN: &[(&str, Option<&str>)] = &[
    ("hush-7Kq2", Some("hush-7Kq2")),
    ("hush-7Kq2\n", Some("hush-7Kq2")),
    ("hush-7Kq2\r\n", Some("hush-7Kq2")),
    ("hush-7Kq2\n\n", Some("hush-7Kq2")),
    ("\nhush-7Kq2\n", Some("hush-7Kq2")),
    ("\u{feff}hush-7Kq2", Some("hush-7Kq2")),
    ("\u{feff}hush-7Kq2\r\n", Some("hush-7Kq2")),
    // Blanks may belong to it.
    ("hush 7Kq2", Some("hush 7Kq2")),
    (" hush-7Kq2 \n", Some(" hush-7Kq2 ")),
    ("hush-7Kq2\t", Some("hush-7Kq2\t")),
    ("a+b/c=$%&:\u{fc}\"'", Some("a+b/c=$%&:\u{fc}\"'")),
    ("hush\n7Kq2\n", Some("hush\n7Kq2")),
    ("", None),
    ("\n", None),
    ("\r\n\r\n", None),
    (" ", None),
    (" \t\n", None),
    ("\u{feff}", None),
    ("\u{feff}\n", None),
    ("changeme\n", None),
    ("\u{feff}<client secret>\n", None),
];

#[test]
fn a_secret_is_the_same_from_every_source() {
    let place = Workplace::new();
    let path = place.0.path().join("gateway.toml");
    let file = place.0.path().join("written.secret");
    let file = file.to_str().unwrap();
    let root = place.0.path().display();
    let good = GOOD
        .replace("\"session.key\"", &format!("\"{root}/session.key\""))
        .replace("\"prosody.secret\"", &format!("\"{root}/prosody.secret\""));
    let with = |lines: &str| good.replace("[session]\n", &format!("{lines}[session]\n"));
    let variable = |key: &str, value: &str| {
        Environment::from_variables([(format!("GATEWAY__OIDC__{key}"), value.to_owned())])
    };
    for (written, secret) in WRITTEN {
        place.private("written.secret", written);
        let inline = format!("client_secret = {}\n", toml::Value::from(*written));
        let of_file = format!("client_secret_file = \"{file}\"\n");
        for (source, lines, environment) in [
            ("inline", inline, Environment::default()),
            ("file", of_file, Environment::default()),
            (
                "variable",
                String::new(),
                variable("CLIENT_SECRET", written),
            ),
            (
                "variable of a file",
                String::new(),
                variable("CLIENT_SECRET_FILE", file),
            ),
        ] {
            place.private("gateway.toml", &with(&lines));
            let config = config::load(&path, &environment);
            let found = match &config {
                Ok(config) => {
                    let provider = &config.oidc[0];
                    provider
                        .client_secret
                        .as_ref()
                        .map(ExposeSecret::expose_secret)
                }
                Err(problems) => {
                    let said = problems.to_string();
                    assert!(said.contains("oidc.client_secret"), "{source}: {said}");
                    assert!(secret.is_none(), "{written:?} from {source}: {said}");
                    None
                }
            };
            assert_eq!(found, *secret, "{written:?} from {source}");
        }
    }
}
