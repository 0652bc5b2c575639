import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { request } from "node:https";
import { exportJWK, generateKeyPair } from "jose";
import Provider from "oidc-provider";
import { listen } from "./process.js";
import { closeServer } from "./sockets.js";

/** The accounts of the provider by login; any other login is refused. */
export const people = {
  host: { name: "Hedy Host", email: "hedy@example.org", groups: ["staff"] },
  first: { name: "Frieda First", email: "frieda@example.org", groups: ["guild"] },
  second: { name: "Selma \"S\" <b>Second</b>", email: "selma@example.org", groups: [] },
};

/** The client registration of the gateways. */
export const gatewayClient = { id: "jitsi", secret: "a secret between provider and gateway" };

async function signingKeys() {
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  return { keys: [{ ...(await exportJWK(privateKey)), kid: "provider-1", alg: "RS256", use: "sig" }] };
}

/** The library's own `fetch` refuses loopback addresses, to which logout tokens are sent. */
function fetchLoopback(ca) {
  return (url, options) => {
    if (!String(url).startsWith("https:")) return fetch(url, { ...options, dispatcher: undefined });
    return new Promise((resolve, reject) => {
      const { method, headers, body } = options;
      const outgoing = request(url, { method, ca, headers: Object.fromEntries(new Headers(headers)) }, (answer) => {
        answer.resume().on("end", () => resolve(new Response(null, { status: answer.statusCode })));
      });
      outgoing.on("error", reject).end(body?.toString());
    });
  };
}

/**
 * Starts a certified OpenID provider on loopback, with its built-in forms.
 * @param {object} settings
 * @param {string} settings.publicUrl of the gateway that signs people in here
 * @param {Record<string, object>} [settings.accounts] claims by login
 * @param {boolean} [settings.conformIdTokenClaims] false puts profile claims into the ID token
 * @param {boolean} [settings.backchannelLogout]
 * @param {string} [settings.ca] PEM of the gateway's certificate, for logout notices
 * @param {string[]} [settings.acrValues] the authentication context classes that it lists
 * @param {boolean} [settings.refreshTokens] gives a refresh token without the scope `offline_access`, too
 * @param {object} [settings.client] more client metadata
 */
export async function startProvider({
  publicUrl,
  accounts = people,
  conformIdTokenClaims = true,
  backchannelLogout = false,
  ca,
  acrValues = [],
  refreshTokens = false,
  client = {},
}) {
  const requests = [];
  let handle;
  const server = createServer((incoming, response) => {
    requests.push({ method: incoming.method, url: incoming.url });
    handle(incoming, response);
  });
  const port = await listen(server);
  const issuer = `http://127.0.0.1:${port}`;

  const provider = new Provider(issuer, {
    clients: [{
      client_id: gatewayClient.id,
      client_secret: gatewayClient.secret,
      redirect_uris: [`${publicUrl}/_gateway/callback`],
      post_logout_redirect_uris: [`${publicUrl}/_gateway/signed-out`],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      ...(backchannelLogout && {
        backchannel_logout_uri: `${publicUrl}/_gateway/backchannel-logout`,
        backchannel_logout_session_required: true,
      }),
      ...client,
    }],
    claims: {
      openid: ["sub"],
      profile: ["name", "picture", "groups"],
      email: ["email", "email_verified"],
    },
    conformIdTokenClaims,
    acrValues,
    cookies: {
      keys: [randomBytes(24).toString("hex")],
      // Cookies belong to a host and not to its port: two providers of one machine would overwrite each other's.
      names: { session: `_session_${port}`, interaction: `_interaction_${port}`, resume: `_interaction_resume_${port}` },
    },
    features: {
      devInteractions: { enabled: true },
      rpInitiatedLogout: { enabled: true },
      backchannelLogout: { enabled: backchannelLogout },
      revocation: { enabled: true },
    },
    fetch: fetchLoopback(ca),
    async findAccount(_, login) {
      const account = accounts[login];
      if (!account) return undefined;
      return {
        accountId: login,
        claims: async () => ({ sub: login, email_verified: true, groups: [], ...account }),
      };
    },
    jwks: await signingKeys(),
    pkce: { required: () => true },
    ...(refreshTokens && { issueRefreshToken: async (_, registered) => registered.grantTypeAllowed("refresh_token") }),
    ttl: { AccessToken: 600, AuthorizationCode: 60, Grant: 3600, IdToken: 600, Interaction: 600, Session: 3600, RefreshToken: 3600 },
  });
  const errors = [];
  provider.on("server_error", (_, error) => errors.push(error));
  handle = provider.callback();

  return {
    issuer,
    accounts,
    /** The requests, oldest first. */
    requests,
    errors,
    stop: () => closeServer(server),
  };
}
