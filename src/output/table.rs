//! Text in columns: as wide as the widest cell, numbers to the right.

use super::style::Style;

/// To which side of its column a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// What a cell's colour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// Nothing.
    Plain,
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// It isn't known.
    Unsure,
}

impl Tone {
    /// `text` in the colour of this tone.
    pub(super) fn paint(self, text: &str, style: Style) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Good => style.good(text),
            Self::Bad => style.bad(text),
            Self::Unsure => style.unsure(text),
        }
    }
}

/// One cell. Colours are no part of its width.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A coloured cell.
    pub(super) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }

    /// `✓`, `✗` or `?`.
    pub(super) fn mark(met: Option<bool>) -> Self {
        match met {
            Some(true) => Self::toned("✓", Tone::Good),
            Some(false) => Self::toned("✗", Tone::Bad),
            None => Self::toned("?", Tone::Unsure),
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// A table, with or without a heading.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these columns and no row. Where every name is empty there is no heading.
    pub(super) fn new(columns: Vec<(&'static str, Align)>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row; cells that are missing stay empty.
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Whether there is no row.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Appends the table to `out`, every line behind `indent` spaces. A column without any content is left out.
    pub(super) fn render(&self, out: &mut String, indent: usize, style: Style) {
        let shown: Vec<(&str, Align, usize, usize)> = self
            .columns
            .iter()
            .enumerate()
            .filter_map(|(index, (name, align))| {
                let cells = self.rows.iter().filter_map(|row| row.get(index));
                let widest = cells.map(|cell| cell.text.chars().count()).max().unwrap_or(0);
                (widest > 0).then(|| (*name, *align, index, widest.max(name.chars().count())))
            })
            .collect();
        let pad = |out: &mut String, count: usize| out.extend(std::iter::repeat_n(' ', count));
        if shown.iter().any(|(name, ..)| !name.is_empty()) {
            let mut heading = String::new();
            for (name, align, _, width) in &shown {
                let missing = width - name.chars().count();
                pad(&mut heading, if *align == Align::Right { missing } else { 0 });
                heading.push_str(name);
                pad(&mut heading, 2 + if *align == Align::Left { missing } else { 0 });
            }
            pad(out, indent);
            out.push_str(&style.dim(heading.trim_end()));
            out.push('\n');
        }
        for row in &self.rows {
            pad(out, indent);
            // Spaces are owed until something follows them, so that no line ends in any.
            let mut owed = 0;
            for (_, align, index, width) in &shown {
                let cell = row.get(*index).filter(|cell| !cell.text.is_empty());
                let missing = width - cell.map_or(0, |cell| cell.text.chars().count());
                if let Some(cell) = cell {
                    pad(out, owed + if *align == Align::Right { missing } else { 0 });
                    out.push_str(&cell.tone.paint(&cell.text, style));
                    owed = 2 + if *align == Align::Left { missing } else { 0 };
                } else {
                    owed += missing + 2;
                }
            }
            out.push('\n');
        }
    }
}

/// A line `  name        text`; nothing if the text is empty.
pub(super) fn line(out: &mut String, name: &str, text: &str, style: Style) {
    if !text.is_empty() {
        out.push_str(&format!("  {} {text}\n", style.dim(&format!("{name:<11}"))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(vec![("step", Align::Left), ("note", Align::Left), ("requests", Align::Right)]);
        table.row(vec!["vote".into(), "".into(), Cell::toned("12,000", Tone::Bad)]);
        table.row(vec!["read-back".into(), "".into(), "7".into()]);
        table.row(vec!["lücke".into()]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_they_need_and_empty_ones_go() {
        let mut text = String::new();
        table().render(&mut text, 2, Style::plain());
        assert_eq!(text, "  step       requests\n  vote         12,000\n  read-back         7\n  lücke\n");
    }

    #[test]
    fn colours_don_t_move_columns() {
        let (mut plain, mut coloured) = (String::new(), String::new());
        table().render(&mut plain, 0, Style::plain());
        table().render(&mut coloured, 0, Style::coloured());
        let stripped = ["\x1b[31m", "\x1b[2m", "\x1b[0m"].iter().fold(coloured.clone(), |text, code| text.replace(code, ""));
        assert_eq!(stripped, plain);
        assert_ne!(coloured, plain);
    }
}
