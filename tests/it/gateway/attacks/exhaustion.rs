//! Slow clients that take every connection of a process with few file descriptors.

use std::time::Duration;

use super::{
    attackers::Attackers,
    meeting::NEW,
    scene::{Peak, SLICE, Scene},
    slow_clients::SlowClient,
};

/// What `ulimit -n` says on most systems.
const DESCRIPTORS: usize = 1024;
const ATTACKERS: usize = 980;

/// Processor time of a thread that spins, in hundredths of each second; half of it is too much already.
const SPINNING: f64 = 100.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures times: a step of tests/run of its own"]
async fn few_descriptors_keep_the_meeting_and_its_probes() {
    let no_end = || false;
    for (addresses, limit, visitors_are_served) in [
        // One address gets a quarter of the connections.
        (1, "connections_per_address", true),
        // Several get all of them.
        (8, "connections", false),
    ] {
        let scene = Scene::start(addresses, Some(DESCRIPTORS), LONGER_IDLE).await;
        let began = scene.process.usage();
        let quiet = scene.measure_quiet().await;
        let quiet_ticks = scene.process.usage().ticks - began.ticks;
        let attackers = Attackers::slow(&scene.target, SlowClient::Head, ATTACKERS);
        let outcomes = attackers.outcomes();
        let mut peak = Peak::default();
        let all = || outcomes.opened() == ATTACKERS;
        let opening = scene.measure(3 * LONGER_IDLE, &mut peak, all).await;
        assert!(all(), "{}", outcomes.described());
        let began = scene.process.usage();
        let held = scene.measure(SLICE, &mut peak, no_end).await;
        let held_ticks = scene.process.usage().ticks - began.ticks;
        let counted = scene.count_of(limit).await;
        let left = scene.end(attackers, true, 0).await;
        let after = scene.measure_quiet().await;
        println!(
            "{addresses} addresses: {}; {limit} counted {counted}, head_time {}\n  echo p99 {:?} quiet, {:?} and \
             {:?} attacked, {:?} after; without the gateway {:?} quiet, {:?} attacked\n  {} descriptors and {} KiB \
             at most; {quiet_ticks} ticks quiet, {held_ticks} held; {} visits failed, {} after",
            outcomes.described(),
            scene.count_of("head_time").await,
            quiet.echo_p99(),
            opening.echo_p99(),
            held.echo_p99(),
            after.echo_p99(),
            quiet.control_p99(),
            held.control_p99(),
            peak.descriptors,
            peak.resident,
            opening.failures.len() + held.failures.len(),
            after.failures.len(),
        );
        assert!(counted > 0);
        assert_eq!(left, 0, "{}", outcomes.described());
        assert!(scene.count_of("head_time").await > 0);
        assert!(peak.descriptors < DESCRIPTORS);
        for slice in [&opening, &held] {
            slice.check_echoes(90, &quiet).unwrap();
            // Those who are there stay, and so do the probes; those who come may have to come again.
            for failure in &slice.failures {
                assert!(
                    !visitors_are_served && failure.starts_with(NEW),
                    "{failure}"
                );
            }
        }
        let second = SLICE.as_secs_f64();
        let more = f64::from(u32::try_from(held_ticks.saturating_sub(quiet_ticks)).unwrap());
        assert!(more / second < SPINNING / 2.0, "{held_ticks} {quiet_ticks}");
        assert!(after.failures.is_empty(), "{:?}", after.failures);
    }
}

/// All connect within it, also where handshakes take their time.
const LONGER_IDLE: Duration = Duration::from_secs(15);
