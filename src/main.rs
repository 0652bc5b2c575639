//! The program: passes arguments, environment and standard streams to the command line.

use std::{io, process::ExitCode};

use config::Environment;
use jitsi_auth_gateway::{
    cli::{self, Commands, Terminal},
    lifecycle,
};

/// The C library keeps most of what is freed: an idle keep-alive connection then costs 29 KiB and not 4
/// (`benches/memory`), and after a flood of connections the process stays as large as it was at its peak. This
/// allocator returns pages that have been free for ten seconds, by a thread of its own.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let commands = Commands {
        run: lifecycle::run,
        #[cfg(feature = "demo")]
        demo: lifecycle::demo,
    };
    let mut terminal = Terminal {
        input: &mut io::stdin(),
        output: &mut io::stdout(),
        error: &mut io::stderr(),
    };
    let environment = Environment::from_process();
    cli::run(std::env::args_os(), &environment, commands, &mut terminal).into()
}
