//! The commands of the program, in this process.

use config::Environment;
use jitsi_auth_gateway::cli::{self, Commands, Exit, Terminal};

/// Runs a command line; returns the exit code, standard output and standard error. A command blocks its
/// thread, so that the gateway that it may ask goes on.
pub(crate) async fn command(words: &[&str]) -> (Exit, String, String) {
    let all = ["jitsi-auth-gateway"].iter().chain(words);
    let all: Vec<String> = all.map(ToString::to_string).collect();
    let run = move || {
        let (mut output, mut error) = (Vec::new(), Vec::new());
        let mut terminal = Terminal {
            input: &mut std::io::empty(),
            output: &mut output,
            error: &mut error,
        };
        let commands = Commands {
            run: |_, _| Ok(()),
            #[cfg(feature = "demo")]
            demo: |_| Ok(()),
        };
        let environment = Environment::from_variables::<&str, &str>([]);
        let exit = cli::run(all, &environment, commands, &mut terminal);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (exit, text(output), text(error))
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}
