//! The text that the demonstration prints when it starts.

use std::path::Path;

use super::{CONFIG_FILE, Demo};

// === impl Demo ===

impl Demo {
    /// Addresses to open and commands to paste.
    pub(super) fn announcement(&self, program: &Path) -> String {
        let public = self.config.public_url.origin();
        let admin = &self.config.server.admin;
        let token = &self.lesson_token;
        let word = |name: &str| shell_word(&self.services.directory.path().join(name));
        let (file, certificate, claims) = (word(CONFIG_FILE), word("tls.crt"), word(CLAIMS_FILE));
        let program = shell_word(program);
        let overview = self.services.overview().map_or_else(String::new, |page| {
            format!(
                "  Watch  http://{page}/\n         Who is in which room. Sign somebody out there and see \
                 how fast they are gone,\n         and what becomes of a token after a minute.\n\n"
            )
        });
        format!(
            "\n  jitsi-auth-gateway, a demonstration for this machine only.\n\
             \n  Open   {public}/\
             \n         The certificate is self-signed, so the browser warns once.\n\
             \n{overview}\
             \x20 Try    {public}/team\
             \n         Hanna Host is a moderator; in a private window, Max Member is a participant.\
             \n         {public}/board\
             \n         Hanna enters, Max is refused and reads why.\
             \n         {public}/waiting\
             \n         Max, or a guest with a name, waits until Hanna is there.\
             \n         {public}/{LESSON}?jwt={token}\
             \n         A link of another system: it makes Tina Teacher the host, without an account.\
             \n         {public}/\
             \n         Max starts a meeting: he is its host, and has its links for guests.\n\
             \n  Ask    SSL_CERT_FILE={certificate} {program} doctor --config {file}\
             \n         {program} explain --config {file} --claims {claims} --room board\
             \n         http://{admin}/readyz (degraded: this provider has no TLS) and http://{admin}/metrics\n\
             \n  Stop   Ctrl-C. Nothing is left behind.\n\n"
        )
    }
}

/// A path as one word of a shell's command.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Max Member's claims, for `explain`.
pub(super) const CLAIMS_FILE: &str = "max.json";

/// The room of the other system's link.
pub(super) const LESSON: &str = "school-algebra";
