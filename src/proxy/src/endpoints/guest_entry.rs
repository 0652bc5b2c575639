//! Entry as a guest, or by a link.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};

use crate::{
    Body, RequestContext, RequestError, Worker,
    endpoints::form::Form,
    respond::{Responder, append_cookies, redirect},
    server::ClientBody,
    web::{
        embedding::place_of,
        room_page::{self, JOIN, RoomPageRequest},
    },
};
use model::{
    identity::{Standing, is_blank, is_plain},
    invitation::InvitationLink,
    path::CanonicalPath,
    room::RoomKey,
    session::{self, BrowsingContext, Pass, Principal, RequestCookies, ReturnTo},
    token::ClientTokenKind,
};
use pages::{GuestForm, NameProblem};

/// Opens a link: a visitor with an account, or with a link that has a name, enters at once; others
/// state a name. Only the form uses up a limited link, as link previews open addresses, too.
pub(crate) async fn open_link(
    worker: &Worker,
    visit: &RoomPageRequest<'_>,
    invite: &str,
    here: &str,
) -> Result<Response<Body>, RequestError> {
    let link = worker.state.invitations.open(invite, &visit.room)?;
    let headers = visit.request.headers();
    if came_by(worker, &link, headers) {
        return redirect(StatusCode::SEE_OTHER, here);
    }
    worker.state.invitations.check_uses_left(&link).await?;
    let member = worker.state.authenticator.session(headers);
    if link.uses.is_none() && (member.is_some() || link.name.is_some()) {
        let pass = worker.state.passes.invited(&link, None);
        return admit_by_link(worker, &link, &pass, here, visit);
    }
    let known = member
        .as_ref()
        .and_then(|session| session.identity().display_name())
        .or(link.name.as_deref());
    let form = GuestForm {
        action: JOIN,
        page: None,
        invite: Some(invite),
        name: known,
        problem: None,
        host: link.host,
        remember: None,
    };
    Ok(room_page::choose(worker, visit, Some(form)))
}

/// Answers the form of a guest's name.
pub(crate) async fn join(
    worker: &Worker,
    request: Request<ClientBody>,
    responder: &Responder,
    context: RequestContext,
) -> Result<Response<Body>, RequestError> {
    let (request, form) = Form::read(request, &worker.state.authenticator.origin).await?;
    let room = form.get("room").unwrap_or_default().to_owned();
    let room = RoomKey::try_from(room)?;
    // The address that the form was shown at, if it is of the room.
    let page = ReturnTo::parse(form.get("page").unwrap_or_default());
    let here = if page.room().as_ref() == Some(&room) && !page.as_str().contains('?') {
        page.as_str().to_owned()
    } else {
        room.page_path()
    };
    let path = CanonicalPath::parse(&here)?;
    let link = form.get("invite").filter(|invite| !invite.is_empty());
    let link = link.map(|invite| format!("invite={invite}"));
    responder.lead_to(&ReturnTo::of_request(&path, link.as_deref()));
    let typed = form.get("name").unwrap_or_default();
    let remembers = form.get("remember").is_some();
    let visit = RoomPageRequest {
        cookies: name_cookie(worker, request.headers(), typed, remembers),
        request,
        path,
        responder,
        context,
        room,
    };
    let invite = form.get("invite").filter(|invite| !invite.is_empty());
    let link = match invite {
        Some(invite) => Some(worker.state.invitations.open(invite, &visit.room)?),
        None => None,
    };
    if let Some(link) = &link
        && came_by(worker, link, visit.request.headers())
    {
        return redirect(StatusCode::SEE_OTHER, &here);
    }
    let name = match guest_name(typed) {
        Ok(name) => Some(name),
        // Who is known otherwise need not say a name.
        Err(NameProblem::Empty)
            if link.is_some()
                && worker
                    .state
                    .authenticator
                    .session(visit.request.headers())
                    .is_some() =>
        {
            None
        }
        Err(problem) => {
            let form = GuestForm {
                action: JOIN,
                page: None,
                invite,
                name: Some(typed),
                problem: Some(problem),
                host: link.as_ref().is_some_and(|link| link.host),
                remember: Some(remembers),
            };
            let mut answer = room_page::choose(worker, &visit, Some(form));
            append_cookies(&mut answer, visit.cookies);
            return Ok(answer);
        }
    };
    if let Some(link) = link {
        return use_and_admit(worker, &link, name, &here, visit).await;
    }
    let guest = worker.state.passes.guest(&visit.room, name);
    let (authorizer, rules) = (&worker.state.authorizer, worker.rules());
    let principal = Principal::Pass(guest.clone());
    if authorizer.could_enter(&rules.policy, &visit.room, &principal) {
        let_in(worker, &guest, &here, &visit)
    } else {
        // The room is full, the rules changed, or the form is not from a page of the gateway: the page says which.
        room_page::enter(worker, visit, principal.into()).await
    }
}

/// Uses a link whose holder the rules let in; a refusal, or a full room, costs no use.
async fn use_and_admit(
    worker: &Worker,
    link: &InvitationLink,
    name: Option<String>,
    here: &str,
    visit: RoomPageRequest<'_>,
) -> Result<Response<Body>, RequestError> {
    let pass = worker.state.passes.invited(link, name);
    let member = worker.state.authenticator.session(visit.request.headers());
    let principal = match member {
        Some(member) => Principal::combine(member, pass.clone()),
        None => Principal::Pass(pass.clone()),
    };
    let (authorizer, rules) = (&worker.state.authorizer, worker.rules());
    if !authorizer.could_enter(&rules.policy, &visit.room, &principal) {
        return room_page::enter(worker, visit, principal.into()).await;
    }
    worker.state.invitations.consume_use(link).await?;
    admit_by_link(worker, link, &pass, here, &visit)
}

fn admit_by_link(
    worker: &Worker,
    link: &InvitationLink,
    pass: &Pass,
    here: &str,
    visit: &RoomPageRequest<'_>,
) -> Result<Response<Body>, RequestError> {
    crate::audit::invited(pass, &visit.room, link, &visit.context);
    let_in(worker, pass, here, visit)
}

fn let_in(
    worker: &Worker,
    pass: &Pass,
    here: &str,
    visit: &RoomPageRequest<'_>,
) -> Result<Response<Body>, RequestError> {
    let headers = visit.request.headers();
    let place = place_of(headers);
    let cookies = worker
        .state
        .authenticator
        .pass_cookies(pass, place, headers)?;
    let here = match place {
        BrowsingContext::TopLevel => here.to_owned(),
        // The cookie may not come back out of a frame.
        BrowsingContext::EmbeddedFrame => {
            let tokens = &worker.state.client_tokens;
            let role = model::policy::Role::Participant;
            let kind = ClientTokenKind::Embed;
            let features = model::policy::Features::default();
            let token = tokens.issue(pass, role, &features, kind, HANDOVER, worker.rules().claims);
            let mark = if here.contains('?') { '&' } else { '?' };
            format!("{here}{mark}jwt={}", token.as_str())
        }
    };
    let mut answer = redirect(StatusCode::SEE_OTHER, &here)?;
    append_cookies(&mut answer, cookies);
    append_cookies(&mut answer, visit.cookies.clone());
    Ok(answer)
}

/// The `Set-Cookie` header that stores the name for the next form, or deletes the stored one: the box is
/// not checked, or the field is empty. The names of members are known otherwise.
fn name_cookie(
    worker: &Worker,
    headers: &HeaderMap,
    typed: &str,
    remembers: bool,
) -> Vec<HeaderValue> {
    if !can_remember(worker, headers) {
        return Vec::new();
    }
    let forget = || session::forget_guest_name(RequestCookies::new(headers));
    let cookie = match guest_name(typed) {
        Ok(name) if remembers => session::remember_guest_name(&name),
        Ok(_) | Err(NameProblem::Empty) => forget(),
        Err(_) => None,
    };
    cookie.into_iter().collect()
}

/// The name that the form begins with: that of the last form, if it is as that form would have stored it.
pub(crate) fn remembered_name(headers: &HeaderMap) -> Option<String> {
    let name = session::remembered_guest_name(RequestCookies::new(headers))?;
    guest_name(&name).ok().filter(|checked| *checked == name)
}

/// Whether the form offers to remember the name: not to members, and not in frames of other sites, from
/// which the cookie may not come back.
pub(crate) fn can_remember(worker: &Worker, headers: &HeaderMap) -> bool {
    place_of(headers) == BrowsingContext::TopLevel
        && worker.state.authenticator.session(headers).is_none()
}

/// Whether the visitor holds a pass of this link already, or of a host link: opening it again uses
/// nothing up, and demotes no host.
fn came_by(worker: &Worker, link: &InvitationLink, headers: &HeaderMap) -> bool {
    let rules = worker.rules();
    let authenticator = &worker.state.authenticator;
    let pass = authenticator.pass(headers, &link.room, &rules.integrations);
    pass.is_some_and(|pass| match pass.standing() {
        Standing::Invited(by) => by.link == link.id || by.host && !link.host,
        _ => false,
    })
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
