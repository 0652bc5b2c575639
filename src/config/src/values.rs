//! Parsers of string values: addresses, networks, URLs, domains, names, patterns.

mod duration;
mod size;
mod url;

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use ipnet::IpNet;
use proxy::server::{ListenAddress, ListenAddressError, SocketMode};
use rustls::pki_types::{CertificateDer, pem::PemObject};

pub(super) use self::{
    duration::{DAY, DurationText, HOUR, MINUTE, seconds},
    size::{KIB, MIB, SizeText},
    url::{parse_http_authority, parse_https_origin, parse_https_url, parse_url},
};
use super::{problem::Fault, secret};

/// Parses an IP address and port to listen on.
pub(super) fn parse_socket_address(text: &str) -> Result<SocketAddr, Fault> {
    text.parse().map_err(|_| {
        Fault::new(
            format!("{text:?} is not an address and a port"),
            "write it as 0.0.0.0:8080 or [::]:8080",
        )
    })
}

/// Parses an address to listen on: an IP address and port, or a Unix socket.
pub(super) fn parse_listen_address(text: &str) -> Result<ListenAddress, Fault> {
    let example = "unix:/run/jitsi-auth-gateway/http.sock";
    text.parse().map_err(|error| match error {
        ListenAddressError::Form => Fault::new(
            format!("{text:?} is not an address and a port"),
            format!("write it as 0.0.0.0:8080, [::]:8080 or {example}"),
        ),
        ListenAddressError::Relative | ListenAddressError::NoFile => {
            Fault::new(error.to_string(), format!("write it as {example}"))
        }
        ListenAddressError::TooLong => Fault::new(
            error.to_string(),
            format!("write a shorter one, as {example}"),
        ),
    })
}

/// Parses permissions of a file, in octal digits as for chmod(1).
pub(super) fn parse_socket_mode(text: &str) -> Result<SocketMode, Fault> {
    let is_octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let mode = u32::from_str_radix(text, 8).ok().filter(|_| is_octal);
    mode.and_then(SocketMode::new).ok_or_else(|| {
        Fault::new(
            format!("{text:?} is not a mode by which the gateway's account may connect"),
            "write it in octal digits, as \"0660\" or \"0666\"",
        )
    })
}

/// Parses a network in CIDR notation or a single address. Networks that contain every address are
/// rejected: they would trust any client.
pub(super) fn parse_network(text: &str) -> Result<IpNet, Fault> {
    let network: IpNet = text
        .parse()
        .or_else(|_| text.parse().map(|address: IpAddr| address.into()))
        .map_err(|_| {
            Fault::new(
                format!("{text:?} is not a network"),
                "write it as 10.0.0.0/8 or 2001:db8::/32",
            )
        })?;
    if network.prefix_len() == 0 {
        let remedy = "write only the networks of the proxies in front of the gateway";
        return Err(Fault::new("contains every address", remedy));
    }
    Ok(network.trunc())
}

/// Parses a host name, as XMPP domains are; returns it in lower case.
pub(super) fn parse_domain(text: &str) -> Result<String, Fault> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() <= 253 && text.split('.').all(is_label) {
        Ok(text.to_ascii_lowercase())
    } else {
        let remedy = "write a host name without scheme and port, as meet.jitsi";
        Err(Fault::new(format!("{text:?} is not a domain"), remedy))
    }
}

/// Parses a text for tokens and requests: printable, not empty, no spaces at the ends.
pub(super) fn parse_name(text: &str) -> Result<String, Fault> {
    let remedy = "write printable characters without spaces around them";
    if text.is_empty() {
        Err(Fault::new("empty", remedy))
    } else if text.trim() != text || text.chars().any(char::is_control) {
        Err(Fault::new(
            "begins or ends with a space, or contains a control character",
            remedy,
        ))
    } else {
        Ok(text.to_owned())
    }
}

/// Checks a pattern for room or tenant names, which contain no slash.
pub(super) fn check_pattern(text: &str) -> Result<(), Fault> {
    if text.trim().is_empty() {
        Err(Fault::new("matches no room", "write \"*\" for all"))
    } else if text.contains('/') {
        let remedy = "write the room in match and the tenant in tenant";
        Err(Fault::new("names have no slash", remedy))
    } else {
        Ok(())
    }
}

/// Reads a PEM file of certificate authorities; returns its text.
pub(super) fn read_ca_file(file: &str) -> Result<Vec<u8>, Fault> {
    let pem = secret::read_file(Path::new(file))?;
    let mut certificates = CertificateDer::pem_slice_iter(&pem);
    match certificates.next() {
        Some(Ok(_)) if certificates.all(|certificate| certificate.is_ok()) => Ok(pem),
        _ => Err(Fault::new(
            format!("{file} is not a PEM file of certificates"),
            "write the authorities' certificates into it",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_all_addresses_is_rejected() {
        assert_eq!(
            parse_network("10.1.2.3/8").unwrap().to_string(),
            "10.0.0.0/8"
        );
        assert_eq!(parse_network("::1").unwrap().to_string(), "::1/128");
        for text in ["0.0.0.0/0", "::/0", "localhost", "10.0.0.0/33"] {
            assert!(parse_network(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_domain_is_a_host_name_in_lower_case() {
        assert_eq!(parse_domain("Meet.Jitsi").unwrap(), "meet.jitsi");
        for text in ["", "a b", "a..b", "http://a", "a:5222", "-a", "a/b"] {
            assert!(parse_domain(text).is_err(), "{text}");
        }
    }
}
