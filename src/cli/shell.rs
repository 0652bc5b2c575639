//! Completions and the manual page, generated from the command line itself.

use std::io::{self, Write};

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use super::{CommandLine, version};

/// Writes completions for a shell.
pub(super) fn completions(shell: Shell, output: &mut dyn Write) -> io::Result<()> {
    let mut command = packaged();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, NAME, &mut text);
    output.write_all(&text)
}

/// Writes one manual page for the program and its commands (man(7)).
pub(super) fn manual(output: &mut dyn Write) -> io::Result<()> {
    let mut command = packaged();
    // Gives each command its full name and the options that it inherits.
    command.build();
    let page = clap_mangen::Man::new(command.clone());
    let mut text = Vec::new();
    page.render(&mut text)?;
    let commands = command.get_subcommands();
    let commands = commands.filter(|own| own.get_name() != "help" && !own.is_hide_set());
    for own in commands {
        let name = own.get_name().to_owned();
        writeln!(text, ".SH \"COMMAND {}\"", name.to_uppercase())?;
        let page = clap_mangen::Man::new(own.clone());
        page.render_synopsis_section(&mut text)?;
        page.render_description_section(&mut text)?;
        page.render_options_section(&mut text)?;
    }
    output.write_all(&text)
}

/// The command line that packages have, which are built without `demo`.
fn packaged() -> Command {
    // The text of a page does not depend on the commit.
    let command = CommandLine::command()
        .version(version::PACKAGE)
        .long_version(version::PACKAGE);
    if cfg!(feature = "demo") {
        command.mut_subcommand("demo", |demo| demo.hide(true))
    } else {
        command
    }
}

const NAME: &str = "jitsi-auth-gateway";

#[cfg(test)]
mod tests {
    use setup::{Platform, Provider, RoomEntry};

    use super::*;

    #[test]
    fn the_manual_has_each_command_with_its_options() {
        let mut text = Vec::new();
        manual(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        for expected in [
            ".TH jitsi-auth-gateway 1",
            ".SH \"COMMAND INIT\"",
            "\\-\\-from\\-env",
            ".SH \"COMMAND DOCTOR\"",
            "\\-\\-deep",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert!(!text.contains("DEMO"));
    }

    #[test]
    fn the_manual_of_the_package_is_fresh() {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/deploy/debian/jitsi-auth-gateway.1"
        );
        let mut text = Vec::new();
        manual(&mut text).unwrap();
        let remedy = "run `cargo run -- manual > deploy/debian/jitsi-auth-gateway.1`";
        assert!(std::fs::read(file).unwrap() == text, "{remedy}");
    }

    #[test]
    fn completions_know_commands_and_options() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut text = Vec::new();
            completions(shell, &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            for expected in ["healthcheck", "from-env", "moderators", "json"] {
                assert!(text.contains(expected), "{shell}: {expected}");
            }
        }
    }

    /// Each shell has all words of an option in one list, in the order of the question.
    #[test]
    fn completions_of_init_have_the_words_of_its_questions() {
        let platforms = Platform::ALL.map(Platform::name).to_vec();
        let providers: Vec<_> = Provider::all().map(Provider::name).collect();
        let entries = RoomEntry::ALL.map(RoomEntry::name).to_vec();
        for (shell, before, between, after) in [
            (Shell::Bash, "-W \"", " ", "\""),
            (Shell::Zsh, ":(", " ", ")"),
            (Shell::Fish, "-a \"", "\\t''\n", "\\t''\""),
        ] {
            let mut text = Vec::new();
            completions(shell, &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            for words in [&platforms, &providers, &entries] {
                let list = format!("{before}{}{after}", words.join(between));
                let lines = text.lines();
                let lines = lines
                    .filter(|line| line.contains(words[0]))
                    .collect::<Vec<_>>();
                assert!(text.contains(&list), "{shell}: {list}: {lines:#?}");
            }
        }
    }
}
