-- Rooms of a tenant: clients use room@muc.<tenant>.<domain>, the MUC component has
-- [<tenant>]room@muc.<domain>. Translates in both directions on client streams.

local filters = require "util.filters";
local jid = require "util.jid";
local st = require "util.stanza";

module:set_global();

local base = module:get_option_string("muc_mapper_domain_base");
local prefix = module:get_option_string("muc_mapper_domain_prefix", "conference");
local inner_domain = prefix .. "." .. base;
local focus_domain = "auth." .. base;
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

local function translate(stanza, field, rewrite)
	if stanza.attr[field] then
		stanza.attr[field] = rewrite(stanza.attr[field]);
	end
	local request = stanza:get_child("conference", "http://jitsi.org/protocol/focus");
	if request and request.attr.room then
		request.attr.room = rewrite(request.attr.room);
	end
	return stanza;
end

local function inward(stanza, session)
	if session.host == focus_domain or not st.is_stanza(stanza) then return stanza; end
	return translate(stanza, "to", to_inner);
end

local function outward(stanza, session)
	if session.host == focus_domain or not st.is_stanza(stanza) then return stanza; end
	return translate(st.clone(stanza), "from", to_outer);
end

-- Clients of every domain use outer names: members, guests, recorders. The focus uses inner ones here;
-- Jitsi's own module translates for it, too.
filters.add_filter_hook(function (session)
	if session.type ~= "c2s_unauthed" then return; end
	filters.add_filter(session, "stanzas/in", inward, 10);
	filters.add_filter(session, "stanzas/out", outward, 10);
end);
