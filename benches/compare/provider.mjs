// The OpenID provider of the tests, for one sign-in. Ends when its standard input does.
import { gatewayClient, startProvider } from "../../tests/real/lib/provider.js";

const [publicUrl] = process.argv.slice(2);
const provider = await startProvider({ publicUrl });
console.log(JSON.stringify({ issuer: provider.issuer, client: gatewayClient, login: "host" }));
process.stdin.resume().once("end", () => provider.stop());
