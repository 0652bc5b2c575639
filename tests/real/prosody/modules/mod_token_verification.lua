-- Refuses a join of another room than the token's. Runs on the MUC component.

local jid = require "util.jid";
local st = require "util.stanza";
local is_admin = require "core.usermanager".is_admin;

local muc_domain = module.host;
local muc_prefix = module:get_option_string("muc_mapper_domain_prefix", "conference");
local verify_domain = module:get_option_boolean("enable_domain_verification", false);
local allowlist = module:get_option_set("token_verification_allowlist", {});
local get_room_from_jid = module:depends("muc").get_room_from_jid;

-- The plugin reads its options from the parent domain, whose name it derives from the component's
-- name with this pattern; a hyphen in the first label breaks it.
local parent = module.host:gmatch("%w+.(%w.+)")();
if not parent then
	module:log("error", "Failed to start - unable to get parent hostname");
	return;
end
if module:context(parent):get_option_string("app_id", "") == "" then
	module:log("error", "'app_id' must not be empty");
	return;
end

local function refuse(event, text, marker)
	local reply = st.error_reply(event.stanza, "cancel", "not-allowed", text);
	if marker then
		reply:up():tag(marker, { xmlns = "http://jitsi.org/jitmeet" }):up();
	end
	event.origin.send(reply);
	module:log("info", "refused %s: %s", event.stanza.attr.from, text);
	return true;
end

local function room_mismatch(node, claim)
	if type(claim) ~= "string" then return true; end
	claim = claim:lower();
	if claim == "*" or claim == node then return false; end
	local in_tenant = "]" .. claim;
	return node:sub(-#in_tenant) ~= in_tenant;
end

-- With domain verification the tenant (or the domain) must be the token's subject.
local function domain_mismatch(node, claim, subject)
	if type(claim) ~= "string" or type(subject) ~= "string" then return true; end
	claim, subject = claim:lower(), subject:lower();
	local tenant, name = node:match("^%[([^%]]+)%](.*)$");
	if claim ~= "*" and claim ~= (name or node) then return true; end
	if subject == "*" then return false; end
	if tenant then return tenant ~= subject; end
	return muc_domain ~= muc_prefix .. "." .. subject;
end

local function verify(event)
	local origin, stanza = event.origin, event.stanza;
	local user, domain = jid.bare(stanza.attr.from), jid.host(stanza.attr.from);
	if is_admin(user, module.host) or allowlist:contains(domain) or allowlist:contains(user) then return; end
	local room_jid = jid.bare(stanza.attr.to);
	local node = jid.node(room_jid);
	if not node then
		return refuse(event, "Room name is invalid", "invalid-room-address");
	end
	if not get_room_from_jid(room_jid) then
		return refuse(event, "Room does not exist", "room-does-not-exist");
	end
	if verify_domain then
		if not origin.auth_token then
			return refuse(event, "Room name does not match", "room-name-does-not-match");
		end
		if domain_mismatch(node, origin.jitsi_meet_room, origin.jitsi_meet_domain) then
			return refuse(event, "Room and token mismatched");
		end
	elseif origin.auth_token and room_mismatch(node, origin.jitsi_meet_room) then
		return refuse(event, "Room does not match the room from token", "room-mismatch");
	end
end

module:hook("muc-room-pre-create", verify, 99);
module:hook("muc-occupant-pre-join", verify, 99);
