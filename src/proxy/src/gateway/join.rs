//! Entering as a guest, or by a link.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::{
    Body, Facts, Failure, Worker,
    failure::Asking,
    form::Form,
    framing::place_of,
    room::{JOIN, Visit, give_cookies},
    web::redirect,
};
use cluster::store::UseOutcome;
use model::{
    identity::{Identity, Invited, Standing, is_blank, is_plain},
    invitation::{Link, LinkError},
    policy::Admission,
    room::RoomKey,
    session::{Place, Session},
    token::ClientTokenKind,
};
use pages::{GuestForm, LinkProblem, NameProblem};

// === impl Worker ===

impl Worker {
    /// Opens a link: whoever is known, by their account or by the link itself, goes right in; others
    /// say a name. A link that can be used up is used by that form only, as programs that show
    /// previews of addresses open them as well.
    pub(super) fn open_link(
        &self,
        visit: &Visit<'_>,
        invite: &str,
        here: &str,
    ) -> Result<Response<Body>, Failure> {
        let link = self.link(invite, &visit.room)?;
        let headers = visit.request.headers();
        if self.came_by(&link, headers) {
            return redirect(StatusCode::SEE_OTHER, here);
        }
        let member = self.session(headers);
        if link.uses.is_none() && (member.is_some() || link.name.is_some()) {
            return self.admit_by_link(&link, None, here, visit);
        }
        let known = member
            .as_ref()
            .and_then(|session| session.identity().display_name())
            .or(link.name.as_deref());
        let form = GuestForm {
            action: JOIN,
            invite: Some(invite),
            name: known,
            problem: None,
            host: link.host,
        };
        Ok(self.choose(visit, Some(form)))
    }

    /// Answers the form of a guest's name.
    pub(super) async fn join(
        &self,
        request: Request<Incoming>,
        asking: &Asking,
        facts: Facts,
    ) -> Result<Response<Body>, Failure> {
        let (request, form) = Form::read(request, &self.gateway.origin).await?;
        let room = form.get("room").unwrap_or_default().to_owned();
        let room = RoomKey::try_from(room)?;
        let visit = Visit {
            request,
            asking,
            facts,
            room,
            cookies: Vec::new(),
        };
        let here = visit.room.page_path();
        let typed = form.get("name").unwrap_or_default();
        let invite = form.get("invite").filter(|invite| !invite.is_empty());
        let link = match invite {
            Some(invite) => Some(self.link(invite, &visit.room)?),
            None => None,
        };
        if let Some(link) = &link
            && self.came_by(link, visit.request.headers())
        {
            return redirect(StatusCode::SEE_OTHER, &here);
        }
        let name = match guest_name(typed) {
            Ok(name) => Some(name),
            // Who is known otherwise need not say a name.
            Err(NameProblem::Empty)
                if link.is_some() && self.session(visit.request.headers()).is_some() =>
            {
                None
            }
            Err(problem) => {
                let form = GuestForm {
                    action: JOIN,
                    invite,
                    name: Some(typed),
                    problem: Some(problem),
                    host: link.as_ref().is_some_and(|link| link.host),
                };
                return Ok(self.choose(&visit, Some(form)));
            }
        };
        if let Some(link) = link {
            self.use_link(&link).await?;
            return self.admit_by_link(&link, name, &here, &visit);
        }
        let guest = self.new_guest(&visit.room, name);
        let rules = self.rules();
        match self.ask_rules(&rules.policy, &visit.room, Some(&guest)) {
            Admission::Admit(_) | Admission::Wait(_) => self.let_in(&guest, &here, &visit),
            // The rules changed, or somebody made the form up: the page says what is the matter.
            _ => self.enter(visit, None).await,
        }
    }

    fn admit_by_link(
        &self,
        link: &Link,
        name: Option<String>,
        here: &str,
        visit: &Visit<'_>,
    ) -> Result<Response<Body>, Failure> {
        let gateway = &self.gateway;
        let identity = Identity {
            name: name.or_else(|| link.name.clone()),
            email: link.email.clone(),
            ..Identity::default()
        };
        let standing = Standing::Invited(Invited {
            link: link.id.clone(),
            host: link.host,
            member: false,
        });
        // Whoever came in by a link stays as long as a guest may, also when the link ends before.
        let ends = gateway.clock.now().after(gateway.guests.lifetime);
        let pass = gateway
            .passes
            .issue(&visit.room, standing, identity, ends, &gateway.random);
        super::audit::invited(&pass, &visit.room, link, &visit.facts);
        self.let_in(&pass, here, visit)
    }

    fn let_in(
        &self,
        pass: &Session,
        here: &str,
        visit: &Visit<'_>,
    ) -> Result<Response<Body>, Failure> {
        let headers = visit.request.headers();
        let place = place_of(headers);
        let cookies = self.give(pass, place, headers)?;
        let here = match place {
            Place::Tab => here.to_owned(),
            // The cookie may not come back out of a frame.
            Place::Frame => {
                let tokens = &self.gateway.client_tokens;
                let role = model::policy::Role::Participant;
                let kind = ClientTokenKind::Embed;
                let features = model::policy::Features::default();
                let token = tokens.issue(pass, &visit.room, role, &features, kind, HANDOVER);
                let mark = if here.contains('?') { '&' } else { '?' };
                format!("{here}{mark}jwt={}", token.as_str())
            }
        };
        let mut answer = redirect(StatusCode::SEE_OTHER, &here)?;
        give_cookies(&mut answer, cookies);
        Ok(answer)
    }

    fn link(&self, invite: &str, room: &RoomKey) -> Result<Link, Failure> {
        let gateway = &self.gateway;
        let refused = |problem| Failure::Link {
            room: room.clone(),
            problem,
        };
        let link =
            gateway
                .links
                .open(invite, gateway.clock.now())
                .map_err(|error| match error {
                    LinkError::Unreadable => refused(LinkProblem::Unreadable),
                    LinkError::Expired => refused(LinkProblem::Expired),
                    LinkError::TooEarly(opens) => Failure::LinkTooEarly {
                        room: room.clone(),
                        opens,
                    },
                })?;
        if link.room != *room {
            return Err(refused(LinkProblem::OtherRoom));
        }
        if gateway.revocations.is_link_revoked(&link.id) {
            return Err(refused(LinkProblem::Revoked));
        }
        Ok(link)
    }

    /// Whether somebody is in by this link already, or by one that makes more of them: opening it
    /// again uses nothing up, and makes no host a guest.
    fn came_by(&self, link: &Link, headers: &HeaderMap) -> bool {
        let pass = self.pass(headers, &link.room);
        pass.is_some_and(|pass| match pass.standing() {
            Standing::Invited(by) => by.link == link.id || by.host && !link.host,
            _ => false,
        })
    }

    async fn use_link(&self, link: &Link) -> Result<(), Failure> {
        let Some(limit) = link.uses else {
            return Ok(());
        };
        let store = Arc::clone(&self.gateway.store);
        let key = format!("link:{}", link.id);
        let left = link.expires.since(self.gateway.clock.now());
        let claiming = self
            .gateway
            .control
            .spawn(async move { store.consume_use(&key, limit, left).await });
        let claimed = claiming
            .await
            .map_err(|_| Failure::Internal("a claim was abandoned"))??;
        match claimed {
            UseOutcome::Granted { .. } => Ok(()),
            UseOutcome::Exhausted => Err(Failure::Link {
                room: link.room.clone(),
                problem: LinkProblem::UsedUp,
            }),
        }
    }
}

/// A name that others can read and be addressed by.
fn guest_name(typed: &str) -> Result<String, NameProblem> {
    let name = typed.split_whitespace().collect::<Vec<_>>().join(" ");
    if is_blank(&name) {
        Err(NameProblem::Empty)
    } else if name.chars().count() > MAX_NAME_CHARS {
        Err(NameProblem::TooLong)
    } else if is_plain(&name, MAX_NAME_CHARS) {
        Ok(name)
    } else {
        Err(NameProblem::Characters)
    }
}

/// Longer than names are, short enough for a tile of a video.
const MAX_NAME_CHARS: usize = 60;

/// From one page to the next within a frame.
const HANDOVER: Duration = Duration::from_mins(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_people_can_read() {
        for (typed, name) in [
            ("Zoë", Ok("Zoë")),
            ("  Ann   Lee\t", Ok("Ann Lee")),
            ("李小龍", Ok("李小龍")),
            ("<b>Bob</b>", Ok("<b>Bob</b>")),
            ("", Err(NameProblem::Empty)),
            (" \u{a0} ", Err(NameProblem::Empty)),
            // Persian writes some words with a gap that takes no place, emoji with joiners.
            ("می\u{200c}خواهم", Ok("می\u{200c}خواهم")),
            ("👩\u{200d}🚀", Ok("👩\u{200d}🚀")),
            ("\u{200d}", Err(NameProblem::Empty)),
            ("\u{3164}", Err(NameProblem::Empty)),
            ("a\u{61c}b", Err(NameProblem::Characters)),
            ("a\u{202e}b", Err(NameProblem::Characters)),
            ("a\u{200b}", Err(NameProblem::Characters)),
            ("a\u{7}b", Err(NameProblem::Characters)),
        ] {
            assert_eq!(guest_name(typed).as_deref(), name.as_deref(), "{typed:?}");
        }
        assert_eq!(guest_name(&"x".repeat(61)), Err(NameProblem::TooLong));
    }
}
