//! Where a listener listens: an address and port, or a Unix socket.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

/// The address of a listener: `0.0.0.0:8080`, `[::]:8080`, or `unix:` and an absolute path, as nginx writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// An IP address and a TCP port.
    Tcp(SocketAddr),
    /// The file of a Unix socket.
    Unix(SocketPath),
}

/// The path of a Unix socket's file: absolute, and short enough for the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketPath(PathBuf);

/// A text is not the address of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenAddressError {
    /// Neither an address and port nor a Unix socket.
    #[error("not an address and a port, and not unix: with a path")]
    Form,
    /// The working directory of the proxy in front is another one.
    #[error("the path of the socket is relative")]
    Relative,
    /// The path ends in `/`, `/..`, or has a control character.
    #[error("the path names no file")]
    NoFile,
    /// `sun_path` has 108 bytes (unix(7)).
    #[error("the path of the socket is longer than {MAX_PATH_BYTES} bytes")]
    TooLong,
}

// === impl ListenAddress ===

impl ListenAddress {
    /// The address and port, if it has one.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// The path, if it is a Unix socket.
    pub fn unix(&self) -> Option<&SocketPath> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(path) => Some(path),
        }
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix(SCHEME) {
            Some(path) => path.parse().map(Self::Unix),
            None => match text.parse() {
                Ok(address) => Ok(Self::Tcp(address)),
                Err(_) => Err(ListenAddressError::Form),
            },
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.fmt(f),
        }
    }
}

// === impl SocketPath ===

impl SocketPath {
    /// The path of the file.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// The directory of the file.
    pub fn directory(&self) -> &Path {
        self.0.parent().unwrap_or(&self.0)
    }

    /// A path beside it, under which a socket is bound before it gets its name.
    pub(super) fn provisional(&self, number: u8) -> PathBuf {
        self.directory().join(format!(".sock-{number}"))
    }

    /// The path of a socket that another process bound.
    pub(super) fn of_bound(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl FromStr for SocketPath {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = Path::new(text);
        if !path.is_absolute() {
            return Err(ListenAddressError::Relative);
        }
        let is_file = path.file_name().is_some() && !text.ends_with(['/', '.']);
        if !is_file || text.chars().any(char::is_control) {
            return Err(ListenAddressError::NoFile);
        }
        let path = Self(path.to_owned());
        let longest = path.provisional(0).as_os_str().len().max(text.len());
        if longest > MAX_PATH_BYTES {
            return Err(ListenAddressError::TooLong);
        }
        Ok(path)
    }
}

impl fmt::Display for SocketPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.0.display())
    }
}

const SCHEME: &str = "unix:";

/// Without the zero byte at the end of `sun_path`.
const MAX_PATH_BYTES: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_unix_sockets_are_written_as_they_are_parsed() {
        for text in ["0.0.0.0:8080", "[::1]:9090", "unix:/run/gateway/http.sock"] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(address.unix().is_some(), text.starts_with("unix:"));
            assert_eq!(address.tcp().is_none(), text.starts_with("unix:"));
        }
    }

    #[test]
    fn other_texts_are_not_addresses() {
        use ListenAddressError::{Form, NoFile, Relative, TooLong};
        let longest = format!("unix:/{}", "x".repeat(106));
        assert!(longest.parse::<ListenAddress>().is_ok());
        // The directory leaves no room for the provisional name.
        let directory = format!("unix:/{}/x", "x".repeat(101));
        for (text, expected) in [
            ("", Form),
            (":8080", Form),
            ("/run/http.sock", Form),
            ("unix:run/http.sock", Relative),
            ("unix:@abstract", Relative),
            ("unix:", Relative),
            ("unix:/", NoFile),
            ("unix:/run/", NoFile),
            ("unix:/run/..", NoFile),
            ("unix:/run/.", NoFile),
            ("unix:/run/a\0b", NoFile),
            (&format!("{longest}x"), TooLong),
            (&directory, TooLong),
        ] {
            assert_eq!(text.parse::<ListenAddress>(), Err(expected), "{text:?}");
        }
    }
}
