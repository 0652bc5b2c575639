//! Fields of text lines, so that a line can be split at its spaces outside quotes.

use std::fmt::Debug;

use tracing::field::Field;
use tracing_subscriber::{
    field::MakeExt,
    fmt::format::{self, FormatFields, Writer},
};

/// Formats fields as `name=value`. A value that is recorded by its `Display` has no quotes of its own;
/// it gets them if it has a space or a quote.
pub(super) fn quoted() -> impl for<'w> FormatFields<'w> + Send + Sync + 'static {
    format::debug_fn(
        |writer: &mut Writer<'_>, field: &Field, value: &dyn Debug| {
            let text = format!("{value:?}");
            match field.name() {
                // Lines of the `log` crate have their origin in these, which the head of the line repeats.
                name if name.starts_with("log.") => Ok(()),
                "message" if !has_control(&text) => writer.write_str(&text),
                "message" => write!(writer, "{text:?}"),
                name if is_ambiguous(&text) => write!(writer, "{name}={text:?}"),
                name => write!(writer, "{name}={text}"),
            }
        },
    )
    .delimited(" ")
}

/// Whether a reader could take a part of the text for another field or line. Lists, structures and
/// texts come with brackets or quotes around them.
fn is_ambiguous(text: &str) -> bool {
    let quoted = text.len() > 1 && text.starts_with('"') && text.ends_with('"');
    let enclosed = quoted || text.starts_with(['[', '{']) || text.starts_with("Some(");
    has_control(text) || !enclosed && (text.is_empty() || text.contains([' ', '"', '=']))
}

/// Terminals obey control characters.
fn has_control(text: &str) -> bool {
    text.contains(char::is_control)
}
