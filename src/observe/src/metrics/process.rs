//! Standard process metrics, under the names that all Prometheus clients use
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>).

use std::{fmt, fs};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

/// The process, read from `/proc/self` at each scrape. Metrics whose file is missing are omitted.
#[derive(Debug)]
pub(super) struct Process {
    /// Start time in seconds since 1970.
    pub(super) started: u64,
}

// === impl Process ===

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(seconds) = cpu_seconds() {
            let help = "Total user and system CPU time spent in seconds";
            let name = "process_cpu_seconds";
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(seconds).encode(metric)?;
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let gauges = [
            (
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds",
                Some(self.started),
            ),
            (
                "process_resident_memory_bytes",
                "Resident memory size in bytes",
                kilobytes(&status, "VmRSS:"),
            ),
            (
                "process_virtual_memory_bytes",
                "Virtual memory size in bytes",
                kilobytes(&status, "VmSize:"),
            ),
            (
                "process_threads",
                "Number of OS threads in the process",
                field(&status, "Threads:").and_then(|count| count.parse().ok()),
            ),
            (
                "process_open_fds",
                "Number of open file descriptors",
                open_descriptors(),
            ),
            (
                "process_max_fds",
                "Maximum number of open file descriptors",
                max_descriptors(),
            ),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
                ConstGauge::new(value).encode(metric)?;
            }
        }
        Ok(())
    }
}

/// The value of a line such as `Threads: 7` in `/proc/self/status`.
fn field<'s>(status: &'s str, name: &str) -> Option<&'s str> {
    let mut lines = status.lines();
    lines
        .find_map(|line| line.strip_prefix(name))
        .map(str::trim)
}

/// The bytes of a line such as `VmRSS:     1234 kB`.
fn kilobytes(status: &str, name: &str) -> Option<u64> {
    let kilobytes: u64 = field(status, name)?.strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

fn cpu_seconds() -> Option<f64> {
    cpu_of(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// `utime` and `stime`, fields 14 and 15 of `/proc/self/stat` (`proc_pid_stat(5)`). The name of the
/// program, field 2, is in parentheses and may have spaces.
fn cpu_of(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11);
    let user: u32 = times.next()?.parse().ok()?;
    let system: u32 = times.next()?.parse().ok()?;
    Some((f64::from(user) + f64::from(system)) / USER_HZ)
}

fn open_descriptors() -> Option<u64> {
    let entries = fs::read_dir("/proc/self/fd").ok()?;
    u64::try_from(entries.count()).ok()
}

/// The soft limit: `Max open files   1024   1048576   files`.
fn max_descriptors() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = field(&limits, "Max open files")?;
    line.split_whitespace().next()?.parse().ok()
}

/// Clock ticks in a second, as the kernel shows them to user space on every architecture that Rust
/// has a Linux target for; `sysconf(3)` would need `unsafe`.
const USER_HZ: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_a_program_name_with_spaces() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 900 0 0 0 150 50 0 0 20 0 7 0 12 99 1";
        assert!((cpu_of(stat).unwrap() - 2.0).abs() < f64::EPSILON);
        assert_eq!(cpu_of("42 (a)"), None);
    }

    #[test]
    fn status_lines_are_read_with_their_unit() {
        let status = "Name:\tx\nVmSize:\t    2048 kB\nThreads:\t7\n";
        assert_eq!(kilobytes(status, "VmSize:"), Some(2048 * 1024));
        assert_eq!(field(status, "Threads:"), Some("7"));
        assert_eq!(kilobytes(status, "VmRSS:"), None);
    }
}
