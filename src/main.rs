//! The program: passes arguments, environment and standard streams to the command line.

use std::{io, process::ExitCode};

use config::Environment;
use jitsi_auth_gateway::{
    cli::{self, Commands, Terminal},
    lifecycle,
};

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
