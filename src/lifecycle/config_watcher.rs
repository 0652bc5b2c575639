//! Polls the configuration and the files that it names: a mounted `ConfigMap` or Secret changes
//! without a signal.

use std::{future, time::Duration};

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::Reload;
use config::{Config, ConfigProblems, SectionDigests};

/// Detects changes of the configuration.
pub(super) struct ConfigWatcher<'r> {
    reload: &'r Reload,
    /// `None` if `reload_every` is `0s`.
    interval: Option<Interval>,
    last: Version,
}

/// A version of the configuration, valid or not: an invalid one is reported only once.
#[derive(PartialEq, Eq)]
enum Version {
    Valid(SectionDigests),
    Invalid(ConfigProblems),
}

// === impl ConfigWatcher ===

impl<'r> ConfigWatcher<'r> {
    /// `config` is the configuration in use.
    pub(super) fn new(reload: &'r Reload, config: &Config) -> Self {
        Self {
            reload,
            interval: config.reload_every.map(delayed_interval),
            last: Version::Valid(config.section_digests.clone()),
        }
    }

    /// SIGHUP: reopens the log files, and loads the configuration, changed or not.
    pub(super) fn hang_up(&mut self) -> Result<Config, ConfigProblems> {
        (self.reload.reopen_logs)();
        let loaded = (self.reload.read)();
        self.last = Version::of(&loaded);
        loaded
    }

    /// Waits until the configuration differs from the last version.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(super) async fn changed(&mut self) -> Result<Config, ConfigProblems> {
        loop {
            match &mut self.interval {
                Some(interval) => interval.tick().await,
                None => future::pending().await,
            };
            let loaded = (self.reload.read)();
            let version = Version::of(&loaded);
            if version != self.last {
                self.last = version;
                return loaded;
            }
        }
    }
}

// === impl Version ===

impl Version {
    fn of(loaded: &Result<Config, ConfigProblems>) -> Self {
        match loaded {
            Ok(config) => Self::Valid(config.section_digests.clone()),
            Err(problems) => Self::Invalid(problems.clone()),
        }
    }
}

/// The configuration has just been loaded: the first tick is one period from now.
fn delayed_interval(period: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + period, period);
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

    /// A directory as the kubelet mounts it: files are symbolic links into a directory that is
    /// swapped as a whole.
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
    async fn a_swapped_directory_is_detected_and_an_invalid_version_is_reported_once() {
        let first = "the first secret, long enough for HS256";
        let secret = Mounted::new("..1", &[("app-secret", first)]);
        let of = |enter: &str| text(secret.path(), enter, "");
        let config = Mounted::new("..1", &[("gateway.toml", &of("member"))]);
        let file = config.path().join("gateway.toml");
        let (reload, reopened) = reload(file);
        let mut watcher = ConfigWatcher::new(&reload, &(reload.read)().unwrap());
        assert!(
            timeout(MINUTE, watcher.changed()).await.is_err(),
            "nothing changed"
        );

        config.swap("..2", &[("gateway.toml", &of("link"))]);
        let began = Instant::now();
        watcher.changed().await.unwrap();
        assert!(began.elapsed() <= Duration::from_secs(30));

        secret.swap(
            "..2",
            &[("app-secret", "the second secret, long enough for HS256")],
        );
        watcher.changed().await.unwrap();
        assert!(
            timeout(MINUTE, watcher.changed()).await.is_err(),
            "each version is reported once"
        );

        config.swap("..3", &[("gateway.toml", &of("nobody at all"))]);
        let problems = watcher.changed().await.unwrap_err().to_string();
        assert!(problems.contains("room[1].enter"), "{problems}");
        assert!(
            timeout(MINUTE, watcher.changed()).await.is_err(),
            "each version is reported once"
        );
        // The valid version counts as changed again after the invalid one.
        config.swap("..4", &[("gateway.toml", &of("link"))]);
        assert!(watcher.changed().await.is_ok());
        assert_eq!(reopened.load(Ordering::Relaxed), 0, "no poll reopens logs");
        assert!(watcher.hang_up().is_ok());
        assert_eq!(reopened.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_interval_of_zero_disables_polling() {
        let secret = Mounted::new(
            "..1",
            &[("app-secret", "a secret, long enough for HS256, yes")],
        );
        let of = |enter: &str| text(secret.path(), enter, "reload_every = \"0s\"");
        let config = Mounted::new("..1", &[("gateway.toml", &of("member"))]);
        let file = config.path().join("gateway.toml");
        let (reload, reopened) = reload(file);
        let mut watcher = ConfigWatcher::new(&reload, &(reload.read)().unwrap());
        config.swap("..2", &[("gateway.toml", &of("link"))]);
        assert!(timeout(MINUTE * 60, watcher.changed()).await.is_err());
        assert!(watcher.hang_up().is_ok());
        assert_eq!(reopened.load(Ordering::Relaxed), 1);
    }
}
