//! A plot laid out as a picture, and the picture as SVG, PNG and PDF.

use super::colour::{GRID, TEXT};
use super::scene::{Place, Scene};
use super::{Axis, DASHES, Font, Format, Mark, Plot, Series, pdf, png, svg};

/// Pixels of a picture's point: sharp on dense screens and on paper.
const SCALE: f64 = 2.0;
const WIDTH: f64 = 760.0;
/// Size of text in pixels.
const TEXT_SIZE: f64 = 15.0;
/// Millimetres of a pixel of CSS.
const PIXEL: f64 = 25.4 / 96.0;
/// Dots an inch of a picture for print.
const PRINT: f64 = 300.0;
/// Share of a picture's width that names of rows take at most.
const NAMES: f64 = 0.4;

/// How large a picture is, and with which letters.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// In pixels.
    pub(crate) width: f64,
    /// Size of text in pixels.
    pub(crate) text: f64,
    pub(crate) font: Font,
    /// Whether the picture is for print, of a width in millimetres.
    pub(crate) print: bool,
    /// Whether the title is drawn: a paper has it in the caption.
    pub(crate) title: bool,
}

impl Default for Layout {
    fn default() -> Self {
        Self { width: WIDTH, text: TEXT_SIZE, font: Font::default(), print: false, title: true }
    }
}

impl Layout {
    /// A picture for print: its width in millimetres, and the size of its text in points.
    pub(crate) fn print(width_mm: f64, points: f64, font: Font, title: bool) -> Self {
        Self { width: width_mm / PIXEL, text: points * 96.0 / 72.0, font, print: true, title }
    }

    /// Size of lines and markers: thinner where text is smaller.
    fn stroke(&self, width: f64) -> f64 {
        width * (self.text / TEXT_SIZE).clamp(0.5, 1.5)
    }

    /// Space around what is drawn.
    fn gap(&self) -> f64 {
        0.8 * self.text
    }

    /// Height of a line of text.
    fn line(&self) -> f64 {
        1.45 * self.text
    }

    /// Width of an activation in a legend.
    fn entry(&self, series: &Series) -> f64 {
        let label = series.label.as_deref().unwrap_or_default();
        2.8 * self.text + self.font.width(label, self.text)
    }

    /// Where the entries of a legend in lines below `y` are, and where it ends.
    fn below(&self, legend: &[&Series], mut y: f64) -> (Vec<[f64; 2]>, f64) {
        let (gap, line) = (self.gap(), self.line());
        let mut x = gap;
        let mut places = Vec::new();
        for series in legend {
            let size = self.entry(series) + gap;
            if x + size > self.width && x > gap {
                (x, y) = (gap, y + line);
            }
            places.push([x, y + 0.5 * line]);
            x += size;
        }
        (places, y + line)
    }

    /// `text` in lines of at most `width` pixels, words whole where they fit.
    fn lines(&self, text: &str, width: f64) -> Vec<String> {
        let fits = |line: &str| self.font.width(line, self.text) <= width;
        let mut lines: Vec<String> = Vec::new();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            if let Some(line) = lines.last_mut()
                && fits(&format!("{line} {word}"))
            {
                line.push(' ');
                line.push_str(word);
                continue;
            }
            let mut line = String::new();
            for c in word.chars() {
                if !line.is_empty() && !fits(&format!("{line}{c}")) {
                    lines.push(std::mem::take(&mut line));
                }
                line.push(c);
            }
            lines.push(line);
        }
        lines
    }
}

impl Plot {
    /// The plot as SVG, in light or dark colours as the reader's screen has them.
    pub(crate) fn svg(&self, layout: &Layout) -> String {
        let scene = self.scene(layout);
        let width = layout.print.then_some(layout.width * PIXEL);
        svg::svg(&scene, &self.title, &self.note, width)
    }

    /// The plot as PNG, on a light ground.
    ///
    /// # Errors
    /// If it is too large.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "dots of a metre")]
    pub(crate) fn png(&self, layout: &Layout) -> Result<Vec<u8>, String> {
        let scale = if layout.print { PRINT / 96.0 } else { SCALE };
        let metre = layout.print.then_some((PRINT / 0.0254).round() as u32);
        png::png(&self.scene(layout), scale, metre)
    }

    /// The plot as PDF.
    pub(crate) fn pdf(&self, layout: &Layout) -> Vec<u8> {
        pdf::pdf(&self.scene(layout), &self.title)
    }

    /// Activations in the order of their first mark.
    fn legend(&self) -> Vec<&Series> {
        // Rows with names need none.
        if self.y.format == Format::Nothing {
            return Vec::new();
        }
        self.series.iter().filter(|one| one.label.is_some() && !one.marks.is_empty()).collect()
    }

    fn scene(&self, layout: &Layout) -> Scene {
        let parts = Parts::of(self, layout);
        let size = [layout.width, parts.height];
        let mut scene = Scene { size, shapes: Vec::new(), font: layout.font.clone() };
        parts.draw_title(&mut scene);
        parts.draw_axes(&self.x, &mut scene);
        let inside = &parts.inside;
        for series in &self.series {
            for mark in &series.marks {
                draw_mark(&mut scene, mark, series, inside, layout);
            }
        }
        // Names see where the marks are.
        for mark in self.series.iter().flat_map(|series| &series.marks) {
            if let Mark::Label { at, text } = mark
                && at.iter().all(|value| value.is_finite())
            {
                draw_label(&mut scene, text, inside.at(*at), inside, layout);
            }
        }
        parts.draw_legend(&mut scene);
        scene
    }
}

/// The parts of a picture, and where they lie.
struct Parts<'a> {
    layout: &'a Layout,
    title: Vec<String>,
    /// Numbers or names of rows, each in lines.
    rows: Vec<(f64, Vec<String>)>,
    /// What is beside the axes.
    side: Vec<String>,
    floor: Vec<String>,
    inside: Inside,
    /// Activations with the left ends of their samples.
    legend: Vec<(&'a Series, [f64; 2])>,
    height: f64,
}

impl<'a> Parts<'a> {
    fn of(plot: &'a Plot, layout: &'a Layout) -> Self {
        let (s, gap, line) = (layout.text, layout.gap(), layout.line());
        let (width, font) = (layout.width, &layout.font);
        let title =
            if layout.title { layout.lines(&plot.title, width - 2.0 * gap) } else { Vec::new() };
        let corners = plot.corners();
        let spans = [0, 1].map(|i: usize| {
            let axis = if i == 0 { &plot.x } else { &plot.y };
            axis.span(corners.iter().map(|corner| corner[i]).filter(|value| value.is_finite()))
        });
        let rows = plot.y.ticks(spans[1]).into_iter();
        let rows: Vec<(f64, Vec<String>)> =
            rows.map(|(at, text)| (at, layout.lines(&text, NAMES * width))).collect();
        let legend = plot.legend();
        let beside = legend.iter().map(|one| layout.entry(one)).fold(0.0, f64::max) + 2.0 * gap;
        // Where a column of names takes much of the width, they go below.
        let below = beside > 0.3 * width || line * legend.len() as f64 > 0.55 * width;
        let right = if legend.is_empty() || below { 2.0 * gap } else { beside };
        // Apart from the highest number.
        let under = if title.is_empty() { 0.0 } else { 0.4 * s };
        let top = gap + line * title.len() as f64 + under;
        let tallest = rows.iter().map(|(_, lines)| lines.len()).max().unwrap_or(1);
        let inner = if plot.y.format == Format::Nothing {
            rows.len().max(2) as f64 * (line * tallest as f64).max(2.6 * s)
        } else {
            (0.5 * width).max(12.0 * s)
        };
        let side = layout.lines(&plot.y.label, inner);
        let texts = rows.iter().flat_map(|(_, lines)| lines);
        let widest = texts.map(|text| font.width(text, s)).fold(0.0, f64::max);
        let left = gap + line * side.len() as f64 + widest + gap;
        let inside = Inside { left, right: width - right, top, bottom: top + inner, spans };
        let floor = layout.lines(&plot.x.label, inside.right - inside.left + 0.5 * left);
        let end = inside.bottom + 1.9 * s + line * floor.len() as f64;
        let (places, end) = if below {
            layout.below(&legend, end)
        } else {
            let x = inside.right + gap;
            let y = |row: usize| inside.top + line * (row as f64 + 0.5);
            ((0..legend.len()).map(|row| [x, y(row)]).collect(), end)
        };
        let height = (end + 0.5 * gap).max(places.last().map_or(0.0, |[_, y]| y + line));
        let legend = legend.into_iter().zip(places).collect();
        Self { layout, title, rows, side, floor, inside, legend, height }
    }

    fn draw_title(&self, scene: &mut Scene) {
        let (s, gap, line) = (self.layout.text, self.layout.gap(), self.layout.line());
        for (row, text) in self.title.iter().enumerate() {
            scene.bold(text, [gap, 0.5 * gap + line * (row as f64 + 0.5)], s);
        }
    }

    /// The grid with its numbers, and what they measure.
    fn draw_axes(&self, x: &Axis, scene: &mut Scene) {
        let Self { layout, inside, .. } = self;
        let (s, gap, line) = (layout.text, layout.gap(), layout.line());
        let thin = layout.stroke(1.0);
        for (at, lines) in &self.rows {
            let y = inside.y(*at);
            scene.line(vec![[inside.left, y], [inside.right, y]], GRID, thin);
            for (row, text) in lines.iter().enumerate() {
                let shift = row as f64 - (lines.len() as f64 - 1.0) / 2.0;
                scene.text(text, [inside.left - 0.5 * s, y + line * shift], Place::Left, TEXT, s);
            }
        }
        for (at, text) in apart(x, inside, layout) {
            let x = inside.x(at);
            scene.line(vec![[x, inside.top], [x, inside.bottom]], GRID, thin);
            scene.text(&text, [x, inside.bottom + 1.0 * s], Place::Middle, TEXT, s);
        }
        let edge = vec![[inside.left, inside.bottom], [inside.right, inside.bottom]];
        scene.line(edge, TEXT, thin);
        let middle = [(inside.left + inside.right) / 2.0, (inside.top + inside.bottom) / 2.0];
        for (row, text) in self.floor.iter().enumerate() {
            let at = inside.bottom + 2.4 * s + line * row as f64;
            let (width, half) = (layout.width, layout.font.width(text, s) / 2.0);
            let x = middle[0].clamp(half.min(width / 2.0), (width - half).max(width / 2.0));
            scene.text(text, [x, at], Place::Middle, TEXT, s);
        }
        for (row, text) in self.side.iter().enumerate() {
            let x = 0.5 * gap + line * (row as f64 + 0.5);
            scene.text(text, [x, middle[1]], Place::Upwards, TEXT, s);
        }
    }

    fn draw_legend(&self, scene: &mut Scene) {
        let layout = self.layout;
        let s = layout.text;
        for (series, [x, y]) in &self.legend {
            let style = series.style;
            let sample = vec![[*x, *y], [x + 2.0 * s, *y]];
            scene.dashed(sample, style.colour, layout.stroke(2.5), DASHES[style.dash]);
            scene.marker([x + s, *y], style.marker, layout.stroke(4.0), style.colour);
            let label = series.label.as_deref().unwrap_or_default();
            scene.text(label, [x + 2.5 * s, *y], Place::Right, TEXT, s);
        }
    }
}

fn draw_mark(scene: &mut Scene, mark: &Mark, series: &Series, inside: &Inside, layout: &Layout) {
    let style = series.style;
    let finite = |point: &[f64; 2]| point.iter().all(|value| value.is_finite());
    let through = |points: &[[f64; 2]]| -> Vec<[f64; 2]> {
        points.iter().filter(|point| finite(point)).map(|point| inside.at(*point)).collect()
    };
    match mark {
        Mark::Line { points, width } => {
            scene.line(through(points), style.colour, layout.stroke(*width));
        }
        Mark::Curve { points, width } => {
            let dash = DASHES[style.dash];
            scene.dashed(through(points), style.colour, layout.stroke(*width), dash);
        }
        Mark::Band { points } => {
            let upper = points.iter().map(|[x, _, high]| [*x, *high]);
            let lower = points.iter().rev().map(|[x, low, _]| [*x, *low]);
            let edge: Vec<[f64; 2]> = upper.chain(lower).collect();
            scene.area(through(&edge), style.colour, 0.15);
        }
        Mark::Dot { at, .. } if finite(at) => {
            scene.marker(inside.at(*at), style.marker, layout.stroke(3.5), style.colour);
        }
        Mark::Box { from, to, opacity, .. } if finite(from) && finite(to) => {
            let ([a, b], [c, d]) = (inside.at(*from), inside.at(*to));
            scene.area(vec![[a, b], [c, b], [c, d], [a, d]], style.colour, *opacity);
        }
        Mark::Dot { .. } | Mark::Box { .. } | Mark::Spot { .. } | Mark::Label { .. } => {}
    }
}

/// Words beside a point: above and to the right of it, or where else they fit and nothing lies. Where there is no such
/// place they are left out.
fn draw_label(scene: &mut Scene, text: &str, [x, y]: [f64; 2], inside: &Inside, layout: &Layout) {
    let (gap, up, width) =
        (0.6 * layout.text, 0.7 * layout.text, layout.font.width(text, layout.text));
    let right = (x + gap + width <= inside.right).then_some(x + gap);
    let left = (x - gap - width >= inside.left).then_some(x - gap - width);
    // Longer than either side: as far to the right as it goes.
    let neither = (inside.right - width).max(inside.left);
    let starts = match (right, left) {
        (None, None) => [Some(neither), None],
        sides => [sides.0, sides.1],
    };
    let places = [y - up, y + up]
        .into_iter()
        .filter(|y| *y - up > 0.0 && *y + up <= inside.bottom)
        .flat_map(|y| starts.into_iter().flatten().map(move |x| [x, y]));
    let places: Vec<[f64; 2]> = places.collect();
    if let Some(at) = places.into_iter().find(|at| scene.is_clear(*at, width, layout.text)) {
        scene.text(text, at, Place::Right, TEXT, layout.text);
    }
}

/// The rectangle that the data lie in, in pixels, and what it spans.
struct Inside {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    spans: [[f64; 2]; 2],
}

impl Inside {
    fn x(&self, value: f64) -> f64 {
        self.left + (self.right - self.left) * part(value, self.spans[0])
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * part(value, self.spans[1])
    }

    fn at(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [self.x(x), self.y(y)]
    }
}

fn part(value: f64, [low, high]: [f64; 2]) -> f64 {
    if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 }
}

/// The numbers below a plot, without those that would touch the one before.
fn apart(axis: &Axis, inside: &Inside, layout: &Layout) -> Vec<(f64, String)> {
    let mut end = f64::NEG_INFINITY;
    let mut kept = Vec::new();
    for (at, text) in axis.ticks(inside.spans[0]) {
        let (x, half) = (inside.x(at), layout.font.width(&text, layout.text) / 2.0);
        if x - half > end {
            end = x + half + 0.6 * layout.text;
            kept.push((at, text));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::Palette;

    fn plot() -> Plot {
        let palette = Palette::new(["relu", "gelu"].into_iter());
        let line = |label: &str, shift: f64| {
            let points: Vec<[f64; 2]> =
                (0..20).map(|i| [f64::from(i), shift + f64::from(i)]).collect();
            let band = points.iter().map(|[x, y]| [*x, y - 0.5, y + 0.5]).collect();
            let dots =
                points.iter().map(|at| Mark::Dot { at: *at, text: String::new(), url: None });
            let mut series = Series::of(label, &palette);
            series.marks =
                [Mark::Band { points: band }, Mark::Curve { points: points.clone(), width: 2.0 }]
                    .into_iter()
                    .chain(dots)
                    .collect();
            series
        };
        Plot {
            name: "lines".into(),
            title: "Lines & <bands>".into(),
            note: String::new(),
            x: Axis::number("step"),
            y: Axis::percent("accuracy"),
            series: vec![line("relu", 0.0), line("gelu", 2.0)],
        }
    }

    #[test]
    fn an_svg_has_words_marks_and_both_sets_of_colours() {
        let svg = plot().svg(&Layout::default());
        // A circle for each point of relu and one in the legend; triangles for gelu.
        assert_eq!(svg.matches("<circle").count(), 21);
        assert_eq!(svg.matches("<polygon").count(), 2 + 21);
        for words in ["relu", "gelu", "step", "accuracy", "Lines &amp; &lt;bands&gt;"] {
            assert!(svg.contains(words), "{words}");
        }
        assert!(svg.contains("prefers-color-scheme: dark"));
        assert!(svg.contains("[fill=\"#000000\"]{fill:#E6E6E6}"));
    }

    #[test]
    fn a_png_is_twice_as_dense_and_not_blank() {
        let png = plot().png(&Layout::default()).unwrap();
        let mut reader =
            ::png::Decoder::new(std::io::Cursor::new(png.as_slice())).read_info().unwrap();
        assert_eq!(reader.info().width, 1520);
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let gelu = [0xd5, 0x5e, 0x00];
        let drawn = pixels.chunks_exact(3).filter(|pixel| *pixel == gelu).count();
        assert!(drawn > 2_000, "{drawn}");
    }

    #[test]
    fn a_column_of_a_paper_has_its_width_and_its_letters() {
        let layout = Layout::print(84.0, 8.0, Font::default(), false);
        let svg = plot().svg(&layout);
        assert!(svg.contains("width=\"84mm\"") && svg.contains("font-size=\"10.7\""), "{svg}");
        // No title, and the legend below.
        assert!(!svg.contains("font-weight"), "{svg}");
        let png = plot().png(&layout).unwrap();
        let reader = ::png::Decoder::new(std::io::Cursor::new(png.as_slice())).read_info().unwrap();
        assert_eq!(reader.info().width, 992);
        let pdf = plot().pdf(&layout);
        let text = String::from_utf8_lossy(&pdf);
        assert!(text.starts_with("%PDF-1.4") && text.ends_with("%%EOF\n"));
        assert!(text.contains("/MediaBox [0 0 238.110 "), "{}", &text[..400]);
        // Places in the table of objects are those of the objects.
        let table = text.rsplit("startxref\n").next().unwrap().split('\n').next().unwrap();
        let place: usize = table.parse().unwrap();
        assert!(pdf[place..].starts_with(b"xref"));
    }

    #[test]
    fn long_names_are_shown_whole() {
        let mut plot = plot();
        let long = "leaky_relu(slope=0.20000000000000001)";
        plot.y = Axis::names("", ["relu".to_owned(), long.to_owned()].into_iter());
        let svg = plot.svg(&Layout::print(84.0, 8.0, Font::default(), true));
        let shown: String = svg
            .lines()
            .filter_map(|line| line.split_once('>')?.1.strip_suffix("</text>"))
            .collect();
        assert!(shown.contains(long), "{shown}");
    }

    /// Each name stands on a side of its own.
    #[test]
    fn names_of_points_beside_each_other_do_not_overlap() {
        let palette = Palette::new(["first", "second", "third"].into_iter());
        let point = |label: &str, x: f64| {
            let at = [x, 5.0];
            let name = Mark::Label { at, text: label.to_owned() };
            let marks = vec![Mark::Dot { at, text: String::new(), url: None }, name];
            Series { marks, ..Series::of(label, &palette) }
        };
        let series = vec![point("first", 5.0), point("second", 5.02), point("third", 5.04)];
        let x = Axis::number("s").between(0.0, 10.0);
        let svg = Plot { x, series, ..plot() }.svg(&Layout::default());
        // Left end and middle of each name in the plot, before that in the legend.
        let place = |name: &str| -> [f64; 2] {
            let line = svg.lines().find(|line| line.ends_with(&format!(">{name}</text>"))).unwrap();
            let number = |key: &str| -> f64 {
                let text = line.split(key).nth(1).unwrap().split('"').next().unwrap();
                text.parse().unwrap()
            };
            [number(" x=\""), number(" y=\"")]
        };
        let names = ["first", "second", "third"];
        let width = |name: &str| Font::default().width(name, TEXT_SIZE);
        for (a, b) in [(0, 1), (0, 2), (1, 2)].map(|(a, b)| (names[a], names[b])) {
            let ([ax, ay], [bx, by]) = (place(a), place(b));
            let beside = ax + width(a) < bx || bx + width(b) < ax;
            assert!(beside || (ay - by).abs() > TEXT_SIZE, "{a} and {b}: {svg}");
        }
        assert!(names.iter().all(|name| svg.matches(&format!(">{name}</text>")).count() == 2));
    }

    #[test]
    fn what_is_not_finite_is_not_drawn() {
        let mut plot = plot();
        plot.series[0].marks = vec![
            Mark::Line {
                points: vec![[0.0, f64::NAN], [1.0, f64::INFINITY], [2.0, 1.0]],
                width: 2.0,
            },
            Mark::Dot { at: [f64::NAN, 0.0], text: String::new(), url: None },
        ];
        assert!(plot.svg(&Layout::default()).ends_with("</svg>\n"));
        plot.series.clear();
        assert!(plot.is_empty() && plot.png(&Layout::default()).is_ok());
    }
}
