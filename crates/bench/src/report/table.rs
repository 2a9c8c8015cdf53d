//! Rows as a table: for a terminal, or in Markdown.

use super::figure::{def, text};
use super::summary::Row;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Terminal,
    Markdown,
}

/// Rows that a terminal shows as columns: a table of many figures is narrower
/// that way.
const FEW: usize = 5;

/// The rows, with these figures. A range stands in parentheses where there
/// were several repeats. Notes follow.
pub(crate) fn table(rows: &[Row], columns: &[String], style: Style) -> String {
    let several_targets = rows.iter().any(|row| row.target != rows[0].target);
    let mut lines = vec![vec![
        if several_targets {
            "server:transport"
        } else {
            "transport"
        }
        .to_owned(),
    ]];
    let shown: Vec<&String> = columns
        .iter()
        .filter(|key| rows.iter().any(|row| row.figures.contains_key(*key)))
        .collect();
    let labels = shown.iter().filter_map(|key| def(key));
    lines[0].extend(labels.map(|def| def.label.to_owned()));
    for row in rows {
        let mut line = vec![name(row, several_targets)];
        line.extend(shown.iter().map(|key| cell(row, key)));
        lines.push(line);
    }
    let mut out = match style {
        Style::Terminal if rows.len() <= FEW => terminal(&turned(&lines)),
        Style::Terminal => terminal(&lines),
        Style::Markdown => markdown(&lines),
    };
    for row in rows {
        for note in &row.notes {
            let name = name(row, several_targets);
            let note = note.trim();
            out.push_str(&match style {
                Style::Terminal => format!("\n{name}: {note}"),
                Style::Markdown => format!("\n- {name}: {note}"),
            });
        }
    }
    if rows.iter().any(|row| !row.notes.is_empty()) {
        out.push('\n');
    }
    out
}

fn name(row: &Row, with_target: bool) -> String {
    match with_target {
        true => format!("{}:{}", row.target, row.transport),
        false => row.transport.clone(),
    }
}

fn cell(row: &Row, key: &str) -> String {
    let Some(spread) = row.figures.get(key) else {
        return "–".to_owned();
    };
    let median = text(spread.median);
    let (least, most) = (text(spread.least), text(spread.most));
    match row.repeats > 1 && least != most {
        true => format!("{median} ({least}–{most})"),
        false => median,
    }
}

/// Rows as columns.
fn turned(lines: &[Vec<String>]) -> Vec<Vec<String>> {
    let column = |at: usize| lines.iter().map(|line| line[at].clone()).collect();
    (0..lines[0].len()).map(column).collect()
}

fn terminal(lines: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    let mut out = String::new();
    for (number, line) in lines.iter().enumerate() {
        let mut row = String::new();
        for (column, cell) in line.iter().enumerate() {
            let pad = " ".repeat(widths[column] - cell.chars().count());
            match column {
                0 => row.push_str(&format!("{cell}{pad}")),
                _ => row.push_str(&format!("  {pad}{cell}")),
            }
        }
        out.push_str(row.trim_end());
        out.push('\n');
        if number == 0 {
            let all: usize = widths.iter().sum::<usize>() + 2 * (widths.len() - 1);
            out.push_str(&"─".repeat(all));
            out.push('\n');
        }
    }
    out
}

fn markdown(lines: &[Vec<String>]) -> String {
    let mut out = String::new();
    for (number, line) in lines.iter().enumerate() {
        out.push_str(&format!("| {} |\n", line.join(" | ")));
        if number == 0 {
            out.push_str(&format!("|---|{}\n", "--:|".repeat(line.len() - 1)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Outcome, Run, rows};

    fn some_rows() -> Vec<Row> {
        let run = |transport: &str, repeat: usize, p99: f64| {
            let mut outcome = Outcome::default();
            outcome.set("p99_ms", p99);
            outcome.set("lost", 0.0);
            Run {
                target: "floor".to_owned(),
                transport: transport.to_owned(),
                repeat,
                outcome: Some(outcome),
                error: None,
            }
        };
        rows(&[run("sse", 0, 2.5), run("ws", 0, 1.0), run("ws", 1, 4.0)])
    }

    #[test]
    fn columns_that_nobody_has_are_left_out_and_ranges_stand_beside_medians() {
        let columns = ["p99_ms", "p50_ms", "lost"].map(str::to_owned);
        let text = table(&some_rows(), &columns, Style::Terminal);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "transport   sse          ws");
        assert_eq!(lines[2], "p99 ms     2.50  2.50 (1–4)");
        assert_eq!(lines[3], "lost          0           0");
        let text = table(&some_rows(), &columns, Style::Markdown);
        assert!(text.contains("| ws | 2.50 (1–4) | 0 |"), "{text}");
    }
}
