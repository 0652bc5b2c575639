//! The operations of the API: meetings, links and rooms of integrations.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use model::{
    clock::Timestamp,
    integration::{Caller, Integration},
    invitation::InvitationLink,
    random::Random,
    room::{RoomError, RoomKey},
    route::{Route, SiteLocations},
};
use url::form_urlencoded;

use super::{IdempotentAnswers, JSON, Written, to_json, written};
use crate::{
    Body,
    api::{
        ApiError, ApiRoute, ApiTime, LinkAnswer, LinkRequest, MeetingAnswer, MeetingRequest,
        NewMeeting, RoomAnswer, link,
    },
    authorize::Authorizer,
    invitations::Invitations,
    respond::plain,
    server::ClientBody,
};

/// Carries out the calls of integrations.
#[derive(Debug)]
pub(crate) struct IntegrationApi {
    pub(crate) authorizer: Arc<Authorizer>,
    pub(crate) invitations: Arc<Invitations>,
    pub(crate) answers: IdempotentAnswers,
    /// `https://host[:port]` of this site.
    pub(crate) origin: String,
    pub(crate) random: Random,
    pub(crate) locations: SiteLocations,
}

// === impl IntegrationApi ===

impl IntegrationApi {
    /// Answers a caller; gives the room or link that it was about, too.
    pub(super) async fn perform(
        &self,
        route: ApiRoute,
        caller: Caller<'_>,
        request: Request<ClientBody>,
        now: Timestamp,
    ) -> Result<(Response<Body>, String), ApiError> {
        let operation = route.operation();
        match route {
            ApiRoute::CreateMeeting => {
                let written = written(caller, operation, request).await?;
                self.create_meeting(&written, now).await
            }
            ApiRoute::CreateLink => {
                let written = written(caller, operation, request).await?;
                self.create_link(&written, now).await
            }
            ApiRoute::RevokeLink(id) => Ok((self.revoke_link(caller.integration, &id).await?, id)),
            ApiRoute::Room(room) => {
                let room = room?;
                let answer = self.room(caller.integration, &room)?;
                Ok((answer, room.to_string()))
            }
            ApiRoute::OpenApi => Err(ApiError::NotFound),
        }
    }

    async fn create_meeting(
        &self,
        written: &Written<'_>,
        now: Timestamp,
    ) -> Result<(Response<Body>, String), ApiError> {
        let integration = written.caller.integration;
        let meeting = written.read::<MeetingRequest>()?.check(now)?;
        let room = meeting.room(&self.authorizer.owners, integration, &self.random)?;
        let link = |host: bool| InvitationLink {
            id: link::new_link_id(integration, &self.random),
            room: room.clone(),
            host,
            name: None,
            email: None,
            begins: meeting.not_before,
            expires: meeting.expires_at,
            uses: None,
            by: integration.id().to_owned(),
        };
        let (host, guest) = (link(true), meeting.guests.then(|| link(false)));
        let answer = MeetingAnswer {
            room: room.to_string(),
            url: self.invitations.room_url(&room),
            host_url: self.invitations.url(&host),
            host_link_id: host.id,
            guest_url: guest.as_ref().map(|link| self.invitations.url(link)),
            guest_link_id: guest.map(|link| link.id),
            ics_url: self.ics_url(&room, &meeting, now),
            expires_at: ApiTime(meeting.expires_at),
        };
        let answer = self.answers.answer_once(written, &answer).await?;
        Ok((answer, room.to_string()))
    }

    async fn create_link(
        &self,
        written: &Written<'_>,
        now: Timestamp,
    ) -> Result<(Response<Body>, String), ApiError> {
        let integration = written.caller.integration;
        let wanted = written.read::<LinkRequest>()?.check(integration, now)?;
        if !Route::has_page(&wanted.room, &self.locations) {
            return Err(ApiError::invalid("/room", RoomError::Reserved.to_string()));
        }
        let about = wanted.room.to_string();
        let link = InvitationLink {
            id: link::new_link_id(integration, &self.random),
            room: wanted.room,
            host: wanted.host,
            name: wanted.name,
            email: wanted.email,
            begins: None,
            expires: wanted.expires,
            uses: wanted.uses,
            by: integration.id().to_owned(),
        };
        let answer = LinkAnswer {
            url: self.invitations.url(&link),
            expires_at: ApiTime(link.expires),
            id: link.id,
        };
        Ok((self.answers.answer_once(written, &answer).await?, about))
    }

    /// Revokes a link, whatever came of it.
    async fn revoke_link(
        &self,
        integration: &Integration,
        id: &str,
    ) -> Result<Response<Body>, ApiError> {
        if !link::owns_link_id(integration, id) {
            return Err(ApiError::LinkNotOwned);
        }
        if self.invitations.revoke(id).outcome().await.is_volatile() {
            return Err(ApiError::RevocationNotKept);
        }
        let mut answer = Response::new(Body::EMPTY);
        *answer.status_mut() = StatusCode::NO_CONTENT;
        Ok(answer)
    }

    fn room(&self, integration: &Integration, room: &RoomKey) -> Result<Response<Body>, ApiError> {
        if !integration.has_room(room) {
            return Err(ApiError::room_not_owned(integration));
        }
        let presence = &self.authorizer.presence;
        let answer = RoomAnswer {
            room: room.to_string(),
            open: presence.is_open(room),
            host_present: presence.is_host_present(room),
            people: presence.occupant_count(room),
        };
        Ok(plain(StatusCode::OK, JSON, to_json(&answer)))
    }

    fn ics_url(&self, room: &RoomKey, meeting: &NewMeeting, now: Timestamp) -> String {
        let start = ApiTime(meeting.not_before.unwrap_or(now)).to_rfc3339();
        // As the form on the meeting's page writes it: to the minute, in UTC.
        let start = start.get(..MINUTES).unwrap_or(&start);
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("room", &room.to_string())
            .append_pair("start", start)
            .append_pair("minutes", &meeting.minutes.to_string());
        if let Some(title) = &meeting.title {
            query.append_pair("title", title);
        }
        format!("{}/_gateway/meeting.ics?{}", self.origin, query.finish())
    }
}

/// `2027-01-11T09:30`.
const MINUTES: usize = 16;

#[cfg(test)]
mod tests;
