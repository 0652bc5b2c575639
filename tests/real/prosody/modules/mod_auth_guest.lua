-- SASL ANONYMOUS without a token, for the guest domain. The token plugin has stored the request's
-- parameters in the session.

local new_sasl = require "util.sasl".new;

local host = module.host;
local name_of_lost_stream = module:require("lost_stream");

local provider = {};

function provider.get_sasl_handler(session)
	local handler = new_sasl(host, { anonymous = function () return true; end });
	local anonymous = handler.process;
	function handler:process(message)
		session.auth_token = nil;
		local status = anonymous(self, message);
		self.username = name_of_lost_stream(session.previd) or self.username;
		return status;
	end
	function handler:clean_clone()
		return provider.get_sasl_handler(session);
	end
	return handler;
end

local function unsupported()
	return nil, "There are no passwords here";
end
provider.test_password = unsupported;
provider.get_password = unsupported;
provider.set_password = unsupported;
provider.create_user = unsupported;
provider.user_exists = unsupported;

function provider.users()
	return next, prosody.hosts[host].sessions, nil;
end

module:provides("auth", provider);
