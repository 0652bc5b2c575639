import { fileURLToPath } from "node:url";

/** The directory of the stand-ins for Jitsi's plugins. */
export const modules = fileURLToPath(new URL("../prosody/modules", import.meta.url));

/** The XMPP names of every test, as Jitsi's Docker images choose them. */
export const names = {
  domain: "meet.jitsi",
  muc: "muc.meet.jitsi",
  focus: "focus.meet.jitsi",
  features: "features.meet.jitsi",
  auth: "auth.meet.jitsi",
  focusUser: "focus@auth.meet.jitsi",
  focusPassword: "focus-password",
  hidden: "hidden.meet.jitsi",
  recorderUser: "recorder@hidden.meet.jitsi",
  recorderPassword: "recorder-password",
  guest: "guest.meet.jitsi",
};
