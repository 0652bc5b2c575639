//! Warnings of `check` about certificates that are valid and do not fit the public address.

use super::{Workplace, text};

#[test]
fn unusual_certificates_are_valid_and_warned_of() {
    let place = Workplace::new();
    let listen = r#"http = "127.0.0.1:8080""#;
    let pair = |name: &str| format!("certificate = \"{name}.crt\"\nkey = \"{name}.key\"\n");
    let acme = "[tls.acme]\naccept_terms = true\nstorage = \"acme\"\n";
    for (tls, expected) in [
        (format!("[tls]\n{}", pair("tls")), ""),
        (
            format!("[tls]\n{}", pair("other")),
            "tls: no certificate is for meet.example.org, the host of public_url, but for other.example.org; \
             browsers refuse it",
        ),
        (
            format!(
                "[tls]\n{}[[tls.additional]]\n{}",
                pair("other"),
                pair("tls")
            ),
            "",
        ),
        (
            format!("[tls]\n{}[[tls.additional]]\n{}", pair("tls"), pair("tls")),
            "tls.additional[1]: tls.crt is for meet.example.org, as an earlier certificate is; clients get it only if \
             they cannot verify the earlier key",
        ),
        (acme.to_owned(), ""),
        (
            format!("{acme}names = [\"other.example.org\"]\n"),
            "tls.acme.names: meet.example.org, the host of public_url, is not among them",
        ),
    ] {
        place.change(
            listen,
            &format!("{listen}\nhttps = \"127.0.0.1:8443\"\n{tls}"),
        );
        let output = place.run(&["check"], &[]);
        assert_eq!(output.status.code(), Some(0), "{tls}");
        let forgets = format!("warning: {}\n", config::FORGETS_REVOCATIONS);
        let said = text(&output.stderr).replace(&forgets, "");
        let expected = match expected {
            "" => String::new(),
            expected => format!("warning: {expected}\n"),
        };
        assert_eq!(said, expected, "{tls}");
    }
}
