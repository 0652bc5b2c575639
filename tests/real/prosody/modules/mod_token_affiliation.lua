-- Turns the role in the token into a MUC affiliation: owner, or member.

local jid = require "util.jid";
local is_admin = require "core.usermanager".is_admin;

local owner_words = { owner = true, moderator = true, teacher = true };

local function affiliation_of(user)
	user = type(user) == "table" and user or {};
	if owner_words[user.affiliation] or user.moderator == true or user.moderator == "true" then
		return "owner";
	end
	return "member";
end

module:hook("muc-occupant-pre-join", function (event)
	local bare = jid.bare(event.stanza.attr.from);
	if not event.origin.auth_token or is_admin(bare, module.host) then return; end
	local affiliation = affiliation_of(event.origin.jitsi_meet_context_user);
	event.occupant.role = event.room:get_default_role(affiliation);
	event.room:set_affiliation(true, bare, affiliation);
end, -3.5);
