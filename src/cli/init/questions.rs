//! The questions of `init`.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
    str::FromStr,
};

use secrecy::SecretString;
use url::{Host, Url};

use super::{InitArguments, issuer};
use crate::cli::CommandError;
use config::PublicUrl;
use setup::{Deployment, JitsiEnv, Platform, Provider, RoomEntry};

/// Asks on one stream, and reads answers from another. A question that an option answers is not asked.
pub(super) struct Questions<'q> {
    pub(super) input: BufReader<&'q mut dyn Read>,
    pub(super) output: &'q mut dyn Write,
}

/// A question.
struct Question<'q> {
    /// The option that answers it.
    option: &'static str,
    text: &'q str,
    /// Words and their meanings, if not everything is an answer.
    choices: Vec<(&'static str, &'static str)>,
    /// What an empty line means.
    default: Option<&'q str>,
}

// === impl Questions ===

impl Questions<'_> {
    /// Asks for everything that neither the options nor Jitsi's `.env` answer.
    pub(super) fn deployment(
        &mut self,
        arguments: InitArguments,
        jitsi: JitsiEnv,
    ) -> Result<Deployment, CommandError> {
        // What an option has is refused before anything is asked.
        let moderators = arguments.moderators.as_deref().map(|text| {
            Deployment::parse_moderators(text)
                .map_err(|error| CommandError::Usage(format!("--moderators: {error}")))
        });
        let moderators = moderators.transpose()?;
        let client_secret = arguments.client_secret_file.as_deref().map(read_secret);
        let client_secret = client_secret.transpose()?.flatten();
        let known = jitsi.public_url().map(str::parse::<PublicUrl>);
        let public_url = match (arguments.public_url, known) {
            (Some(url), _) | (None, Some(Ok(url))) => url,
            (None, _) => self.ask(&Question {
                option: "--public-url",
                text: "The address that people open, as https://meet.example.org",
                choices: Vec::new(),
                default: None,
            })?,
        };
        let platform = match arguments.platform {
            Some(platform) => platform,
            None if arguments.from_env.is_some() => Platform::Docker,
            None => self.ask(&Question {
                option: "--platform",
                text: "How is Jitsi installed?",
                choices: Platform::ALL
                    .map(|own| (own.name(), own.description()))
                    .to_vec(),
                default: Some("docker"),
            })?,
        };
        let provider = match arguments.provider {
            Some(provider) => provider,
            None => self.ask(&Question {
                option: "--provider",
                text: "Which OpenID provider signs people in?",
                choices: Provider::all()
                    .map(|own| (own.name(), own.title()))
                    .collect(),
                default: Some("keycloak"),
            })?,
        };
        let issuer = self.issuer(arguments.issuer, provider)?;
        let workspace = match arguments.workspace {
            _ if !provider.is_public() => None,
            Some(domain) => Some(domain),
            None => Some(self.ask_with(
                &Question {
                    option: "--workspace",
                    text: "The domain of your Google Workspace; other Google accounts are no members",
                    choices: Vec::new(),
                    default: None,
                },
                |text| parse_domain(text).map_err(ToOwned::to_owned),
            )?),
        };
        let client_id = match arguments.client_id {
            Some(id) => id,
            None => self.ask(&Question {
                option: "--client-id",
                text: "The gateway's client id there",
                choices: Vec::new(),
                default: Some("jitsi"),
            })?,
        };
        let entry = match arguments.enter {
            Some(entry) => entry,
            None => self.ask(&Question {
                option: "--enter",
                text: "Who may enter rooms?",
                choices: RoomEntry::ALL
                    .map(|own| (own.name(), own.description()))
                    .to_vec(),
                default: Some("link"),
            })?,
        };
        let moderators = match moderators {
            Some(conditions) => conditions,
            None => self.ask_with(
                &Question {
                    option: "--moderators",
                    text: "Who moderates, beside the creator of a meeting? member, or conditions as \
                           group:staff, separated by commas",
                    choices: Vec::new(),
                    default: Some("owner"),
                },
                |text| Deployment::parse_moderators(text).map_err(|error| error.to_string()),
            )?,
        };
        Ok(Deployment {
            public_url,
            platform,
            provider,
            issuer,
            client_id,
            client_secret,
            workspace,
            entry,
            moderators,
            jitsi,
        })
    }

    /// Asks for the issuer, and looks at its discovery document. An issuer that cannot be reached is
    /// taken as it is, because the provider may be visible from the deployment only.
    fn issuer(
        &mut self,
        given: Option<String>,
        provider: Provider,
    ) -> Result<String, CommandError> {
        let text = format!(
            "The issuer of {}, as {}",
            provider.title(),
            provider.issuer_example()
        );
        let issuer = match (given, provider.only_issuer()) {
            (Some(issuer), _) => issuer,
            (None, Some(issuer)) => issuer.to_owned(),
            (None, None) => self.ask_with(
                &Question {
                    option: "--issuer",
                    text: &text,
                    choices: Vec::new(),
                    default: None,
                },
                |text| parse_issuer(text).map_err(ToOwned::to_owned),
            )?,
        };
        let (issuer, remark) = issuer::look_up(issuer);
        writeln!(self.output, "  {remark}")?;
        Ok(issuer)
    }

    fn ask<T: FromStr<Err: ToString>>(
        &mut self,
        question: &Question<'_>,
    ) -> Result<T, CommandError> {
        self.ask_with(question, |text| {
            text.parse().map_err(|error: T::Err| error.to_string())
        })
    }

    /// Asks until an answer can be used, or the input ends.
    fn ask_with<T>(
        &mut self,
        question: &Question<'_>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, CommandError> {
        question.print(self.output)?;
        loop {
            let mut line = String::new();
            if self.input.read_line(&mut line)? == 0 {
                let option = question.option;
                return Err(CommandError::Usage(format!(
                    "the input ended before an answer; give it with {option}"
                )));
            }
            let answer = match (line.trim(), question.default) {
                ("", Some(default)) => default,
                (text, _) => question.choice(text),
            };
            match parse(answer) {
                Ok(value) => return Ok(value),
                Err(remedy) => {
                    write!(self.output, "  {remedy}\n> ")?;
                    self.output.flush()?;
                }
            }
        }
    }
}

// === impl Question ===

impl Question<'_> {
    fn print(&self, output: &mut dyn Write) -> io::Result<()> {
        writeln!(output, "\n{}", self.text)?;
        for (number, (word, meaning)) in (1..).zip(&self.choices) {
            writeln!(output, "  {number} {word:12} {meaning}")?;
        }
        if let Some(default) = self.default {
            write!(output, "[{default}] ")?;
        }
        write!(output, "> ")?;
        output.flush()
    }

    /// The word of a choice that was answered by its number.
    fn choice<'t>(&self, text: &'t str) -> &'t str {
        let number = text
            .parse::<usize>()
            .ok()
            .and_then(|number| number.checked_sub(1));
        let chosen = number.and_then(|index| self.choices.get(index));
        chosen.map_or(text, |(word, _)| word)
    }
}

/// An https URL, or an http URL of this machine: on a network, plain HTTP lets others sign in as
/// anybody.
pub(super) fn parse_issuer(text: &str) -> Result<String, &'static str> {
    let remedy = "write an https URL, as https://sso.example.org/realms/main";
    let url = Url::parse(text).map_err(|_| remedy)?;
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(remedy),
    };
    match url.scheme() {
        "https" => Ok(text.to_owned()),
        "http" if is_local => Ok(text.to_owned()),
        _ => Err(remedy),
    }
}

pub(super) fn parse_domain(text: &str) -> Result<String, &'static str> {
    let is_plain = |c: char| c.is_alphanumeric() || ".-".contains(c);
    let domain = text.to_lowercase();
    if domain.contains('.') && domain.chars().all(is_plain) {
        Ok(domain)
    } else {
        Err("write a domain, as example.org")
    }
}

/// Reads the client's secret; `None` for `-`, which is written later.
fn read_secret(file: &Path) -> Result<Option<SecretString>, CommandError> {
    if file == Path::new("-") {
        return Ok(None);
    }
    let text = fs::read_to_string(file)
        .map_err(|error| CommandError::Usage(format!("{}: {error}", file.display())))?;
    Ok(Some(SecretString::from(
        text.trim_end_matches(['\r', '\n']),
    )))
}
