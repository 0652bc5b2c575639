//! Unix sockets that listeners bind, and their files.
//!
//! A file whose process has ended is replaced; one at which a process accepts connections is an error. A socket
//! is bound under a provisional name, gets its permissions, listens, and is then renamed: a socket at the path
//! accepts connections and has its permissions at any time, also while it replaces another one.
//!
//! At the end the file is removed before the last connections are accepted, so that none is lost, and only if
//! it is the own one: the process that takes over may have replaced it. A process that begins to stop sets the
//! sticky bit of the file, which has no other meaning for sockets (inode(7)). By it, the next process may
//! replace the file although connections are still accepted, and none is refused in between.

use std::{
    fs::{self, Metadata, Permissions},
    io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use socket2::{Domain, SockAddr, Socket, Type};
use tracing::debug;

use super::{SocketPath, listener::BACKLOG};

/// The permissions of a socket's file. To connect takes the permission to write (unix(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketMode(u32);

/// A Unix socket cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum UnixSocketError {
    /// The gateway, or another program, uses the path.
    #[error("a process accepts connections there; stop it, or write another path")]
    InUse,
    /// Replacing the file would destroy it.
    #[error("the file is not a socket; remove it, or write another path")]
    NotSocket,
    /// The directory does not exist.
    #[error("its directory is missing; create it, or let systemd do it (RuntimeDirectory=)")]
    MissingDirectory,
    /// Permissions, a full disk.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The file of a bound socket; removed on drop unless another process has replaced it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: FileIdentity,
    released: bool,
}

/// Device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileIdentity(u64, u64);

// === impl SocketMode ===

impl SocketMode {
    /// The owner of the process only.
    pub const OWNER: Self = Self(0o600);

    /// The owner and the group of the process.
    pub const GROUP: Self = Self(0o660);

    /// Permissions to read and write, as of chmod(2); `None` if the owner may not connect, or if there are
    /// other bits.
    pub fn new(mode: u32) -> Option<Self> {
        let is_owner_writer = mode & 0o600 == 0o600;
        (is_owner_writer && mode & !0o777 == 0).then_some(Self(mode))
    }
}

/// Connects without waiting: a full backlog is [`io::ErrorKind::WouldBlock`].
pub fn connect_unix(path: &SocketPath) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.connect(&SockAddr::unix(path.as_path())?)?;
    socket.set_nonblocking(false)?;
    Ok(socket.into())
}

/// Binds a socket and listens on it; replaces a file that no process uses any more.
pub(super) fn bind_unix(
    path: &SocketPath,
    mode: SocketMode,
) -> Result<(UnixListener, SocketFile), UnixSocketError> {
    ensure_replaceable(path)?;
    let (socket, mut file) = bind_provisional(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => UnixSocketError::MissingDirectory,
        _ => UnixSocketError::Io(error),
    })?;
    fs::set_permissions(&file.path, Permissions::from_mode(mode.0))?;
    socket.listen(BACKLOG)?;
    fs::rename(&file.path, path.as_path())?;
    path.as_path().clone_into(&mut file.path);
    Ok((socket.into(), file))
}

/// Checks that a socket may get this path.
fn ensure_replaceable(path: &SocketPath) -> Result<(), UnixSocketError> {
    let metadata = match fs::symlink_metadata(path.as_path()) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if !metadata.file_type().is_socket() {
        return Err(UnixSocketError::NotSocket);
    }
    if metadata.mode() & ENDING != 0 {
        return Ok(());
    }
    match connect_unix(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error.into()),
        // Other errors are those of a full backlog, or of a datagram socket.
        Ok(_) | Err(_) => Err(UnixSocketError::InUse),
    }
}

/// Binds a socket that does not listen yet, so that no connection precedes its permissions.
fn bind_provisional(path: &SocketPath) -> io::Result<(Socket, SocketFile)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
    for number in 0..PROVISIONAL_NAMES {
        let provisional = path.provisional(number);
        match socket.bind(&SockAddr::unix(&provisional)?) {
            Ok(()) => return Ok((socket, SocketFile::of(provisional)?)),
            // Another process is binding, or ended while it was.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => refused = error,
            Err(error) => return Err(error),
        }
    }
    Err(refused)
}

// === impl SocketFile ===

impl SocketFile {
    fn of(path: PathBuf) -> io::Result<Self> {
        let identity = FileIdentity::of(&fs::symlink_metadata(&path)?);
        Ok(Self {
            path,
            identity,
            released: false,
        })
    }

    /// Lets the next process replace the file before this one ends.
    pub(super) fn release(&mut self) {
        self.released = true;
        let released = self.own_metadata().and_then(|metadata| match metadata {
            Some(metadata) => {
                let mode = metadata.permissions().mode() | ENDING;
                fs::set_permissions(&self.path, Permissions::from_mode(mode))
            }
            None => Ok(()),
        });
        log_failure(&self.path, released);
    }

    /// Whether the next process may replace the file.
    pub(super) fn is_released(&self) -> bool {
        self.released
    }

    /// The metadata, unless another process has replaced the file.
    fn own_metadata(&self) -> io::Result<Option<Metadata>> {
        match fs::symlink_metadata(&self.path) {
            Ok(metadata) => {
                let is_own = FileIdentity::of(&metadata) == self.identity;
                Ok(is_own.then_some(metadata))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let removed = self.own_metadata().and_then(|metadata| match metadata {
            Some(_) => fs::remove_file(&self.path),
            None => Ok(()),
        });
        log_failure(&self.path, removed);
    }
}

// === impl FileIdentity ===

impl FileIdentity {
    fn of(metadata: &Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }
}

/// The directory is gone, or belongs to another account by now; the next process will replace the file.
fn log_failure(path: &Path, outcome: io::Result<()>) {
    if let Err(error) = outcome {
        debug!(%error, path = %path.display(), "cannot change the file of a Unix socket");
    }
}

/// The sticky bit (`S_ISVTX`).
const ENDING: u32 = 0o1000;

/// Each is in use for less than a millisecond, unless a process ended during it.
const PROVISIONAL_NAMES: u8 = 10;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use tempfile::TempDir;

    use super::*;

    fn socket_in(directory: &TempDir) -> SocketPath {
        let path = directory.path().join("http.sock");
        path.to_str().unwrap().parse().unwrap()
    }

    fn bind(path: &SocketPath) -> Result<(UnixListener, SocketFile), UnixSocketError> {
        bind_unix(path, SocketMode::GROUP)
    }

    fn names(directory: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(directory.path()).unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        entries
            .map(|entry| name(entry).into_string().unwrap())
            .collect()
    }

    /// Whether the listener accepts the connection that is made at the path now.
    fn accepts(listener: &UnixListener, path: &SocketPath) -> bool {
        listener.set_nonblocking(true).unwrap();
        let mut client = connect_unix(path).unwrap();
        client.write_all(b"x").unwrap();
        // Those before it are the probes of `bind`.
        let mut accepted = std::iter::from_fn(|| listener.accept().ok());
        accepted.any(|(mut stream, _)| stream.read_exact(&mut [0]).is_ok())
    }

    #[test]
    fn a_bound_socket_has_its_permissions_and_is_removed_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = socket_in(&directory);
        for mode in [0o600, 0o660, 0o666] {
            let mode = SocketMode::new(mode).unwrap();
            let (listener, file) = bind_unix(&path, mode).unwrap();
            let metadata = fs::metadata(path.as_path()).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o7777, mode.0);
            assert!(accepts(&listener, &path));
            assert_eq!(names(&directory), ["http.sock"]);
            drop(file);
            assert!(names(&directory).is_empty());
        }
    }

    #[test]
    fn the_owner_has_to_be_able_to_connect() {
        for mode in [0o600, 0o660, 0o666, 0o777] {
            assert!(SocketMode::new(mode).is_some(), "{mode:o}");
        }
        for mode in [0, 0o060, 0o400, 0o200, 0o1660, 0o4600, 660] {
            assert!(SocketMode::new(mode).is_none(), "{mode:o}");
        }
    }

    #[test]
    fn a_file_without_a_process_is_replaced_and_one_with_a_process_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = socket_in(&directory);
        // The listener is closed as at the end of a process that was killed: its file stays.
        let (listener, file) = bind(&path).unwrap();
        let error = bind(&path).unwrap_err();
        assert!(matches!(error, UnixSocketError::InUse), "{error}");
        assert!(accepts(&listener, &path));
        drop(listener);
        std::mem::forget(file);
        assert_eq!(names(&directory), ["http.sock"]);
        let (listener, _file) = bind(&path).unwrap();
        assert!(accepts(&listener, &path));
    }

    #[test]
    fn a_full_backlog_is_that_of_a_process() {
        let directory = tempfile::tempdir().unwrap();
        let path = socket_in(&directory);
        let full = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        full.bind(&SockAddr::unix(path.as_path()).unwrap()).unwrap();
        full.listen(0).unwrap();
        let _waiting = connect_unix(&path).unwrap();
        let error = connect_unix(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let error = bind(&path).unwrap_err();
        assert!(matches!(error, UnixSocketError::InUse), "{error}");
    }

    #[test]
    fn other_files_are_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = socket_in(&directory);
        fs::write(path.as_path(), "content").unwrap();
        let error = bind(&path).unwrap_err();
        assert!(matches!(error, UnixSocketError::NotSocket), "{error}");
        assert_eq!(fs::read(path.as_path()).unwrap(), b"content");
        fs::remove_file(path.as_path()).unwrap();
        std::os::unix::fs::symlink("/dev/null", path.as_path()).unwrap();
        let error = bind(&path).unwrap_err();
        assert!(matches!(error, UnixSocketError::NotSocket), "{error}");
    }

    #[test]
    fn a_missing_directory_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = socket_in(&directory);
        drop(directory);
        let error = bind(&path).unwrap_err();
        assert!(
            matches!(error, UnixSocketError::MissingDirectory),
            "{error}"
        );
    }

    #[test]
    fn the_next_process_takes_over_from_one_that_is_about_to_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = socket_in(&directory);
        let (old, mut old_file) = bind(&path).unwrap();
        assert!(bind(&path).is_err());
        old_file.release();
        assert!(accepts(&old, &path));
        let (new, new_file) = bind(&path).unwrap();
        assert!(accepts(&new, &path));
        assert!(!accepts(&old, &path));
        // Neither the end nor a second signal of the old process concerns the new one's file.
        old_file.release();
        drop((old, old_file));
        let error = bind(&path).unwrap_err();
        assert!(matches!(error, UnixSocketError::InUse), "{error}");
        assert!(accepts(&new, &path));
        drop(new_file);
        assert!(names(&directory).is_empty());
    }

    #[test]
    fn a_name_that_a_killed_process_left_while_it_was_binding_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = socket_in(&directory);
        fs::write(path.provisional(0), "").unwrap();
        let (listener, _file) = bind(&path).unwrap();
        assert!(accepts(&listener, &path));
    }
}
