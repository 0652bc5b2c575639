//! From what a page is about to what the template shows.

use askama::Template;

use super::{Content, Part, SCRIPT, STYLE, Texts};
use crate::{policy::Refusal, room::RoomKey};

/// What the template shows.
#[derive(Template)]
#[template(path = "page.html", config = "src/pages/askama.toml")]
pub(super) struct View<'v> {
    texts: &'v Texts,
    site_name: &'v str,
    style: &'static str,
    script: &'static str,
    heading: &'v str,
    paragraphs: Vec<&'v str>,
    detail: Option<String>,
    facts: Vec<Fact<'v>>,
    links: Vec<Link<'v>>,
    sign_in: Option<Way<'v>>,
}

/// Something that varies, beside the word for it.
struct Fact<'v> {
    label: &'v str,
    value: String,
}

struct Link<'v> {
    label: &'v str,
    target: &'v str,
}

/// The way to the provider and back.
struct Way<'v> {
    provider: &'v str,
    path: &'v str,
}

// === impl View ===

impl<'v> View<'v> {
    /// An empty page.
    pub(super) fn new(site_name: &'v str, texts: &'v Texts) -> Self {
        Self {
            texts,
            site_name,
            style: STYLE,
            script: SCRIPT,
            heading: "",
            paragraphs: Vec::new(),
            detail: None,
            facts: Vec::new(),
            links: Vec::new(),
            sign_in: None,
        }
    }

    /// Puts in what the content has to say.
    pub(super) fn fill(&mut self, content: &Content<'v>, request_id: &str) {
        let texts = self.texts;
        match *content {
            Content::Continue {
                provider,
                return_to,
            } => {
                self.say(&texts.continue_title, [&texts.continue_text]);
                self.link(&texts.continue_link, provider.as_str());
                self.sign_in = Some(Way {
                    provider: provider.as_str(),
                    path: return_to.as_str(),
                });
                return;
            }
            Content::SignedOut => {
                self.say(&texts.signed_out_title, [&texts.signed_out_text]);
                self.link(&texts.link_start, "/");
                return;
            }
            Content::Refused {
                room,
                person,
                refusal,
                sign_in,
            } => self.refuse(room, person, refusal, sign_in),
            Content::SignInFailed { failure, again } => {
                let why = failure.text(texts);
                self.say(&texts.failed_title, [why, &texts.failed_advice]);
                self.link(&texts.link_again, local(again));
            }
            Content::Unavailable { part, again } => {
                let why = match part {
                    Part::Provider => &texts.unavailable_provider,
                    Part::Jitsi => &texts.unavailable_jitsi,
                    Part::Gateway => &texts.unavailable_gateway,
                };
                self.say(&texts.unavailable_title, [why, &texts.unavailable_advice]);
                self.link(&texts.link_again, local(again));
            }
            Content::NotFound => {
                self.say(&texts.not_found_title, [&texts.not_found_text]);
                self.link(&texts.link_start, "/");
            }
            Content::BadRequest { reason } => {
                self.say(&texts.bad_request_title, [&texts.bad_request_text]);
                self.detail = reason.map(shorten);
                self.link(&texts.link_start, "/");
            }
        }
        self.fact(&texts.request_id, request_id);
    }

    fn refuse(&mut self, room: &RoomKey, person: Option<&str>, refusal: Refusal, sign_in: &'v str) {
        let texts = self.texts;
        let (why, rule) = match refusal {
            Refusal::NoRule => (&texts.refused_no_rule, None),
            Refusal::NotAllowed { rule } | Refusal::InvitationOnly { rule } => {
                (&texts.refused_not_allowed, Some(rule))
            }
            Refusal::Closed { rule }
            | Refusal::NotYet { rule, .. }
            | Refusal::Over { rule, .. }
            | Refusal::Full { rule, .. } => (&texts.refused_closed, Some(rule)),
        };
        let (advice, label) = if person.is_some() {
            (&texts.refused_advice, &texts.link_other_account)
        } else {
            (&texts.refused_advice_signed_out, &texts.link_sign_in)
        };
        self.say(&texts.refused_title, [why, advice]);
        self.link(label, local(sign_in));
        self.link(&texts.link_start, "/");
        let tenant = room.tenant().map(|tenant| format!("{}/", tenant.as_str()));
        let name = tenant.unwrap_or_default() + &room.readable();
        self.fact(&texts.room, &name);
        if let Some(person) = person {
            self.fact(&texts.person, person);
        }
        if let Some(rule) = rule {
            self.fact(&texts.rule, &rule.to_string());
        }
    }

    fn say<const N: usize>(&mut self, heading: &'v str, paragraphs: [&'v str; N]) {
        self.heading = heading;
        self.paragraphs.extend(paragraphs);
    }

    fn link(&mut self, label: &'v str, target: &'v str) {
        self.links.push(Link { label, target });
    }

    fn fact(&mut self, label: &'v str, value: &str) {
        let value = shorten(value);
        self.facts.push(Fact { label, value });
    }
}

/// The target if it is a path of this site, else the start page.
fn local(target: &str) -> &str {
    let outside = target.starts_with("//") || target.contains(['\\', '\t', '\r', '\n']);
    if target.starts_with('/') && !outside {
        target
    } else {
        "/"
    }
}

/// The text, cut to what a page can show.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A name or address that somebody could still read.
const MAX_CHARS: usize = 300;
