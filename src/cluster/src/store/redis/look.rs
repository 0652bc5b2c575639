//! A look at the server itself, for whoever sets a deployment up.

use std::{collections::BTreeMap, time::Duration};

use redis::{AsyncConnectionConfig, PushKind, RedisError, RedisResult, Value};
use tokio::{sync::mpsc, time::timeout};

use super::{Redis, milliseconds};
use crate::store::{RedisSettings, redis::reason::reason};
use model::{clock::Timestamp, random::Random};
use observe::metrics::StoreMetrics;

/// What a server is like, as far as it tells this user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Its version, or that of the Redis that it is like.
    pub version: Option<String>,
    /// What it forgets when its memory is full (`maxmemory-policy`), if that can be.
    pub forgets: Option<String>,
    /// What time it is there.
    pub now: Option<Timestamp>,
    /// Whether what is published there is heard.
    pub hears: bool,
}

/// Connects once and looks. The error is one line for the operator, without secrets.
pub async fn look(settings: &RedisSettings, random: &Random) -> Result<Look, String> {
    let store = Redis::new(settings, StoreMetrics::default(), random.clone())
        .map_err(|error| error.to_string())?;
    let channel = format!("look-{}", random.text::<9>());
    let looking = store.look(&channel);
    let patience = settings.connect_timeout + settings.timeout * 5;
    match timeout(patience, looking).await {
        Ok(looked) => looked.map_err(|error| reason(&error, &store.address)),
        Err(_) => Err(format!(
            "{} does not answer in time: look at its load",
            store.address
        )),
    }
}

// === impl Redis ===

impl Redis {
    async fn look(&self, channel: &str) -> RedisResult<Look> {
        let (sender, mut heard) = mpsc::unbounded_channel();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.timeout))
            .set_push_sender(sender);
        let mut connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let key = self.key(channel);
        // What the gateway does as it runs, too.
        let written: RedisResult<String> = redis::cmd("SET")
            .arg(&key)
            .arg(1)
            .arg("NX")
            .arg("PX")
            .arg(milliseconds(Duration::from_secs(1)))
            .query_async(&mut connection)
            .await;
        written?;
        connection.subscribe(&key).await?;
        let published: RedisResult<u64> = redis::cmd("PUBLISH")
            .arg(&key)
            .arg(channel)
            .query_async(&mut connection)
            .await;
        published?;
        let hears = async {
            while let Some(push) = heard.recv().await {
                if push.kind == PushKind::Message && push.data.iter().any(|own| is(own, channel)) {
                    return true;
                }
            }
            false
        };
        let hears = timeout(self.timeout, hears).await.unwrap_or(false);
        // Not every user may ask for what follows.
        let about: String = redis::cmd("INFO")
            .query_async(&mut connection)
            .await
            .unwrap_or_default();
        let time: Result<(u64, u64), RedisError> =
            redis::cmd("TIME").query_async(&mut connection).await;
        Ok(Look {
            now: time.ok().map(|(seconds, _)| Timestamp::from_unix(seconds)),
            hears,
            ..Look::read(&about)
        })
    }
}

// === impl Look ===

impl Look {
    /// What `INFO` says.
    fn read(about: &str) -> Self {
        let fields: BTreeMap<&str, &str> = about
            .lines()
            .filter_map(|line| line.trim_end().split_once(':'))
            .collect();
        let field = |name: &str| fields.get(name).map(|text| (*text).to_owned());
        let bounded = field("maxmemory").is_some_and(|bytes| bytes != "0");
        Self {
            version: field("redis_version"),
            forgets: field("maxmemory_policy").filter(|_| bounded),
            ..Self::default()
        }
    }
}

fn is(value: &Value, text: &str) -> bool {
    matches!(value, Value::BulkString(bytes) if bytes == text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_of_itself_is_read() {
        let about = "# Server\r\nredis_version:7.0.15\r\n# Memory\r\nmaxmemory:1048576\r\n\
                     maxmemory_policy:allkeys-lru\r\n";
        let look = Look::read(about);
        assert_eq!(look.version.as_deref(), Some("7.0.15"));
        assert_eq!(look.forgets.as_deref(), Some("allkeys-lru"));
        let boundless = about.replace("1048576", "0");
        assert_eq!(Look::read(&boundless).forgets, None);
        assert_eq!(Look::read(""), Look::default());
    }
}
