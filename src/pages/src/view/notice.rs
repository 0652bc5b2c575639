//! Pages with a message, links and details, which share one template.

use askama::Template;
use model::{clock::Timestamp, policy::Refusal, room::RoomKey};

use super::{Frame, local_path, name_problem, room_name, shorten};
use crate::{
    Component, Content, LinkProblem, PopupOutcome, RefusalCause, SignInProblem, Texts,
    html_time::HtmlTime,
};

/// Values of `notice.html`.
#[derive(Template)]
#[template(path = "notice.html", config = "askama.toml")]
pub(super) struct NoticeView<'v> {
    frame: Frame<'v>,
    /// `data-` attributes for the page's script.
    data: Vec<(&'static str, &'v str)>,
    paragraphs: Vec<&'v str>,
    detail: Option<String>,
    buttons: Vec<Button<'v>>,
    facts: Vec<Fact<'v>>,
}

/// A link in the style of a button; the first one is emphasized.
struct Button<'v> {
    label: &'v str,
    target: String,
}

/// A value with its label.
struct Fact<'v> {
    label: &'v str,
    value: String,
    /// `datetime` attribute, if the value is a time.
    time: Option<String>,
}

// === impl NoticeView ===

impl<'v> NoticeView<'v> {
    pub(super) fn new(frame: Frame<'v>, content: &Content<'v>) -> Self {
        let texts = frame.texts;
        let request_id = frame.request_id;
        let mut view = Self {
            frame,
            data: Vec::new(),
            paragraphs: Vec::new(),
            detail: None,
            buttons: Vec::new(),
            facts: Vec::new(),
        };
        view.add_content(content);
        let is_error = !matches!(
            content,
            Content::SignedOut { .. } | Content::Popup { .. } | Content::LogoutFrame
        );
        if is_error {
            view.add_fact(&texts.words.request_id, request_id);
        }
        view
    }

    fn add_content(&mut self, content: &Content<'v>) {
        let texts = self.frame.texts;
        let words = &texts.words;
        match *content {
            Content::Refused {
                room,
                person,
                denial,
                again,
                sign_in,
            } => self.add_refusal(room, person, denial, again, sign_in),
            Content::LinkRefused {
                room,
                problem,
                page,
            } => {
                let invitation = &texts.invitation;
                self.set_message(
                    &invitation.title,
                    &[problem.text(texts), &invitation.advice],
                );
                self.add_button(&invitation.without, page);
                self.add_button(&words.home, "/");
                self.add_fact(&words.room, &room_name(room));
            }
            Content::EmbedRefused {
                room,
                reason,
                over,
                page,
            } => {
                let embed = &texts.embed;
                if over {
                    self.set_message(&embed.title, &[&embed.over, &embed.over_advice]);
                } else {
                    self.set_message(&embed.title, &[&embed.text, &embed.advice]);
                    self.add_button(&embed.without, page);
                }
                self.add_button(&words.home, "/");
                self.detail = Some(shorten(reason));
                self.add_fact(&words.room, &room_name(room));
            }
            Content::SignInFailed { failure, again } => {
                let failed = &texts.failed;
                self.set_message(&failed.title, &[failure.text(texts), &failed.advice]);
                self.add_button(&words.again, again);
            }
            Content::Unavailable { component, again } => {
                let unavailable = &texts.unavailable;
                self.set_message(
                    &unavailable.title,
                    &[component.text(texts), &unavailable.advice],
                );
                self.add_button(&words.again, again);
            }
            Content::BadRequest { name, reason } => {
                let bad_request = &texts.bad_request;
                self.set_message(&bad_request.title, &[]);
                self.paragraphs
                    .extend(name.map(|problem| name_problem(problem, texts)));
                self.paragraphs.push(&bad_request.text);
                self.detail = reason.map(shorten);
                self.add_button(&words.home, "/");
            }
            Content::Popup { outcome } => self.add_popup_outcome(outcome),
            Content::SignedOut {
                return_to: Some(again),
            } => {
                self.set_message(&texts.signed_out.title, &[]);
                self.add_button(&words.sign_in, again);
                self.add_button(&words.home, "/");
            }
            Content::SignOutNotKept { provider } => {
                self.set_message(&texts.signed_out.title, &[&texts.signed_out.not_kept]);
                if let Some(provider) = provider {
                    self.add_button(&words.sign_out, provider);
                }
                self.add_button(&words.home, "/");
            }
            Content::SignedOut { return_to: None } | Content::LogoutFrame => {
                self.set_message(&texts.signed_out.title, &[&texts.signed_out.text]);
                self.add_button(&words.home, "/");
            }
            // `Frame::render` passes only these contents and `NotFound` to this function.
            _ => {
                self.set_message(&texts.not_found.title, &[&texts.not_found.text]);
                self.add_button(&words.home, "/");
            }
        }
    }

    fn add_refusal(
        &mut self,
        room: &RoomKey,
        person: Option<&str>,
        denial: RefusalCause,
        again: &str,
        sign_in: Option<&str>,
    ) {
        let texts = self.frame.texts;
        let words = &texts.words;
        let (advice, label) = if person.is_some() {
            (&texts.refused.advice, &words.other_account)
        } else {
            (&texts.refused.advice_signed_out, &words.sign_in)
        };
        self.set_message(&texts.refused.title, &[denial.text(texts)]);
        if denial.has_advice() && sign_in.is_some() {
            self.paragraphs.push(advice);
        }
        if denial.is_temporary() {
            self.add_button(&words.again, again);
        }
        if let Some(sign_in) = sign_in {
            self.add_button(label, sign_in);
        }
        self.add_button(&words.home, "/");
        if let RefusalCause::NotYet { opens } = denial {
            self.add_time(&texts.refused.opens, opens);
        }
        self.add_fact(&words.room, &room_name(room));
        if let Some(person) = person {
            self.add_fact(&words.person, person);
        }
        if let Some(rule) = denial.rule() {
            self.add_fact(&words.rule, &rule.to_string());
        }
    }

    fn add_popup_outcome(&mut self, outcome: PopupOutcome<'v>) {
        let popup = &self.frame.texts.popup;
        match outcome {
            PopupOutcome::Success { access_token } => {
                self.set_message(&popup.title, &[&popup.text]);
                self.data.push(("token", access_token));
            }
            PopupOutcome::Failure { error } => {
                self.set_message(&popup.failed_title, &[&popup.failed_text]);
                self.data.push(("error", error));
            }
        }
    }

    fn set_message(&mut self, title: &str, paragraphs: &[&'v str]) {
        title.clone_into(&mut self.frame.title);
        self.paragraphs.extend(paragraphs);
    }

    fn add_button(&mut self, label: &'v str, target: &str) {
        let target = local_path(target).to_owned();
        self.buttons.push(Button { label, target });
    }

    fn add_fact(&mut self, label: &'v str, value: &str) {
        self.facts.push(Fact {
            label,
            value: shorten(value),
            time: None,
        });
    }

    fn add_time(&mut self, label: &'v str, time: Timestamp) {
        let time = HtmlTime::new(time);
        self.facts.push(Fact {
            label,
            value: time.text,
            time: Some(time.datetime),
        });
    }
}

// === impl RefusalCause ===

impl RefusalCause {
    fn text(self, texts: &Texts) -> &str {
        let refused = &texts.refused;
        match self {
            Self::Policy(Refusal::NoRule) => &refused.no_rule,
            Self::Policy(Refusal::Closed { .. }) => &refused.closed,
            Self::Policy(
                Refusal::NotAllowed { .. }
                | Refusal::InvitationOnly { .. }
                | Refusal::NotYet { .. }
                | Refusal::Over { .. }
                | Refusal::Full { .. },
            ) => &refused.not_allowed,
            Self::NotYet { .. } => &refused.not_yet,
            Self::Over => &refused.over,
            Self::Full => &refused.full,
            Self::NoGuests => &refused.no_guests,
            Self::HostStarts => &refused.host_starts,
        }
    }

    /// Position of the room rule that denied entry, from 1.
    fn rule(self) -> Option<usize> {
        match self {
            Self::Policy(Refusal::Closed { rule } | Refusal::NotAllowed { rule }) => Some(rule),
            _ => None,
        }
    }

    /// Whether the page advises to contact the operator, who could change the room rules.
    fn has_advice(self) -> bool {
        match self {
            Self::Policy(_) | Self::Over => true,
            Self::NotYet { .. } | Self::Full | Self::NoGuests | Self::HostStarts => false,
        }
    }

    /// Whether a later attempt may succeed without a change of the room rules.
    fn is_temporary(self) -> bool {
        match self {
            Self::NotYet { .. } | Self::Full | Self::HostStarts => true,
            Self::Policy(_) | Self::Over | Self::NoGuests => false,
        }
    }
}

// === impl LinkProblem ===

impl LinkProblem {
    fn text(self, texts: &Texts) -> &str {
        let invitation = &texts.invitation;
        match self {
            Self::Unreadable => &invitation.unreadable,
            Self::Expired => &invitation.expired,
            Self::UsedUp => &invitation.used_up,
            Self::Revoked => &invitation.revoked,
            Self::OtherRoom => &invitation.other_room,
        }
    }
}

// === impl SignInProblem ===

impl SignInProblem {
    fn text(self, texts: &Texts) -> &str {
        let failed = &texts.failed;
        match self {
            Self::Unknown => &failed.unknown,
            Self::Expired => &failed.expired,
            Self::Declined => &failed.declined,
            Self::Provider => &failed.provider,
            Self::TooLarge => &failed.too_large,
        }
    }
}

// === impl Component ===

impl Component {
    fn text(self, texts: &Texts) -> &str {
        let unavailable = &texts.unavailable;
        match self {
            Self::Provider => &unavailable.provider,
            Self::Jitsi => &unavailable.jitsi,
            Self::Gateway => &unavailable.gateway,
        }
    }
}
