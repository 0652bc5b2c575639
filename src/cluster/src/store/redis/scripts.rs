//! Lua scripts for the operations that must be atomic. Each touches one key.

use std::time::Duration;

use redis::{RedisResult, Script, aio::MultiplexedConnection};

use super::milliseconds;
use crate::store::{ListItem, bounded};

/// The scripts with their SHA-1 digests, computed once.
pub(super) struct Scripts {
    consume_use: Script,
    put_if_absent: Script,
    list_add: Script,
}

// === impl Scripts ===

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            consume_use: Script::new(CONSUME_USE),
            put_if_absent: Script::new(PUT_IF_ABSENT),
            list_add: Script::new(LIST_ADD),
        }
    }

    /// Returns the number of uses, or `None` if the limit is reached.
    pub(super) async fn consume_use(
        &self,
        connection: &mut MultiplexedConnection,
        key: &str,
        limit: u32,
        lifetime: Duration,
    ) -> RedisResult<Option<u32>> {
        self.consume_use
            .key(key)
            .arg(limit)
            .arg(milliseconds(lifetime))
            .invoke_async(connection)
            .await
    }

    /// Returns the existing value, if there is one.
    pub(super) async fn put_if_absent(
        &self,
        connection: &mut MultiplexedConnection,
        key: &str,
        value: &str,
        lifetime: Duration,
    ) -> RedisResult<Option<String>> {
        self.put_if_absent
            .key(key)
            .arg(value)
            .arg(milliseconds(lifetime))
            .invoke_async(connection)
            .await
    }

    /// Adds items to a list.
    pub(super) async fn list_add(
        &self,
        connection: &mut MultiplexedConnection,
        key: &str,
        items: &[ListItem],
    ) -> RedisResult<()> {
        let mut script = self.list_add.key(key);
        for item in items {
            script
                .arg(milliseconds(bounded(item.lifetime)))
                .arg(&item.text);
        }
        script.invoke_async(connection).await
    }

    /// Reads a list page by page, so that the server serves other clients in between. `ZSCAN`
    /// guarantees items that are on the list throughout, not those that are added meanwhile.
    pub(super) async fn list_members(
        &self,
        connection: &mut MultiplexedConnection,
        key: &str,
    ) -> RedisResult<Vec<String>> {
        let (seconds, microseconds): (u64, u64) =
            redis::cmd("TIME").query_async(connection).await?;
        let now = seconds
            .saturating_mul(1000)
            .saturating_add(microseconds / 1000);
        let mut members = Vec::new();
        let mut cursor = 0_u64;
        loop {
            let mut command = redis::cmd("ZSCAN");
            let command = command.arg(key).arg(cursor).arg("COUNT").arg(PAGE);
            let (next, page): (u64, Vec<(String, u64)>) = command.query_async(connection).await?;
            let live = page.into_iter().filter(|(_, until)| now < *until);
            members.extend(live.map(|(text, _)| text));
            if next == 0 {
                return Ok(members);
            }
            cursor = next;
        }
    }
}

/// Counts a use unless the limit is reached.
const CONSUME_USE: &str = "
if tonumber(redis.call('GET', KEYS[1]) or '0') >= tonumber(ARGV[1]) then return false end
local used = redis.call('INCR', KEYS[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return used";

/// Stores a value unless there is one. (`SET … NX GET` in one command needs Redis 7.)
const PUT_IF_ABSENT: &str = "
local existing = redis.call('GET', KEYS[1])
if existing then return existing end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false";

/// Adds pairs of lifetime and text to a sorted set whose scores are the times of expiry, removes
/// expired members, and lets the key expire with its last member.
const LIST_ADD: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local longest = redis.call('PTTL', KEYS[1])
for at = 1, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], 'GT', now + ARGV[at], ARGV[at + 1])
  longest = math.max(longest, tonumber(ARGV[at]))
end
redis.call('PEXPIRE', KEYS[1], longest)
return true";

/// The `COUNT` of `ZSCAN`: members that the server visits for one page.
const PAGE: u32 = 1000;
