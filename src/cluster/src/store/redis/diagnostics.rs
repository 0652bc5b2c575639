//! Diagnostics of the server for `doctor`: version, eviction policy, clock, publish/subscribe.

use std::{collections::BTreeMap, time::Duration};

use model::{clock::Timestamp, random::Random};
use observe::metrics::StoreMetrics;
use redis::{AsyncConnectionConfig, PushKind, RedisError, RedisResult, Value};
use tokio::{sync::mpsc, time::timeout};

use super::{RedisStore, milliseconds};
use crate::store::{RedisSettings, redis::reason::reason};

/// Properties of a server; `None` where the user lacks the permission to read them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreDiagnostics {
    /// The version of Redis that the server implements (`redis_version`).
    pub version: Option<String>,
    /// `maxmemory-policy`, if `maxmemory` is set.
    pub eviction_policy: Option<String>,
    /// The server's clock.
    pub now: Option<Timestamp>,
    /// Whether a published message reached a subscriber.
    pub delivers_messages: bool,
}

/// Connects once and examines the server. The error is one line for the operator, without secrets.
pub async fn diagnose(
    settings: &RedisSettings,
    random: &Random,
) -> Result<StoreDiagnostics, String> {
    let store = RedisStore::new(settings, StoreMetrics::default(), random.clone())
        .map_err(|error| error.to_string())?;
    let channel = format!("diagnose-{}", random.text::<9>());
    let limit = settings.connect_timeout + settings.timeout * 5;
    match timeout(limit, store.diagnose(&channel)).await {
        Ok(outcome) => outcome.map_err(|error| reason(&error, &store.address)),
        Err(_) => Err(format!(
            "{} does not answer in time: look at its load",
            store.address
        )),
    }
}

// === impl RedisStore ===

impl RedisStore {
    async fn diagnose(&self, channel: &str) -> RedisResult<StoreDiagnostics> {
        let (sender, mut pushes) = mpsc::unbounded_channel();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.timeout))
            .set_push_sender(sender);
        let mut connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let key = self.key(channel);
        // A read-only replica fails this write.
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
        let delivery = async {
            while let Some(push) = pushes.recv().await {
                let carries = |value| is_text(value, channel);
                if push.kind == PushKind::Message && push.data.iter().any(carries) {
                    return true;
                }
            }
            false
        };
        let delivers_messages = timeout(self.timeout, delivery).await.unwrap_or(false);
        // The gateway itself needs neither `INFO` nor the permission for it.
        let info: String = redis::cmd("INFO")
            .query_async(&mut connection)
            .await
            .unwrap_or_default();
        let time: Result<(u64, u64), RedisError> =
            redis::cmd("TIME").query_async(&mut connection).await;
        Ok(StoreDiagnostics {
            now: time.ok().map(|(seconds, _)| Timestamp::from_unix(seconds)),
            delivers_messages,
            ..StoreDiagnostics::from_info(&info)
        })
    }
}

// === impl StoreDiagnostics ===

impl StoreDiagnostics {
    /// Reads the response to `INFO`.
    fn from_info(info: &str) -> Self {
        let fields: BTreeMap<&str, &str> = info
            .lines()
            .filter_map(|line| line.trim_end().split_once(':'))
            .collect();
        let field = |name: &str| fields.get(name).map(|text| (*text).to_owned());
        let bounded = field("maxmemory").is_some_and(|bytes| bytes != "0");
        Self {
            version: field("redis_version"),
            eviction_policy: field("maxmemory_policy").filter(|_| bounded),
            ..Self::default()
        }
    }
}

fn is_text(value: &Value, text: &str) -> bool {
    matches!(value, Value::BulkString(bytes) if bytes == text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_eviction_policy_are_read_from_info() {
        let info = "# Server\r\nredis_version:7.0.15\r\n# Memory\r\nmaxmemory:1048576\r\n\
                     maxmemory_policy:allkeys-lru\r\n";
        let diagnostics = StoreDiagnostics::from_info(info);
        assert_eq!(diagnostics.version.as_deref(), Some("7.0.15"));
        assert_eq!(diagnostics.eviction_policy.as_deref(), Some("allkeys-lru"));
        let boundless = info.replace("1048576", "0");
        assert_eq!(
            StoreDiagnostics::from_info(&boundless).eviction_policy,
            None
        );
        assert_eq!(StoreDiagnostics::from_info(""), StoreDiagnostics::default());
    }
}
