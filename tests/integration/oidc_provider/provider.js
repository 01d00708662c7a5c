// A real OpenID provider (npm oidc-provider) with its own interaction pages. Arguments: port, redirect URI, JSON of the people
// {"ann": {"name": …, "groups": […]}}, JSON of further options, host. The first line of its output is its issuer, when it listens.
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const [port, redirect, people, options, host] = process.argv.slice(2);
const accounts = JSON.parse(people);
const issuer = `http://${host}:${port}`;
const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "furrow",
      client_secret: "a client's secret",
      redirect_uris: [redirect],
      grant_types: ["authorization_code"],
      response_types: ["code"],
    },
  ],
  claims: { openid: ["sub"], profile: ["name", "preferred_username"], email: ["email", "email_verified"], groups: ["groups"] },
  scopes: ["openid", "profile", "email", "groups"],
  pkce: { required: () => true },
  cookies: { keys: ["only for tests"] },
  features: { devInteractions: { enabled: true } },
  findAccount: (_, id) =>
    accounts[id] && { accountId: id, claims: () => ({ sub: id, ...accounts[id] }) },
  ...JSON.parse(options ?? "{}"),
});
createServer(provider.callback()).listen(Number(port), host, () => console.log(issuer));
