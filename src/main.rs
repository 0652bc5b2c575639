//! The program: gives the command line its parts.

use std::{io, process::ExitCode};

use jitsi_auth_gateway::{
    cli::{self, Commands, Terminal},
    config::Environment,
    lifecycle,
};

fn main() -> ExitCode {
    let commands = Commands {
        run: lifecycle::run,
        demo: lifecycle::demo,
    };
    let mut terminal = Terminal {
        input: &mut io::stdin(),
        output: &mut io::stdout(),
        error: &mut io::stderr(),
    };
    let environment = Environment::of_process();
    cli::run(std::env::args_os(), &environment, commands, &mut terminal).into()
}
