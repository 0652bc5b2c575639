-- Rooms of a tenant: clients use room@muc.<tenant>.<domain>, the MUC component has
-- [<tenant>]room@muc.<domain>. Translates in both directions on the streams of all clients, among them the focus.
-- The room of a conference request stays as the client wrote it.
--
-- Plays jitsi/jitsi-meet, `resources/prosody-plugins/mod_muc_domain_mapper.lua` of August 2026 (with lib-jitsi-meet
-- v2183), lines 21-50.

local filters = require "util.filters";
local jid = require "util.jid";
local st = require "util.stanza";

module:set_global();

local base = module:get_option_string("muc_mapper_domain_base");
local prefix = module:get_option_string("muc_mapper_domain_prefix", "conference");
local inner_domain = prefix .. "." .. base;
local function quoted(text)
	return (text:gsub("%p", "%%%0"));
end
local outer_pattern = ("^%s%%.([^.]+)%%.%s$"):format(quoted(prefix), quoted(base));

local function to_inner(address)
	local node, domain, resource = jid.split(address);
	local tenant = node and domain:match(outer_pattern);
	if not tenant then return address; end
	return jid.join(("[%s]%s"):format(tenant, node), inner_domain, resource);
end

local function to_outer(address)
	local node, domain, resource = jid.split(address);
	local tenant, name = (node or ""):match("^%[([^%]]+)%](.*)$");
	if not tenant or domain ~= inner_domain then return address; end
	return jid.join(name, ("%s.%s.%s"):format(prefix, tenant, base), resource);
end

local function rewrite(stanza, field, translate)
	if stanza.attr[field] then stanza.attr[field] = translate(stanza.attr[field]); end
	return stanza;
end

local function inward(stanza)
	return st.is_stanza(stanza) and rewrite(stanza, "to", to_inner) or stanza;
end

local function outward(stanza)
	return st.is_stanza(stanza) and rewrite(st.clone(stanza), "from", to_outer) or stanza;
end

filters.add_filter_hook(function (session)
	if session.type ~= "c2s_unauthed" then return; end
	filters.add_filter(session, "stanzas/in", inward, 10);
	filters.add_filter(session, "stanzas/out", outward, 10);
end);
