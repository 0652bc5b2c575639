-- SASL ANONYMOUS without a token, for the guest domain. The token plugin has stored the request's
-- parameters in the session.

local function accept(session)
	session.auth_token = nil;
	return true;
end

module:provides("auth", module:require("anonymous_provider")(accept));
