//! When a certificate is ordered: pure functions of time.

use std::time::Duration;

use model::clock::Timestamp;

/// The validity of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

/// The period in which the authority suggests a renewal (RFC 9773 § 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RenewalWindow {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
}

/// When a certificate is due for renewal: at a random point of the window, otherwise after two thirds of its
/// lifetime. `jitter` is from 0 to below 1, and stays the same for one certificate: drawing it again
/// would prefer the beginning.
pub(crate) fn renewal_time(
    validity: Validity,
    window: Option<RenewalWindow>,
    jitter: f64,
) -> Timestamp {
    let lifetime = validity.until.since(validity.from);
    let usual = validity.from.after(lifetime * 2 / 3);
    match window {
        // A window that ends after the certificate is the authority's mistake, and not followed.
        Some(RenewalWindow { start, end }) if start <= end && end <= validity.until => {
            start.after(end.since(start).mul_f64(jitter))
        }
        _ => usual.after((lifetime / SPREAD).mul_f64(jitter)),
    }
}

/// The delay after the `failures`th failure in a row: doubled each time, and never shorter than the authority
/// asked for.
pub(crate) fn retry_delay(
    first: Duration,
    failures: u32,
    retry_after: Option<Duration>,
    jitter: f64,
) -> Duration {
    let doublings = failures.saturating_sub(1).min(MAX_DOUBLINGS);
    let own = first.saturating_mul(1 << doublings).min(LONGEST_RETRY);
    let own = own + (own / 10).mul_f64(jitter);
    own.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER))
}

/// Without a window, replicas renew within a twentieth of the lifetime.
const SPREAD: u32 = 20;

/// Enough to get from a millisecond to the longest delay.
const MAX_DOUBLINGS: u32 = 30;

/// A third of a certificate's lifetime remains at the first failure: two days even of one that is valid for
/// six.
pub(crate) const LONGEST_RETRY: Duration = Duration::from_hours(6);

/// The longest period of Let's Encrypt's limits; anything beyond is a mistake.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(7 * 24);

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn day(days: u64) -> Timestamp {
        Timestamp::from_unix(1_800_000_000 + days * DAY)
    }

    #[test]
    fn renewal_follows_the_window_or_two_thirds_of_the_lifetime() {
        let window = |start, end| {
            Some(RenewalWindow {
                start: day(start),
                end: day(end),
            })
        };
        for (lifetime, window, jitter, expected) in [
            (90, None, 0.0, 60 * DAY),
            (90, None, 0.5, 60 * DAY + 90 * DAY / 40),
            (6, None, 0.0, 4 * DAY),
            (90, window(50, 52), 0.0, 50 * DAY),
            (90, window(50, 52), 0.5, 51 * DAY),
            // A revocation: the window is in the past, and so is the renewal.
            (90, window(0, 0), 0.9, 0),
            (90, window(0, 1), 0.5, DAY / 2),
            // Windows that are none.
            (90, window(52, 50), 0.0, 60 * DAY),
            (90, window(80, 91), 0.0, 60 * DAY),
            // A certificate that ends before it begins.
            (0, None, 0.5, 0),
        ] {
            let validity = Validity {
                from: day(0),
                until: day(lifetime),
            };
            let time = renewal_time(validity, window, jitter);
            let label = format!("{lifetime} {window:?} {jitter}");
            assert_eq!(time.since(day(0)).as_secs(), expected, "{label}");
        }
    }

    #[test]
    fn retries_double_up_to_six_hours_and_respect_the_authority() {
        let minute = Duration::from_mins(1);
        let hour = Duration::from_hours(1);
        for (failures, retry_after, expected) in [
            (0, None, minute),
            (1, None, minute),
            (2, None, 2 * minute),
            (6, None, 32 * minute),
            (10, None, 6 * hour),
            (u32::MAX, None, 6 * hour),
            (1, Some(Duration::from_secs(5)), minute),
            (1, Some(hour), hour),
            (20, Some(12 * hour), 12 * hour),
            (1, Some(Duration::MAX), 7 * 24 * hour),
        ] {
            let delay = retry_delay(minute, failures, retry_after, 0.0);
            assert_eq!(delay, expected, "{failures} {retry_after:?}");
        }
        let spread = retry_delay(minute, 1, None, 0.5);
        assert_eq!(spread, Duration::from_secs(63));
    }
}
