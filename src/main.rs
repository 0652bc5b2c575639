//! The program: passes arguments, environment and standard streams to the command line.

use std::{io, process::ExitCode};

use config::Environment;
use jitsi_auth_gateway::{
    cli::{self, Commands, Terminal},
    lifecycle,
};

/// jemalloc returns pages that have been free for ten seconds to the system, by a thread of its own. glibc's allocator
/// keeps them between pages in use: an idle keep-alive connection took 14.3 KiB with it, and 3.8 KiB with jemalloc
/// (`benches/README.md`), and after a flood of connections the process stayed as large as at its peak.
///
/// By its feature `unprefixed_malloc_on_supported_platforms` it is `malloc` of C, too: the cryptographic library allocates
/// by that, and after 9,900 WebSockets over TLS 170 % of the memory before was in use with glibc's, 117 % with this one.
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
