//! What has to be one step on the server, as scripts; each touches one key.

use std::time::Duration;

use redis::{RedisResult, Script, aio::MultiplexedConnection};

use super::milliseconds;
use crate::store::{Note, bounded};

/// The scripts, hashed once.
pub(super) struct Scripts {
    claim: Script,
    remember: Script,
    note: Script,
}

// === impl Scripts ===

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            claim: Script::new(CLAIM),
            remember: Script::new(REMEMBER),
            note: Script::new(NOTE),
        }
    }

    /// The number of the use, or `None` if all are taken.
    pub(super) async fn claim(
        &self,
        connection: &mut MultiplexedConnection,
        key: &str,
        limit: u32,
        lifetime: Duration,
    ) -> RedisResult<Option<u32>> {
        self.claim
            .key(key)
            .arg(limit)
            .arg(milliseconds(lifetime))
            .invoke_async(connection)
            .await
    }

    /// The value that was there before.
    pub(super) async fn remember(
        &self,
        connection: &mut MultiplexedConnection,
        key: &str,
        value: &str,
        lifetime: Duration,
    ) -> RedisResult<Option<String>> {
        self.remember
            .key(key)
            .arg(value)
            .arg(milliseconds(lifetime))
            .invoke_async(connection)
            .await
    }

    /// Adds notes to a list.
    pub(super) async fn note(
        &self,
        connection: &mut MultiplexedConnection,
        key: &str,
        notes: &[Note],
    ) -> RedisResult<()> {
        let mut script = self.note.key(key);
        for note in notes {
            script
                .arg(milliseconds(bounded(note.lifetime)))
                .arg(&note.text);
        }
        script.invoke_async(connection).await
    }

    /// What is on a list, page by page, so that the server answers others in between. What stays
    /// on the list is found for certain; what comes meanwhile perhaps.
    pub(super) async fn notes(
        &self,
        connection: &mut MultiplexedConnection,
        key: &str,
    ) -> RedisResult<Vec<String>> {
        let (seconds, microseconds): (u64, u64) =
            redis::cmd("TIME").query_async(connection).await?;
        let now = seconds
            .saturating_mul(1000)
            .saturating_add(microseconds / 1000);
        let mut notes = Vec::new();
        let mut cursor = 0_u64;
        loop {
            let mut command = redis::cmd("ZSCAN");
            let asked = command.arg(key).arg(cursor).arg("COUNT").arg(PAGE);
            let (next, page): (u64, Vec<(String, u64)>) = asked.query_async(connection).await?;
            let live = page.into_iter().filter(|(_, until)| now < *until);
            notes.extend(live.map(|(text, _)| text));
            if next == 0 {
                return Ok(notes);
            }
            cursor = next;
        }
    }
}

/// Counts a use if there is one left.
const CLAIM: &str = "
if tonumber(redis.call('GET', KEYS[1]) or '0') >= tonumber(ARGV[1]) then return false end
local used = redis.call('INCR', KEYS[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return used";

/// Keeps a value unless there is one. (`SET … NX GET` in one command needs Redis 7.)
const REMEMBER: &str = "
local before = redis.call('GET', KEYS[1])
if before then return before end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false";

/// Adds pairs of lifetime and text to a sorted set by when they end, takes out what has ended, and
/// lets the set live as long as the longest of what is in it.
const NOTE: &str = "
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

/// How many entries the server looks at for one page.
const PAGE: u32 = 1000;
