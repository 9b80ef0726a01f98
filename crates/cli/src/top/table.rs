//! The table: columns as wide as they need to be, and as many as there is room for. Pure.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::View;
use super::columns::Column;
use super::page::{Line, Role};
use super::rows::Row;
use crate::text;

/// Between two columns.
const GAP: usize = 2;
/// No script that is written puts more letters on one place.
const LETTERS_A_CELL: usize = 4;

/// The titles and at most `most` lines, the last of which tells what is left out.
pub fn table(view: &View, rows: &[Row], most: Option<usize>, width: Option<usize>) -> Vec<Line> {
    let shown = match most {
        Some(most) if rows.len() > most => most.saturating_sub(1),
        _ => rows.len(),
    };
    // What is below the screen has no say in how wide a column is.
    let all: Vec<(Column, Vec<String>)> = Column::ALL
        .iter()
        .map(|column| {
            let cells = rows[..shown].iter().map(|row| column.cell(row).in_words());
            (*column, cells.map(|cell| text::clean(&cell)).collect())
        })
        .collect();
    let columns = fitting(&all, view.sort, width);
    let mut lines = vec![Line {
        text: row_of(&columns, |(column, _)| column.title()),
        role: Role::Titles,
    }];
    lines.extend((0..shown).map(|index| Line {
        text: row_of(&columns, |(_, cells)| &cells[index]),
        role: Role::Plain,
    }));
    if shown < rows.len() {
        lines.push(Line {
            text: format!(
                "and {} more: a higher terminal, --tag or --once shows them",
                rows.len() - shown
            ),
            role: Role::Plain,
        });
    }
    lines
}

type Cells<'a> = &'a (Column, Vec<String>);

/// The columns that there is room for, with their widths. First long texts are cut, then columns
/// are left out, but never the one that is sorted by.
fn fitting(
    all: &[(Column, Vec<String>)],
    sort: Column,
    width: Option<usize>,
) -> Vec<(Cells<'_>, usize)> {
    let widths = |is_tight: bool| -> Vec<(Cells<'_>, usize)> {
        let widest = |(column, cells): Cells<'_>| {
            let (most, least) = column.most();
            let most = if is_tight { least } else { most };
            let cells = cells.iter().map(|cell| cell.width()).max().unwrap_or(0);
            cells.min(most).max(column.title().width())
        };
        all.iter().map(|column| (column, widest(column))).collect()
    };
    let Some(room) = width else {
        return widths(false);
    };
    let total = |columns: &[(Cells<'_>, usize)]| -> usize {
        columns.iter().map(|(_, width)| width + GAP).sum()
    };
    let columns = widths(false);
    if total(&columns) <= room + GAP {
        return columns;
    }
    let (mut kept, optional): (Vec<_>, Vec<_>) = widths(true)
        .into_iter()
        .partition(|((column, _), _)| *column == sort || !Column::OPTIONAL.contains(column));
    for wanted in Column::OPTIONAL {
        let found = optional.iter().find(|((column, _), _)| *column == wanted);
        kept.extend(found.filter(|(_, width)| total(&kept) + width <= room));
    }
    kept.sort_by_key(|((column, _), _)| *column as usize);
    kept
}

fn row_of<'a>(
    columns: &'a [(Cells<'a>, usize)],
    cell: impl Fn(&'a (Column, Vec<String>)) -> &'a str,
) -> String {
    let mut line = String::new();
    for (column, width) in columns {
        let cell = clip(cell(column), *width);
        let blanks = " ".repeat(width.saturating_sub(cell.width()));
        match column.0.is_number() {
            true => line.push_str(&format!("{blanks}{cell}")),
            false => line.push_str(&format!("{cell}{blanks}")),
        }
        line.push_str(&" ".repeat(GAP));
    }
    line.truncate(line.trim_end().len());
    line
}

/// What of a text fits; a mark stands where it was cut. Letters that take no room of their own are
/// counted too: else a name of nothing but them would never end.
pub fn clip(text: &str, width: usize) -> String {
    let most = width.saturating_mul(LETTERS_A_CELL);
    if text.width() <= width && text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let mut cut = String::new();
    for letter in text.chars().take(most) {
        let wide = letter.width().unwrap_or(0);
        if wide > left {
            break;
        }
        left -= wide;
        cut.push(letter);
    }
    if width > 0 {
        cut.push('…');
    }
    cut
}
