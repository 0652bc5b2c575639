//! The file descriptors of the process.

use std::os::fd::RawFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The number of file descriptors that the process may have (`RLIMIT_NOFILE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorLimit(usize);

// === impl DescriptorLimit ===

impl DescriptorLimit {
    /// Raises the soft limit to the hard one. The soft limit is low for programs that use
    /// `select(2)`, which this one does not.
    pub fn raise() -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: maximum,
            maximum,
        };
        let in_force = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => maximum,
            Err(_) => current,
        };
        // Without a limit the kernel has one (`fs.nr_open`), which is a million or more.
        Self::of(in_force.map_or(usize::MAX, |most| {
            usize::try_from(most).unwrap_or(usize::MAX)
        }))
    }

    /// A limit of so many.
    pub const fn of(most: usize) -> Self {
        Self(most)
    }

    /// The descriptors that are left for clients and upstreams.
    pub(super) fn usable(self, workers: usize) -> usize {
        let reserved = RESERVED + workers.saturating_mul(OF_WORKER);
        self.0.saturating_sub(reserved).max(MIN_USABLE)
    }

    /// Whether the number of this descriptor says that only the reserve is left.
    ///
    /// The kernel allots the lowest number that is free, so a number near the limit means that all
    /// below it are in use.
    pub(crate) fn is_reserve(self, descriptor: RawFd) -> bool {
        let least = RawFd::try_from(self.0.saturating_sub(LAST_RESERVE)).unwrap_or(RawFd::MAX);
        descriptor >= least
    }
}

/// Listeners, the store, the provider, files that are read again, and the admin listener's clients.
const RESERVED: usize = 64;

/// The event queue of a worker's runtime, its waker, and its signal pipe.
const OF_WORKER: usize = 4;

/// With fewer nothing works; the system then says so itself.
const MIN_USABLE: usize = 32;

/// What clients and upstreams never take: enough for probes and a scrape on the admin listener, and for
/// files that are read at a reload.
const LAST_RESERVE: usize = 16;

#[cfg(test)]
mod tests {
    use std::{fs::File, os::fd::AsRawFd};

    use super::*;

    #[test]
    fn the_last_descriptors_are_the_reserve() {
        let file = File::open("/dev/null").unwrap();
        let descriptor = file.as_raw_fd();
        let number = usize::try_from(descriptor).unwrap();
        assert!(DescriptorLimit::of(number + LAST_RESERVE).is_reserve(descriptor));
        assert!(!DescriptorLimit::of(number + LAST_RESERVE + 1).is_reserve(descriptor));
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let raised = DescriptorLimit::raise();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
        let most = current.and_then(|most| usize::try_from(most).ok());
        assert_eq!(raised, DescriptorLimit::of(most.unwrap_or(usize::MAX)));
    }
}
