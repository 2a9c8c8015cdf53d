//! Plots, as SVG and plain HTML: no script, nothing fetched.

use std::fmt::Write;

use super::figure::text;

/// Size of the latency plot, and its margins: left, right, top, bottom.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 340.0;
const MARGINS: [f64; 4] = [76.0, 150.0, 14.0, 46.0];
/// Percentiles that the axis names.
const TICKS: [f64; 6] = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99];
/// Between the names at the lines' ends.
const NAME_GAP: f64 = 15.0;

/// One line of the latency plot.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) name: String,
    /// Which of the page's colours.
    pub(super) colour: usize,
    /// The colours are used up: it is the second of this one.
    pub(super) dashed: bool,
    /// Percentile and microseconds.
    pub(super) points: Vec<(f64, f64)>,
}

/// Latency by percentile, both axes stretched where it matters: to the right
/// the slowest one in a hundred, in a thousand.
pub(super) fn latencies(lines: &[Line]) -> String {
    let shown = |line: &Line| -> Vec<(f64, f64)> {
        let points = line.points.iter().copied();
        points.filter(|(percent, _)| *percent <= TICKS[5]).collect()
    };
    let values: Vec<f64> = lines
        .iter()
        .flat_map(shown)
        .map(|(_, micros)| (micros / 1e3).max(0.001))
        .collect();
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    if !least.is_finite() || most <= 0.0 {
        return String::new();
    }
    let (low, high) = decades(least, most);
    let [left, right, top, bottom] = MARGINS;
    let x = |percent: f64| left + stretch(percent) / stretch(TICKS[5]) * (WIDTH - left - right);
    let y = |ms: f64| {
        let part = (ms.max(0.001).log10() - low) / (high - low);
        HEIGHT - bottom - part * (HEIGHT - top - bottom)
    };
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Latency by percentile\">"
    );
    for power in low as i32..=high as i32 {
        let ms = 10f64.powi(power);
        let at = y(ms);
        let _ = write!(
            out,
            "<line class=\"grid\" x1=\"{left}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{} ms</text>",
            WIDTH - right,
            left - 8.0,
            at + 4.0,
            text(ms)
        );
    }
    for percent in TICKS {
        let at = x(percent);
        let name = match percent {
            0.0 => "fastest".to_owned(),
            50.0 => "half".to_owned(),
            percent => format!("{percent} %"),
        };
        let _ = write!(
            out,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{:.1}\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{name}</text>",
            HEIGHT - bottom,
            HEIGHT - bottom + 18.0
        );
    }
    let _ = write!(
        out,
        "<text x=\"{left}\" y=\"{:.1}\">of all deliveries were at least this fast →</text>",
        HEIGHT - 6.0
    );
    let mut ends = Vec::new();
    for line in lines {
        let points: Vec<(f64, f64)> = shown(line)
            .into_iter()
            .map(|(percent, micros)| (x(percent), y(micros / 1e3)))
            .collect();
        let Some(&(_, end)) = points.last() else {
            continue;
        };
        let path: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = write!(
            out,
            "<polyline class=\"line c{}{}\" points=\"{}\"><title>{}</title></polyline>",
            line.colour,
            if line.dashed { " dashed" } else { "" },
            path.join(" "),
            escape(&line.name)
        );
        ends.push((end, line));
    }
    names_at_ends(ends, &mut out);
    out.push_str("</svg>");
    out
}

/// Each line's name at its end, moved apart where they would meet.
fn names_at_ends(mut ends: Vec<(f64, &Line)>, out: &mut String) {
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut lowest = f64::NEG_INFINITY;
    for (at, line) in ends {
        let at = at.max(lowest + NAME_GAP);
        lowest = at;
        let _ = write!(
            out,
            "<text class=\"name c{}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            line.colour,
            WIDTH - MARGINS[1] + 8.0,
            at + 4.0,
            escape(&line.name)
        );
    }
}

/// Exponents of the powers of ten around these.
fn decades(least: f64, most: f64) -> (f64, f64) {
    let low = least.log10().floor();
    let high = most.log10().ceil();
    (low, if high > low { high } else { low + 1.0 })
}

/// A percentile's place: each further nine is as wide as the one before.
fn stretch(percent: f64) -> f64 {
    -(1.0 - percent.min(TICKS[5]) / 100.0).log10()
}

/// One bar, of one or more parts, each with what it is.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) colour: usize,
    pub(super) parts: Vec<f64>,
    /// Written beside it.
    pub(super) says: String,
}

/// Bars under a heading, from zero, with what they mean.
pub(super) fn bars(heading: &str, means: &str, bars: &[Bar]) -> String {
    let whole = |bar: &Bar| bar.parts.iter().sum::<f64>();
    let most = bars
        .iter()
        .map(whole)
        .fold(0.0, f64::max)
        .max(f64::MIN_POSITIVE);
    let mut out = format!(
        "<section class=\"bars\"><h3>{}</h3><p class=\"means\">{}</p>",
        escape(heading),
        escape(means)
    );
    for bar in bars {
        let _ = write!(
            out,
            "<div class=\"row\"><span>{}</span><div class=\"track\">",
            escape(&bar.name)
        );
        for (place, part) in bar.parts.iter().enumerate() {
            let _ = write!(
                out,
                "<i class=\"c{} p{}\" style=\"width:{:.2}%\"></i>",
                bar.colour,
                place.min(1),
                100.0 * part / most
            );
        }
        let _ = write!(out, "</div><b>{}</b></div>", escape(&bar.says));
    }
    out.push_str("</section>");
    out
}

/// Text as HTML.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_rise_to_the_slow_and_names_do_not_meet() {
        let line = |name: &str, colour| Line {
            name: name.to_owned(),
            colour,
            dashed: false,
            points: vec![(0.0, 100.0), (50.0, 200.0), (99.0, 5_000.0), (100.0, 9e6)],
        };
        let svg = latencies(&[line("a<b", 0), line("c", 1)]);
        assert!(svg.contains("a&lt;b") && !svg.contains("a<b"));
        let heights: Vec<f64> = svg
            .split("class=\"name")
            .skip(1)
            .filter_map(|name| name.split("y=\"").nth(1)?.split('"').next()?.parse().ok())
            .collect();
        assert!(
            (heights[1] - heights[0]).abs() >= NAME_GAP - 0.1,
            "{heights:?}"
        );
        let points = svg
            .split("points=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let ys: Vec<f64> = points
            .unwrap_or("")
            .split(' ')
            .filter_map(|pair| pair.split_once(',')?.1.parse().ok())
            .collect();
        assert_eq!(ys.len(), 3, "the slowest of all is in the table alone");
        assert!(ys[0] > ys[1] && ys[1] > ys[2], "{ys:?}");
    }

    #[test]
    fn nothing_measured_is_no_plot() {
        assert_eq!(latencies(&[]), "");
    }
}
