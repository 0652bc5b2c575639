-- Refuses a join of another room than the token's. Runs on the MUC component.
--
-- Decides and answers as jitsi-meet of August 2026 (the tree of lib-jitsi-meet v2183):
-- resources/prosody-plugins/mod_token_verification.lua, lines 25 to 107 (parent domain, options,
-- allowlist, refusal), and resources/prosody-plugins/token/util.lib.lua, lines 55 to 112 (options) and
-- 394 to 523 (`verify_room`). Left out: patterns as room names, tenants of the page's address, and what
-- needs `allowUnauthenticatedAccess`.

local jid = require "util.jid";
local st = require "util.stanza";
local is_admin = require "core.usermanager".is_admin;

-- The plugin reads the options of tokens from the parent domain, whose name it derives from the
-- component's name with this pattern; a hyphen in the first label breaks it.
local parent = module.host:gmatch("%w+.(%w.+)")();
if not parent then
	module:log("error", "Failed to start - unable to get parent hostname");
	return;
end
local options = module:context(parent);
if not module:require("token_options").complete(options) then return; end

local muc_prefix = options:get_option_string("muc_mapper_domain_prefix", "conference");
local muc_base = options:get_option_string("muc_mapper_domain_base", parent);
local muc_domain = options:get_option_string("muc_mapper_domain", muc_prefix .. "." .. muc_base);
local allow_empty = options:get_option_boolean("allow_empty_token", false);
-- It is on unless it is switched off, which docker-jitsi-meet does by default.
local verify_domain = options:get_option_boolean("enable_domain_verification", true);
-- Domains and bare addresses whose users enter every room; an option of the component.
local allowlist = module:get_option_set("token_verification_allowlist", {});
local get_room_from_jid = module:depends("muc").get_room_from_jid;

local function refuse(event, text, marker)
	local reply = st.error_reply(event.stanza, "cancel", "not-allowed", text);
	if marker then
		reply:tag(marker, { xmlns = "http://jitsi.org/jitmeet" });
	end
	event.origin.send(reply);
	module:log("info", "refused %s: %s", event.stanza.attr.from, text);
	return true;
end

local function is_room_of(claim, node)
	if claim == "*" or claim == node then return true; end
	local in_tenant = "]" .. claim;
	return node:sub(-#in_tenant) == in_tenant;
end

-- With domain verification the tenant (or the domain) must be the token's subject.
local function address_of(claim, subject, node)
	local tenant, name = node:match("^%[([^%]]+)%](.*)$");
	if claim == "*" then claim = name or node; end
	if tenant then
		return jid.join(("[%s]%s"):format(subject == "*" and tenant or subject, claim), muc_domain);
	end
	return jid.join(claim, subject == "*" and muc_domain or (muc_prefix .. "." .. subject));
end

local function verify(event)
	local origin, stanza = event.origin, event.stanza;
	local from = stanza.attr.from;
	local _, user_domain = jid.split(from);
	if is_admin(jid.bare(from), module.host) then return; end
	if allowlist:contains(user_domain) or allowlist:contains(jid.bare(from)) then return; end

	local room_jid = jid.bare(stanza.attr.to);
	local node = jid.node(room_jid);
	if not node then
		return refuse(event, "Room address is invalid", "invalid-room-address");
	end
	if not get_room_from_jid(jid.join(node, muc_domain)) then
		return refuse(event, "Room does not exist", "room-does-not-exist");
	end
	if allow_empty and not origin.auth_token then return; end

	local claim = origin.jitsi_meet_room and origin.jitsi_meet_room:lower();
	if not verify_domain then
		-- Whoever has no token is let through.
		if claim and not is_room_of(claim, node) then
			return refuse(event, "Room does not match the room from token", "room-mismatch");
		end
		return;
	end
	if not claim then
		return refuse(event, "Room name cannot be matched to the one from token.", "room-name-does-not-match");
	end
	if room_jid ~= address_of(claim, origin.jitsi_meet_domain:lower(), node) then
		return refuse(event, "Room and token mismatched");
	end
end

module:hook("muc-room-pre-create", verify, 99);
module:hook("muc-occupant-pre-join", verify, 99);
