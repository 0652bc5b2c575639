//! Tables of text for terminals.

/// Columns with a heading each, aligned by spaces.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

// === impl Table ===

impl Table {
    pub(super) fn new(headings: &[&str]) -> Self {
        let headings = headings.iter().map(ToString::to_string).collect();
        Self {
            rows: vec![headings],
        }
    }

    /// Adds a row. People choose names and rooms, so that no character of a cell controls the terminal;
    /// an empty cell is a dash.
    pub(super) fn push(&mut self, cells: &[&str]) {
        let row = cells.iter().map(|cell| match cell {
            &"" => "-".to_owned(),
            cell => cell.chars().map(printable).collect(),
        });
        self.rows.push(row.collect());
    }

    /// The lines of the table.
    pub(super) fn render(&self) -> String {
        let mut widths = Vec::new();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |row: &Vec<String>| {
            let cells = widths.iter().zip(row);
            let cells: Vec<_> = cells
                .map(|(width, cell)| format!("{cell:<width$}"))
                .collect();
            cells.join("  ").trim_end().to_owned() + "\n"
        };
        self.rows.iter().map(line).collect()
    }
}

/// Control characters and those that change the direction of text are replaced (Unicode 15.0 § 23.2).
fn printable(c: char) -> char {
    let directional =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if c.is_control() || directional || c.is_whitespace() && c != ' ' {
        char::REPLACEMENT_CHARACTER
    } else {
        c
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_names_cannot_control_the_terminal() {
        let mut table = Table::new(&["ROOM", "NAME"]);
        table.push(&["b", "Zoë\u{1b}[2J\u{202e}\n"]);
        table.push(&["acme/board", ""]);
        assert_eq!(
            table.render(),
            "ROOM        NAME\nb           Zoë\u{fffd}[2J\u{fffd}\u{fffd}\nacme/board  -\n"
        );
    }
}
