//! The PROXY protocol: the header in which a TCP load balancer names the client (specification:
//! `proxy-protocol.txt`; version 1 is a line of text, version 2 is binary).
//!
//! Exactly the bytes of the header are read. The next byte is the first of the client's TLS or HTTP
//! bytes, which have a reader of their own, so nothing may be read ahead into a buffer here.

use std::{io, net::IpAddr};

use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The first bytes of a connection are not a PROXY header.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// Neither version's signature; often a health check, or a client that bypasses the balancer.
    #[error("connection does not begin with a PROXY header")]
    Missing,
    /// Longer than a header of its version may be (107 and 2048 bytes).
    #[error("PROXY header is too long")]
    TooLong,
    /// A syntax error, or an unknown version, command or family.
    #[error("PROXY header is malformed")]
    Malformed(#[source] proxy_header::Error),
    /// The connection ended within the header.
    #[error("connection ended within the PROXY header")]
    Truncated(#[from] io::Error),
}

/// Reads the header and returns the client's address.
///
/// `None` for `UNKNOWN`, `LOCAL` (the balancer's own connection, such as a health check) and
/// addresses that are not IP.
///
/// # Cancel safety
///
/// Not cancel safe: bytes that were read are lost, so the connection has to be closed.
pub async fn read<S>(stream: &mut S) -> Result<Option<IpAddr>, HeaderError>
where
    S: AsyncRead + Unpin,
{
    // The shortest header of each version, `PROXY UNKNOWN\r\n` and 16 bytes, is longer.
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == SIGNATURE {
        read_rest_of_v2(stream, &mut header).await?;
    } else if header.starts_with(b"PROXY ") {
        read_rest_of_v1(stream, &mut header).await?;
    } else {
        return Err(HeaderError::Missing);
    }
    let config = ParseConfig {
        include_tlvs: false,
        allow_v1: true,
        allow_v2: true,
    };
    let (parsed, length) = ProxyHeader::parse(&header, config).map_err(HeaderError::Malformed)?;
    if length != header.len() {
        return Err(HeaderError::Malformed(proxy_header::Error::Invalid));
    }
    Ok(parsed.proxied_address().map(|address| address.source.ip()))
}

/// Reads version and command, family, two bytes of length, and that many bytes (§ 2.2).
async fn read_rest_of_v2<S>(stream: &mut S, header: &mut Vec<u8>) -> Result<(), HeaderError>
where
    S: AsyncRead + Unpin,
{
    let mut fixed = [0; 4];
    stream.read_exact(&mut fixed).await?;
    let [_, _, high, low] = fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_V2 {
        return Err(HeaderError::TooLong);
    }
    header.extend(fixed);
    let begin = header.len();
    header.resize(begin + length, 0);
    let rest = header.get_mut(begin..).unwrap_or_default();
    stream.read_exact(rest).await?;
    Ok(())
}

/// Reads to the end of the line (§ 2.1), byte by byte: the byte after it is the client's.
async fn read_rest_of_v1<S>(stream: &mut S, header: &mut Vec<u8>) -> Result<(), HeaderError>
where
    S: AsyncRead + Unpin,
{
    while !header.ends_with(b"\r\n") {
        if header.len() >= MAX_V1 {
            return Err(HeaderError::TooLong);
        }
        header.push(stream.read_u8().await?);
    }
    Ok(())
}

/// The first bytes of version 2 (§ 2.2).
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest line of version 1 with its line end (§ 2.1).
const MAX_V1: usize = 107;

/// A Unix socket address has 216 bytes; TLVs about TLS and the balancer add some hundred.
const MAX_V2: usize = 2048;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proptest::prelude::*;
    use proxy_header::ProxiedAddress;

    use super::*;

    fn header(source: SocketAddr, version: u8) -> Vec<u8> {
        let destination = match source {
            SocketAddr::V4(_) => "192.0.2.1:443",
            SocketAddr::V6(_) => "[2001:db8::1]:443",
        };
        let address = ProxiedAddress::stream(source, destination.parse().unwrap());
        let header = ProxyHeader::with_address(address);
        let mut bytes = Vec::new();
        match version {
            1 => header.encode_v1(&mut bytes).unwrap(),
            _ => header.encode_v2(&mut bytes).unwrap(),
        }
        bytes
    }

    /// Reads a header from bytes that arrive in pieces; the result, and the bytes that remain.
    fn parsed(bytes: &[u8], piece: usize) -> (Result<Option<IpAddr>, HeaderError>, Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut stream = pieces(bytes, piece);
            let outcome = read(&mut stream).await;
            let mut left = Vec::new();
            stream.read_to_end(&mut left).await.unwrap();
            (outcome, left)
        })
    }

    /// A stream that yields at most `piece` bytes at a time.
    fn pieces(bytes: &[u8], piece: usize) -> impl AsyncRead + Unpin {
        let (mut writer, reader) = tokio::io::duplex(piece);
        let bytes = bytes.to_vec();
        tokio::spawn(async move {
            use tokio::io::AsyncWriteExt;
            // The reader may stop early.
            let _ = writer.write_all(&bytes).await;
        });
        reader
    }

    fn error(bytes: &[u8]) -> String {
        parsed(bytes, 64).0.unwrap_err().to_string()
    }

    proptest! {
        #[test]
        fn both_versions_yield_the_address_and_leave_the_bytes_after_the_header(
            source: SocketAddr,
            version in 1u8..=2,
            piece in 1usize..200,
            rest in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut bytes = header(source, version);
            bytes.extend(&rest);
            let (read, left) = parsed(&bytes, piece);
            prop_assert_eq!(read.unwrap(), Some(source.ip()));
            prop_assert_eq!(left, rest);
        }

        #[test]
        fn any_bytes_are_parsed_or_rejected(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for begin in [&b""[..], b"PROXY ", b"PROXY TCP4 ", SIGNATURE, b"\r\n\r\n\0\r\nQUIT\n\x21\x11"] {
                let _ = parsed(&[begin, &bytes].concat(), 64);
            }
        }

        #[test]
        fn a_truncated_header_is_rejected(source: SocketAddr, version in 1u8..=2, cut: prop::sample::Index) {
            let bytes = header(source, version);
            let cut = &bytes[..cut.index(bytes.len())];
            prop_assert!(matches!(parsed(cut, 64).0, Err(HeaderError::Truncated(_))));
        }
    }

    #[test]
    fn local_and_unknown_headers_have_no_address() {
        for bytes in [
            &b"PROXY UNKNOWN\r\n"[..],
            b"PROXY UNKNOWN ::1 ::2 1 2\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
        ] {
            assert_eq!(parsed(bytes, 64).0.unwrap(), None, "{bytes:?}");
        }
        let mut unix = [SIGNATURE, b"\x21\x31\0\xd8"].concat();
        unix.resize(unix.len() + 216, b'x');
        assert_eq!(parsed(&unix, 64).0.unwrap(), None);
    }

    #[test]
    fn each_invalid_header_has_its_error() {
        for (bytes, expected) in [
            (
                &b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..],
                "connection does not begin with a PROXY header",
            ),
            (
                b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03xxxx",
                "connection does not begin with a PROXY header",
            ),
            (
                b"PROXY TCP4 1.2.3.4",
                "connection ended within the PROXY header",
            ),
            (
                b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
                "PROXY header is malformed",
            ),
            (
                b"PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n",
                "PROXY header is malformed",
            ),
            (
                b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
                "PROXY header is malformed",
            ),
            (
                b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
                "PROXY header is malformed",
            ),
            (
                b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\x0cxxxxyyyyaabb",
                "PROXY header is malformed",
            ),
            (
                b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04xxxx",
                "PROXY header is malformed",
            ),
            (
                b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
                "PROXY header is too long",
            ),
        ] {
            assert_eq!(error(bytes), expected, "{bytes:?}");
        }
        let line = [b"PROXY UNKNOWN ", &[b'x'; 200][..], b"\r\n"].concat();
        assert_eq!(error(&line), "PROXY header is too long");
    }
}
