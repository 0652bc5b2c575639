//! Pages that only tell something.

use askama::Template;

use super::{Frame, Moment, local, room_name, shorten};
use crate::{Content, Denial, LinkProblem, Part, PopupOutcome, SignInFailure, Texts};
use model::{clock::Timestamp, policy::Refusal, room::RoomKey};

/// What the template of notices shows.
#[derive(Template)]
#[template(path = "notice.html", config = "askama.toml")]
pub(super) struct NoticeView<'v> {
    frame: Frame<'v>,
    /// For the page's script.
    data: Vec<(&'static str, &'v str)>,
    paragraphs: Vec<&'v str>,
    detail: Option<String>,
    links: Vec<Link<'v>>,
    facts: Vec<Fact<'v>>,
}

/// Something that varies, beside the word for it.
struct Fact<'v> {
    label: &'v str,
    value: String,
    /// The value for machines, if it is a time.
    time: Option<String>,
}

struct Link<'v> {
    label: &'v str,
    target: String,
}

// === impl NoticeView ===

impl<'v> NoticeView<'v> {
    /// Says what the content has to say.
    pub(super) fn new(frame: Frame<'v>, content: &Content<'v>) -> Self {
        let texts = frame.texts;
        let request_id = frame.request_id;
        let mut view = Self {
            frame,
            data: Vec::new(),
            paragraphs: Vec::new(),
            detail: None,
            links: Vec::new(),
            facts: Vec::new(),
        };
        view.fill(content, texts);
        let goes_well = matches!(
            content,
            Content::SignedOut | Content::Popup { .. } | Content::LogoutFrame
        );
        if !goes_well {
            view.fact(&texts.words.request_id, request_id);
        }
        view
    }

    fn fill(&mut self, content: &Content<'v>, texts: &'v Texts) {
        match *content {
            Content::Refused {
                room,
                person,
                denial,
                sign_in,
            } => self.refuse(room, person, denial, sign_in),
            Content::LinkRefused { room, problem } => {
                let (invitation, words) = (&texts.invitation, &texts.words);
                let why = problem.text(texts);
                self.say(&invitation.title, &[why, &invitation.advice]);
                self.link(&invitation.without, &room.page_path());
                self.link(&words.home, "/");
                self.fact(&words.room, &room_name(room));
            }
            Content::EmbedRefused { room, reason } => {
                let embed = &texts.embed;
                self.say(&embed.title, &[&embed.text, &embed.advice]);
                self.detail = Some(shorten(reason));
                self.fact(&texts.words.room, &room_name(room));
            }
            Content::SignInFailed { failure, again } => {
                let failed = &texts.failed;
                self.say(&failed.title, &[failure.text(texts), &failed.advice]);
                self.link(&texts.words.again, again);
            }
            Content::Unavailable { part, again } => {
                let unavailable = &texts.unavailable;
                let why = part.text(texts);
                self.say(&unavailable.title, &[why, &unavailable.advice]);
                self.link(&texts.words.again, again);
            }
            Content::BadRequest { reason } => {
                let bad_request = &texts.bad_request;
                self.say(&bad_request.title, &[&bad_request.text]);
                self.detail = reason.map(shorten);
                self.link(&texts.words.home, "/");
            }
            Content::Popup { outcome } => self.popup(outcome),
            Content::SignedOut | Content::LogoutFrame => {
                self.say(&texts.signed_out.title, &[&texts.signed_out.text]);
                self.link(&texts.words.home, "/");
            }
            // The others have templates of their own.
            _ => {
                self.say(&texts.not_found.title, &[&texts.not_found.text]);
                self.link(&texts.words.home, "/");
            }
        }
    }

    fn refuse(
        &mut self,
        room: &RoomKey,
        person: Option<&str>,
        denial: Denial,
        sign_in: Option<&str>,
    ) {
        let texts = self.frame.texts;
        let words = &texts.words;
        let (advice, label) = if person.is_some() {
            (&texts.refused.advice, &words.other_account)
        } else {
            (&texts.refused.advice_signed_out, &words.sign_in)
        };
        self.say(&texts.refused.title, &[denial.text(texts)]);
        if denial.may_be_a_mistake() && sign_in.is_some() {
            self.paragraphs.push(advice);
        }
        if denial.can_be_waited_for() {
            self.link(&words.again, &room.page_path());
        }
        if let Some(sign_in) = sign_in {
            self.link(label, sign_in);
        }
        self.link(&words.home, "/");
        if let Denial::NotYet { opens } = denial {
            self.time(&texts.refused.opens, opens);
        }
        self.fact(&words.room, &room_name(room));
        if let Some(person) = person {
            self.fact(&words.person, person);
        }
        if let Some(rule) = denial.rule() {
            self.fact(&words.rule, &rule.to_string());
        }
    }

    fn popup(&mut self, outcome: PopupOutcome<'v>) {
        let popup = &self.frame.texts.popup;
        match outcome {
            PopupOutcome::Success { access_token } => {
                self.say(&popup.title, &[&popup.text]);
                self.data.push(("token", access_token));
            }
            PopupOutcome::Failure { error } => {
                self.say(&popup.failed_title, &[&popup.failed_text]);
                self.data.push(("error", error));
            }
        }
    }

    fn say(&mut self, title: &str, paragraphs: &[&'v str]) {
        title.clone_into(&mut self.frame.title);
        self.paragraphs.extend(paragraphs);
    }

    fn link(&mut self, label: &'v str, target: &str) {
        let target = local(target).to_owned();
        self.links.push(Link { label, target });
    }

    fn fact(&mut self, label: &'v str, value: &str) {
        let value = shorten(value);
        let time = None;
        self.facts.push(Fact { label, value, time });
    }

    fn time(&mut self, label: &'v str, time: Timestamp) {
        let moment = Moment::of(time);
        self.facts.push(Fact {
            label,
            value: moment.human,
            time: Some(moment.machine),
        });
    }
}

// === impl Denial ===

impl Denial {
    fn text(self, texts: &Texts) -> &str {
        let refused = &texts.refused;
        match self {
            Self::Policy(Refusal::NoRule) => &refused.no_rule,
            Self::Policy(Refusal::Closed { .. }) => &refused.closed,
            Self::Policy(_) => &refused.not_allowed,
            Self::NotYet { .. } => &refused.not_yet,
            Self::Over => &refused.over,
            Self::Full => &refused.full,
            Self::NoGuests => &refused.no_guests,
            Self::HostStarts => &refused.host_starts,
        }
    }

    /// The position of the rule that decided, from 1.
    fn rule(self) -> Option<usize> {
        match self {
            Self::Policy(Refusal::Closed { rule } | Refusal::NotAllowed { rule }) => Some(rule),
            _ => None,
        }
    }

    /// Whether somebody could have to change a rule.
    fn may_be_a_mistake(self) -> bool {
        matches!(self, Self::Policy(_) | Self::Over)
    }

    /// Whether the answer changes by itself.
    fn can_be_waited_for(self) -> bool {
        matches!(self, Self::NotYet { .. } | Self::Full | Self::HostStarts)
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

// === impl SignInFailure ===

impl SignInFailure {
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

// === impl Part ===

impl Part {
    fn text(self, texts: &Texts) -> &str {
        let unavailable = &texts.unavailable;
        match self {
            Self::Provider => &unavailable.provider,
            Self::Jitsi => &unavailable.jitsi,
            Self::Gateway => &unavailable.gateway,
        }
    }
}
