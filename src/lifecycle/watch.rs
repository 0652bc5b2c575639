//! Looks at the configuration and the files that it names, again and again: a mounted `ConfigMap` or
//! Secret changes without a signal.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::Reload;
use config::{Config, Problems, Written};

/// Tells when there is something else than what was seen last.
pub(super) struct Watch<'r> {
    reload: &'r Reload,
    every: Option<tokio::time::Interval>,
    seen: Seen,
}

/// What a look has found; wrong ones too, so that each is told of once.
#[derive(PartialEq, Eq)]
enum Seen {
    Right(Written),
    Wrong(Problems),
}

// === impl Watch ===

impl<'r> Watch<'r> {
    /// Begins with the configuration in use.
    pub(super) fn new(reload: &'r Reload, config: &Config) -> Self {
        Self {
            reload,
            every: config.reload_every.map(interval),
            seen: Seen::Right(config.written.clone()),
        }
    }

    /// SIGHUP: reopens the log files and reads the configuration, whether it changed or not.
    pub(super) fn hang_up(&mut self) -> Result<Config, Problems> {
        (self.reload.reopen_logs)();
        let found = (self.reload.read)();
        self.seen = Seen::of(&found);
        found
    }

    /// Waits until it is another than before, right or wrong.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Config, Problems> {
        loop {
            match &mut self.every {
                Some(every) => every.tick().await,
                None => std::future::pending().await,
            };
            let found = (self.reload.read)();
            let seen = Seen::of(&found);
            if seen != self.seen {
                self.seen = seen;
                return found;
            }
        }
    }
}

// === impl Seen ===

impl Seen {
    fn of(found: &Result<Config, Problems>) -> Self {
        match found {
            Ok(config) => Self::Right(config.written.clone()),
            Err(problems) => Self::Wrong(problems.clone()),
        }
    }
}

fn interval(every: Duration) -> tokio::time::Interval {
    let mut interval = interval_at(Instant::now() + every, every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
        path::{Path, PathBuf},
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use tokio::time::timeout;

    use super::*;
    use config::{self, Environment};

    /// A directory as the kubelet mounts one: files are links into a directory that is swapped whole.
    struct Mounted(tempfile::TempDir);

    impl Mounted {
        fn new(version: &str, files: &[(&str, &str)]) -> Self {
            let mounted = Self(tempfile::tempdir().unwrap());
            mounted.swap(version, files);
            for (name, _) in files {
                symlink(Path::new("..data").join(name), mounted.path().join(name)).unwrap();
            }
            mounted
        }

        fn swap(&self, version: &str, files: &[(&str, &str)]) {
            let at = self.path().join(version);
            fs::create_dir(&at).unwrap();
            for (name, content) in files {
                fs::write(at.join(name), content).unwrap();
                fs::set_permissions(at.join(name), fs::Permissions::from_mode(0o440)).unwrap();
            }
            symlink(version, self.path().join("..new")).unwrap();
            fs::rename(self.path().join("..new"), self.path().join("..data")).unwrap();
        }

        fn path(&self) -> &Path {
            self.0.path()
        }
    }

    fn text(secrets: &Path, enter: &str, more: &str) -> String {
        format!(
            r#"
public_url = "https://meet.example.org"
{more}
[listen]
http = "127.0.0.1:0"
[upstream]
web = "http://127.0.0.1:8000"
xmpp = "http://127.0.0.1:5280"
xmpp_domain = "meet.jitsi"
[oidc]
issuer = "https://sso.example.org"
client_id = "jitsi"
[session]
key = "bm9ib2R5IHdpbGwgZ3Vlc3MgdGhpcyBrZXksIGV2ZXI="
[token]
app_id = "gateway"
secret_file = "{}/app-secret"
[[room]]
match = "*"
enter = "{enter}"
"#,
            secrets.display()
        )
    }

    /// Reads a file, and counts how often logs are reopened.
    fn reload(file: PathBuf) -> (Reload, Arc<AtomicUsize>) {
        let reopened = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&reopened);
        let reload = Reload {
            read: Box::new(move || config::load(&file, &Environment::default())),
            reopen_logs: Box::new(move || {
                count.fetch_add(1, Ordering::Relaxed);
            }),
        };
        (reload, reopened)
    }

    const MINUTE: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn swapped_directories_are_noticed_and_what_is_wrong_is_told_once() {
        let first = "the first secret, long enough for HS256";
        let secret = Mounted::new("..1", &[("app-secret", first)]);
        let of = |enter: &str| text(secret.path(), enter, "");
        let config = Mounted::new("..1", &[("gateway.toml", &of("member"))]);
        let file = config.path().join("gateway.toml");
        let (reload, reopened) = reload(file);
        let mut watch = Watch::new(&reload, &(reload.read)().unwrap());
        assert!(
            timeout(MINUTE, watch.next()).await.is_err(),
            "nothing changed"
        );

        config.swap("..2", &[("gateway.toml", &of("link"))]);
        let began = Instant::now();
        watch.next().await.unwrap();
        assert!(began.elapsed() <= Duration::from_secs(30));

        secret.swap(
            "..2",
            &[("app-secret", "the second secret, long enough for HS256")],
        );
        watch.next().await.unwrap();
        assert!(
            timeout(MINUTE, watch.next()).await.is_err(),
            "it is told once"
        );

        config.swap("..3", &[("gateway.toml", &of("nobody at all"))]);
        let problems = watch.next().await.unwrap_err().to_string();
        assert!(problems.contains("room[1].enter"), "{problems}");
        assert!(
            timeout(MINUTE, watch.next()).await.is_err(),
            "it is told once"
        );
        // Back to what is in use: that is news again, because it was wrong in between.
        config.swap("..4", &[("gateway.toml", &of("link"))]);
        assert!(watch.next().await.is_ok());
        assert_eq!(reopened.load(Ordering::Relaxed), 0, "no poll reopens logs");
        assert!(watch.hang_up().is_ok());
        assert_eq!(reopened.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_wants_no_looking_is_left_alone() {
        let secret = Mounted::new(
            "..1",
            &[("app-secret", "a secret, long enough for HS256, yes")],
        );
        let of = |enter: &str| text(secret.path(), enter, "reload_every = \"0s\"");
        let config = Mounted::new("..1", &[("gateway.toml", &of("member"))]);
        let file = config.path().join("gateway.toml");
        let (reload, _) = reload(file);
        let mut watch = Watch::new(&reload, &(reload.read)().unwrap());
        config.swap("..2", &[("gateway.toml", &of("link"))]);
        assert!(timeout(MINUTE * 60, watch.next()).await.is_err());
        assert!(watch.hang_up().is_ok());
    }
}
