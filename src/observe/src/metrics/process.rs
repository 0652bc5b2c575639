//! What is known of the process itself, under the names that all programs use for it.

use std::{fmt, fs};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge, info::Info},
};

use super::ConfigHash;

/// The process.
#[derive(Debug)]
pub(super) struct Process {
    /// In seconds since 1970.
    pub(super) started: u64,
    pub(super) config_hash: ConfigHash,
}

// === impl Process ===

impl Process {
    fn info(
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        label: (&'static str, String),
    ) -> fmt::Result {
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Info)?;
        Info::new(vec![label]).encode(metric)
    }

    fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, n: u64) -> fmt::Result {
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(n).encode(metric)
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let build = ("gateway_build", "The program");
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self::info(encoder, build, ("version", version))?;
        let config = ("gateway_config", "The configuration in use");
        let hash = self.config_hash.0.load_full().to_string();
        Self::info(encoder, config, ("hash", hash))?;
        let start = "Start time of the process since unix epoch in seconds";
        Self::gauge(encoder, "process_start_time_seconds", start, self.started)?;
        // Where there is no /proc, these are missing.
        if let Some(bytes) = resident_bytes() {
            let help = "Resident memory size in bytes";
            Self::gauge(encoder, "process_resident_memory_bytes", help, bytes)?;
        }
        if let Some(open) = fs::read_dir("/proc/self/fd").ok().map(Iterator::count) {
            let help = "Number of open file descriptors";
            Self::gauge(encoder, "process_open_fds", help, open as u64)?;
        }
        if let Some(most) = most_descriptors() {
            let help = "Maximum number of open file descriptors";
            Self::gauge(encoder, "process_max_fds", help, most)?;
        }
        Ok(())
    }
}

/// The line `VmRSS:     1234 kB`.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// The line `Max open files   1024   1048576   files`; the first number binds.
fn most_descriptors() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
