-- The user name of a lost stream by its resumption id: a resumed stream has to log in with the
-- same name.

local jid = require "util.jid";

local host = module.host;
local resumption_tokens = module:shared("/*/smacks/resumption-tokens");

return function (previd)
	if not previd then return; end
	for key in pairs(resumption_tokens) do
		local name, name_host, id = jid.split(key);
		if name_host == host and id == previd then return name; end
	end
end
