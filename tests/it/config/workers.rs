//! The number of workers where the configuration names none.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    thread,
};

use super::Workplace;

/// Runs the program below another one until it listens; returns its number of workers.
///
/// The other one replaces itself, so that the process keeps its id.
fn workers_below(launcher: &[&str]) -> usize {
    let place = Workplace::new();
    let (program, arguments) = launcher.split_first().unwrap();
    let mut process = Command::new(program)
        .args(arguments)
        .args([env!("CARGO_BIN_EXE_jitsi-auth-gateway"), "run"])
        .current_dir(place.0.path())
        .env("GATEWAY_CONFIG", "gateway.toml")
        .env("GATEWAY__LISTEN__HTTP", "127.0.0.1:0")
        .env("GATEWAY__LISTEN__ADMIN", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(process.stderr.take().unwrap());
    let mut lines = log.lines().map_while(Result::ok);
    let mut seen = Vec::new();
    let listens = lines.any(|line| {
        let listens = line.contains(LISTENS);
        seen.push(line);
        listens
    });
    let workers = listens.then(|| {
        let threads = fs::read_dir(format!("/proc/{}/task", process.id())).unwrap();
        let names = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")));
        names
            .filter(|name| name.as_ref().unwrap().starts_with("worker-"))
            .count()
    });
    process.kill().unwrap();
    process.wait().unwrap();
    workers.unwrap_or_else(|| panic!("{launcher:?}: {seen:?}"))
}

#[test]
fn there_is_a_worker_for_each_processor_that_the_process_may_use() {
    let all = thread::available_parallelism().unwrap().get();
    assert_eq!(workers_below(&["env"]), all);
    // A container may have any of the machine's processors.
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mut lines = status.lines();
    let permitted = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let first = permitted.unwrap().trim().split([',', '-']).next().unwrap();
    assert_eq!(workers_below(&["taskset", "--cpu-list", first]), 1);
}

#[test]
#[ignore = "needs a mount namespace"]
fn there_are_not_more_workers_than_the_quota_of_the_control_group_allows() {
    let all = thread::available_parallelism().unwrap().get();
    for (quota, expected) in [("50000", 1), ("150000", 1), ("200000", 2), ("max", all)] {
        // A control group of version 2 that is the root of its hierarchy.
        let script = format!(
            "mount -t tmpfs quota /sys/fs/cgroup && cd /sys/fs/cgroup && touch cgroup.controllers && \
             echo {quota} 100000 >cpu.max && echo 0::/ >membership && \
             mount --bind membership /proc/$$/cgroup && cd \"$OLDPWD\" && exec \"$@\""
        );
        let launcher = [
            "unshare",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            &script,
            "sh",
        ];
        assert_eq!(workers_below(&launcher), expected.min(all), "{quota}");
    }
}

/// The message that is logged when all workers have started.
const LISTENS: &str = "the gateway listens";
