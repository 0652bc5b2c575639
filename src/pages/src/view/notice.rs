//! Pages with a message, links and details, which share one template.

mod reasons;

use askama::Template;
use model::{clock::Timestamp, room::RoomKey};

use super::{Frame, local_path, name_problem, room_name, shorten};
use crate::{
    Content, EmbedProblem, PagePerson, PopupOutcome, RefusalCause, RequestProblem,
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
    buttons: Vec<Button<'v>>,
    /// Whether the first button is the obvious action.
    has_obvious_action: bool,
    facts: Vec<Fact<'v>>,
}

/// A link in the style of a button.
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
    /// Whether the value is an identifier, which is in no language.
    is_code: bool,
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
            buttons: Vec::new(),
            // Nothing is to be done before a room opens, which may be weeks ahead.
            has_obvious_action: !matches!(
                content,
                Content::Refused {
                    denial: RefusalCause::NotYet { .. },
                    ..
                }
            ),
            facts: Vec::new(),
        };
        view.add_content(content);
        let is_error = !matches!(
            content,
            Content::SignedOut { .. }
                | Content::GuestLeft { .. }
                | Content::Popup { .. }
                | Content::LogoutFrame
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
            Content::StepUp {
                room,
                person,
                required,
                sign_in,
            } => {
                let step_up = &texts.step_up;
                let title = &texts.refused.title;
                self.set_message(title, &[&step_up.text, &step_up.advice]);
                self.add_button(&words.again, sign_in);
                self.add_button(&words.home, "/");
                self.add_fact(&words.room, &room_name(room));
                if let Some(person) = person {
                    self.add_fact(&words.person, person);
                }
                self.add_code(&step_up.required, required);
            }
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
                problem,
                reference,
                page,
            } => {
                let embed = &texts.embed;
                let advice = if problem == EmbedProblem::Over {
                    &embed.over_advice
                } else {
                    self.add_button(&embed.without, page);
                    &embed.advice
                };
                self.set_message(&embed.title, &[problem.text(texts), advice]);
                self.add_button(&words.home, "/");
                self.add_fact(&words.room, &room_name(room));
                self.add_reference(reference);
            }
            Content::SignInFailed {
                failure,
                reference,
                again,
            } => {
                let failed = &texts.failed;
                self.set_message(&failed.title, &[failure.text(texts), &failed.advice]);
                self.add_button(&words.again, again);
                self.add_button(&words.home, "/");
                self.add_reference(reference);
            }
            Content::Unavailable { component, again } => {
                let unavailable = &texts.unavailable;
                self.set_message(
                    &unavailable.title,
                    &[component.text(texts), &unavailable.advice],
                );
                self.add_button(&words.again, again);
            }
            Content::BadRequest { problem, reference } => {
                self.add_request_problem(problem);
                // The start page is not at the address of another host.
                if !matches!(problem, RequestProblem::OtherHost { .. }) {
                    self.add_button(&words.home, "/");
                }
                self.add_reference(reference);
            }
            Content::Popup { outcome } => self.add_popup_outcome(outcome),
            Content::SignedOut { sign_in, return_to } => {
                // A person who was put out of a meeting still uses the browser.
                let text = return_to.is_none().then_some(&*texts.signed_out.text);
                self.set_message(&texts.signed_out.title, text.as_slice());
                if let Some(sign_in) = sign_in {
                    self.add_button(&texts.signed_out.again, sign_in);
                } else if let Some(room) = return_to {
                    self.add_button(&texts.call.again, room);
                }
                self.add_button(&words.home, "/");
            }
            Content::GuestLeft { return_to } => {
                self.set_message(&texts.call.over_title, &[&texts.signed_out.text]);
                if let Some(room) = return_to {
                    self.add_button(&texts.call.again, room);
                }
                self.add_button(&words.home, "/");
            }
            Content::SignOutNotKept { provider } => {
                self.set_message(&texts.signed_out.title, &[&texts.signed_out.not_kept]);
                if let Some(provider) = provider {
                    self.add_button(&words.sign_out, provider);
                }
                self.add_button(&words.home, "/");
            }
            Content::LogoutFrame => {
                self.set_message(&texts.signed_out.title, &[&texts.signed_out.text]);
                self.add_button(&words.home, "/");
            }
            // `Frame::render` passes only these contents and `NotFound` to this function.
            _ => {
                let advice = &texts.bad_request.text;
                self.set_message(&texts.not_found.title, &[&texts.not_found.text, advice]);
                self.add_button(&words.home, "/");
            }
        }
    }

    fn add_refusal(
        &mut self,
        room: &RoomKey,
        person: Option<PagePerson<'_>>,
        denial: RefusalCause,
        again: &str,
        sign_in: Option<&str>,
    ) {
        let texts = self.frame.texts;
        let words = &texts.words;
        let is_member = person.is_some_and(|person| person.is_member);
        let (advice, label) = if is_member {
            (&texts.refused.advice, &words.other_account)
        } else {
            (&texts.refused.advice_signed_out, &words.sign_in)
        };
        self.set_message(&texts.refused.title, &[denial.text(texts)]);
        if denial.has_advice() {
            // Without a provider, no other account helps.
            let advice = sign_in.map_or(&texts.refused.advice_signed_out, |_| advice);
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
            let label = if is_member {
                &words.person
            } else {
                &texts.join.name
            };
            self.add_fact(label, person.name);
        }
    }

    fn add_request_problem(&mut self, problem: RequestProblem<'v>) {
        let texts = self.frame.texts;
        let (words, request) = (&texts.words, &texts.request);
        let address = &texts.bad_request;
        let (text, advice) = match problem {
            RequestProblem::Name(problem) => {
                let text = name_problem(problem, texts);
                return self.set_message(&address.title, &[text, &address.text]);
            }
            RequestProblem::Address => return self.set_message(&address.title, &[&address.text]),
            RequestProblem::SignIn { sign_in } => {
                if let Some(sign_in) = sign_in {
                    self.add_button(&words.sign_in, sign_in);
                }
                return self.set_message(&request.title, &[&request.sign_in]);
            }
            RequestProblem::OtherHost { named, own } => {
                // The host is that of the configuration.
                self.buttons.push(Button {
                    label: &words.home,
                    target: format!("https://{own}/"),
                });
                self.add_fact(&words.asked_host, named);
                self.add_fact(&words.site_host, own);
                (&request.host, &request.host_advice)
            }
            RequestProblem::Insecure => (&request.insecure, &request.insecure_advice),
            RequestProblem::Method => (&request.method, &request.method_advice),
            RequestProblem::Form => (&request.form, &request.form_advice),
            RequestProblem::OtherSite => (&request.other_site, &request.other_site_advice),
            RequestProblem::NotInRoom => (&request.not_in_room, &request.not_in_room_advice),
            RequestProblem::NotHost { room } => {
                self.add_button(&words.room_page, room);
                (&request.not_host, &request.not_host_advice)
            }
            RequestProblem::TooMany { again } => {
                self.add_button(&words.again, again);
                (&request.too_many, &request.too_many_advice)
            }
            RequestProblem::Other => (&request.other, &request.other_advice),
        };
        self.set_message(&request.title, &[text, advice]);
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
            is_code: false,
        });
    }

    fn add_reference(&mut self, reference: &str) {
        self.add_code(&self.frame.texts.words.reference, reference);
    }

    fn add_code(&mut self, label: &'v str, code: &str) {
        self.facts.push(Fact {
            label,
            value: shorten(code),
            time: None,
            is_code: true,
        });
    }

    fn add_time(&mut self, label: &'v str, time: Timestamp) {
        let time = HtmlTime::new(time);
        self.facts.push(Fact {
            label,
            value: time.text,
            time: Some(time.datetime),
            is_code: false,
        });
    }
}
