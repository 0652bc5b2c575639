//! Warnings of `check` about certificates that are valid and do not fit the public address.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

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
            "tls.additional[1].certificate: tls.crt is for meet.example.org, as an earlier certificate is; clients get it only if \
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

#[test]
fn a_public_address_is_among_the_addresses_of_the_certificate() {
    let place = Workplace::new();
    let key = KeyPair::generate().unwrap();
    let names = ["192.0.2.7".to_owned(), "2001:db8::7".to_owned()];
    let certificate = CertificateParams::new(names).unwrap();
    place.private("ip.crt", &certificate.self_signed(&key).unwrap().pem());
    place.private("ip.key", &key.serialize_pem());
    let listen = r#"http = "127.0.0.1:8080""#;
    let tls = "https = \"127.0.0.1:8443\"\n[tls]\ncertificate = \"ip.crt\"\nkey = \"ip.key\"";
    place.change(listen, &format!("{listen}\n{tls}"));
    for (host, expected) in [
        ("192.0.2.7", ""),
        ("[2001:db8::7]", ""),
        (
            "192.0.2.8",
            "warning: tls: no certificate is for 192.0.2.8, the host of public_url, but for 192.0.2.7, 2001:db8::7; \
             browsers refuse it\n",
        ),
    ] {
        let public_url = format!("https://{host}");
        let variables = [
            ("GATEWAY__STORE__DIRECTORY", "state"),
            ("GATEWAY__PUBLIC_URL", public_url.as_str()),
        ];
        let output = place.run(&["check"], &variables);
        assert_eq!(output.status.code(), Some(0), "{host}: {output:?}");
        assert_eq!(text(&output.stderr), expected, "{host}");
    }
}

/// The limits of times and the forms of chains are in `certificate_chain.rs`.
#[test]
fn an_expired_certificate_and_an_incomplete_chain_are_warned_of() {
    let place = Workplace::new();
    let mut authority = CertificateParams::default();
    authority
        .distinguished_name
        .push(DnType::CommonName, "Unknown CA");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = Issuer::new(authority, KeyPair::generate().unwrap());
    let mut leaf = CertificateParams::new(["meet.example.org".to_owned()]).unwrap();
    leaf.not_after = date_time_ymd(2020, 1, 1);
    let key = KeyPair::generate().unwrap();
    place.private("old.crt", &leaf.signed_by(&key, &issuer).unwrap().pem());
    place.private("old.key", &key.serialize_pem());
    let listen = r#"http = "127.0.0.1:8080""#;
    let tls = "https = \"127.0.0.1:8443\"\n[tls]\ncertificate = \"old.crt\"\nkey = \"old.key\"";
    place.change(listen, &format!("{listen}\n{tls}"));
    let output = place.run(&["check"], &[("GATEWAY__STORE__DIRECTORY", "state")]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        text(&output.stderr),
        "warning: tls.certificate: old.crt expired at 2020-01-01T00:00:00Z; browsers refuse it\n\
         warning: tls.certificate: old.crt lacks the certificate of CN=Unknown CA, which this machine does not know \
         as an authority; append the intermediate certificates\n"
    );
}

#[test]
fn the_certificate_of_a_client_is_warned_of_when_it_expires() {
    let place = Workplace::new();
    let key = KeyPair::generate().unwrap();
    place.private("client.key", &key.serialize_pem());
    let keys = "client_id = \"jitsi\"\nclient_auth = \"private_key_jwt\"\nclient_key_file = \"client.key\"\nclient_certificate_file = \"client.crt\"";
    let of = |year| {
        let mut params = CertificateParams::new(["jitsi".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        params.self_signed(&key).unwrap().pem()
    };
    let expired = "warning: oidc.client_certificate_file: the certificate for https://sso.example.org/realms/main expired at \
                   2020-01-01T00:00:00Z; the provider refuses it\n";
    for (year, expected) in [(2020, expired), (2400, "")] {
        place.private("client.crt", &of(year));
        place.change("client_id = \"jitsi\"", keys);
        let output = place.run(&["check"], &[("GATEWAY__STORE__DIRECTORY", "state")]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr), expected);
    }
}
