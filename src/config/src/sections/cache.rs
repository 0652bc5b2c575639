//! `[cache]`: Jitsi's static files in memory.

use proxy::AssetCacheSettings;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Reported;
use crate::{
    diagnostics::Section,
    values::{KIB, MIB, SizeText},
};

/// The static files of Jitsi's web server in memory: those with a version in their address (`?v=`), and
/// others whose headers give them a lifetime. Each replica has its own.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawCache {
    /// Whether files are kept at all.
    enabled: bool,
    /// The memory of all files together, from `1MiB` to `16GiB`; `0` disables the cache. Files that are
    /// being fetched may take a quarter more.
    size: SizeText,
    /// The largest file that is kept, from `4KiB` to half of `size`; larger ones are forwarded.
    largest: SizeText,
}

// === impl RawCache ===

impl RawCache {
    /// The settings; `None` if the cache is disabled.
    pub(super) fn resolve(
        self,
        section: &mut Section<'_>,
    ) -> Result<Option<AssetCacheSettings>, Reported> {
        let size = self.size.within(0..=16 * 1024 * MIB, section, "size");
        let size = size.ok_or(Reported)?;
        if !self.enabled || size == 0 {
            return Ok(None);
        }
        // Again, for the bounds of an enabled cache.
        let size = self.size.within(MIB..=16 * 1024 * MIB, section, "size");
        let size = size.ok_or(Reported)?;
        let bounds = 4 * KIB..=size / 2;
        let largest = self.largest.within(bounds, section, "largest");
        Ok(Some(AssetCacheSettings {
            size,
            largest: largest.ok_or(Reported)?,
        }))
    }
}

impl Default for RawCache {
    fn default() -> Self {
        Self {
            enabled: true,
            // Jitsi's own files take about 30 MiB, most of them once compressed.
            size: "64MiB".into(),
            // The largest scripts and models of Jitsi have 3 to 5 MiB.
            largest: "8MiB".into(),
        }
    }
}
