//! A plot as SVG and PNG.

use super::canvas::{Canvas, Place, text_width};
use super::colour::{GRID, GROUND, TEXT};
use super::{Axis, Format, Mark, Palette, Plot, Series};
use crate::render::text::shorten;
use plotters::prelude::{BitMapBackend, DrawingArea, DrawingBackend, IntoDrawingArea, SVGBackend};

/// Pixels of a picture's point: sharp on dense screens and on paper.
const SCALE: f64 = 2.0;
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 430.0;
/// Height of a row that has a name.
const ROW: f64 = 46.0;
/// Distance between lines of a legend.
const LINE: f64 = 22.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 58.0;
const GAP: f64 = 12.0;
/// Characters of a name at most.
const LONGEST: usize = 28;

impl Plot {
    /// The plot as SVG, in light or dark colours as the reader's screen has them.
    ///
    /// # Errors
    /// If a font or a number cannot be drawn.
    pub(crate) fn svg(&self) -> Result<String, String> {
        let [width, height] = self.size();
        let mut svg = String::new();
        {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "pixels")]
            let size = (width as u32, height as u32);
            self.draw(&SVGBackend::with_string(&mut svg, size).into_drawing_area(), 1.0)?;
        }
        let Some((head, body)) = svg.split_once('>') else { return Err("no SVG".into()) };
        let dark: String = Palette::all()
            .map(|colour| {
                let (light, dark) = (colour.light, colour.dark);
                format!("[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}")
            })
            .collect();
        let title: String = self.title.replace('&', "&amp;").replace('<', "&lt;");
        Ok(format!(
            "{head} role=\"img\">\n<title>{title}</title>\n\
             <style>@media (prefers-color-scheme: dark){{{dark}}}</style>{body}"
        ))
    }

    /// The plot as PNG, on a light ground.
    ///
    /// # Errors
    /// If a font or a number cannot be drawn.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "pixels")]
    pub(crate) fn png(&self) -> Result<Vec<u8>, String> {
        let [width, height] = self.size().map(|length| (length * SCALE) as u32);
        let mut pixels = vec![0; width as usize * height as usize * 3];
        {
            let backend = BitMapBackend::with_buffer(&mut pixels, (width, height));
            self.draw(&backend.into_drawing_area(), SCALE)?;
        }
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().map_err(|error| error.to_string())?;
        writer.write_image_data(&pixels).map_err(|error| error.to_string())?;
        writer.finish().map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    /// Activations in the order of their first mark.
    fn legend(&self) -> Vec<&Series> {
        // Rows with names need none.
        if self.y.format == Format::Nothing {
            return Vec::new();
        }
        self.series.iter().filter(|one| one.label.is_some() && !one.marks.is_empty()).collect()
    }

    fn size(&self) -> [f64; 2] {
        let rows = self.y.ticks.as_ref().filter(|_| self.y.format == Format::Nothing);
        let height = rows.map_or(HEIGHT, |rows| TOP + BOTTOM + ROW * rows.len().max(2) as f64);
        let legend = TOP + LINE * self.legend().len() as f64 + GAP;
        [WIDTH, height.max(legend)]
    }

    fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, plotters::coord::Shift>,
        scale: f64,
    ) -> Result<(), String> {
        let mut canvas = Canvas::new(area, scale, GROUND);
        let [width, height] = self.size();
        let corners = self.corners();
        let spans = [0, 1].map(|i: usize| {
            let axis = if i == 0 { &self.x } else { &self.y };
            axis.span(corners.iter().map(|corner| corner[i]).filter(|value| value.is_finite()))
        });
        let name = |text: &str| shorten(text, LONGEST);
        let rows: Vec<(f64, String)> =
            self.y.ticks(spans[1]).into_iter().map(|(at, text)| (at, name(&text))).collect();
        let widest = rows.iter().map(|(_, text)| text_width(text)).fold(0.0, f64::max);
        let legend: Vec<(&Series, String)> = self
            .legend()
            .into_iter()
            .map(|series| (series, name(series.label.as_deref().unwrap_or_default())))
            .collect();
        let beside = legend.iter().map(|(_, text)| text_width(text)).fold(0.0, f64::max);
        let right = if legend.is_empty() { 2.0 * GAP } else { beside + 28.0 + 2.0 * GAP };
        let label = if self.y.label.is_empty() { 0.0 } else { LINE };
        let inside = Inside {
            left: GAP + label + widest + GAP,
            right: width - right,
            top: TOP,
            bottom: height - BOTTOM,
            spans,
        };

        canvas.text(&shorten(&self.title, 90), [GAP, TOP / 2.0], Place::Right, TEXT);
        for (at, text) in &rows {
            let y = inside.y(*at);
            canvas.line(&[[inside.left, y], [inside.right, y]], GRID, 1.0);
            canvas.text(text, [inside.left - 8.0, y], Place::Left, TEXT);
        }
        for (at, text) in apart(&self.x, &inside) {
            let x = inside.x(at);
            canvas.line(&[[x, inside.top], [x, inside.bottom]], GRID, 1.0);
            canvas.text(&text, [x, inside.bottom + 8.0], Place::Below, TEXT);
        }
        let floor = [[inside.left, inside.bottom], [inside.right, inside.bottom]];
        canvas.line(&floor, TEXT, 1.0);
        let middle = [(inside.left + inside.right) / 2.0, (inside.top + inside.bottom) / 2.0];
        canvas.text(&self.x.label, [middle[0], height - 26.0], Place::Below, TEXT);
        canvas.text(&self.y.label, [GAP + LINE / 2.0, middle[1]], Place::Upwards, TEXT);

        for series in &self.series {
            for mark in &series.marks {
                draw_mark(&mut canvas, mark, series, &inside);
            }
        }
        for (row, (series, text)) in legend.iter().enumerate() {
            let y = TOP + LINE * (row as f64 + 0.5);
            let x = inside.right + GAP;
            canvas.line(&[[x, y], [x + 20.0, y]], series.colour, 4.0);
            canvas.text(text, [x + 28.0, y], Place::Right, TEXT);
        }
        canvas.finish()
    }
}

fn draw_mark<B: DrawingBackend>(
    canvas: &mut Canvas<'_, B>,
    mark: &Mark,
    series: &Series,
    inside: &Inside,
) {
    let finite = |point: &[f64; 2]| point.iter().all(|value| value.is_finite());
    match mark {
        Mark::Line { points, width } => {
            let shown: Vec<[f64; 2]> =
                points.iter().filter(|point| finite(point)).copied().collect();
            let line: Vec<[f64; 2]> = shown.iter().map(|point| inside.at(*point)).collect();
            canvas.line(&line, series.colour, *width);
        }
        Mark::Band { points } => {
            let upper = points.iter().map(|[x, _, high]| [*x, *high]);
            let lower = points.iter().rev().map(|[x, low, _]| [*x, *low]);
            let edge: Vec<[f64; 2]> =
                upper.chain(lower).filter(finite).map(|point| inside.at(point)).collect();
            canvas.area(&edge, series.colour, 0.15);
        }
        Mark::Dot { at, .. } if finite(at) => canvas.dot(inside.at(*at), series.colour, 3.5),
        Mark::Box { from, to, opacity, .. } if finite(from) && finite(to) => {
            canvas.rectangle(inside.at(*from), inside.at(*to), series.colour, *opacity);
        }
        Mark::Dot { .. } | Mark::Box { .. } => {}
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
fn apart(axis: &Axis, inside: &Inside) -> Vec<(f64, String)> {
    let mut end = f64::NEG_INFINITY;
    let mut kept = Vec::new();
    for (at, text) in axis.ticks(inside.spans[0]) {
        let (x, half) = (inside.x(at), text_width(&text) / 2.0);
        if x - half > end {
            end = x + half + GAP;
            kept.push((at, text));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

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
                [Mark::Band { points: band }, Mark::Line { points: points.clone(), width: 2.0 }]
                    .into_iter()
                    .chain(dots)
                    .collect();
            series
        };
        Plot {
            name: "lines".into(),
            title: "Lines & <bands>".into(),
            x: Axis::number("step"),
            y: Axis::percent("accuracy"),
            series: vec![line("relu", 0.0), line("gelu", 2.0)],
        }
    }

    #[test]
    fn an_svg_has_words_marks_and_both_sets_of_colours() {
        let svg = plot().svg().unwrap();
        assert_eq!(svg.matches("<circle").count(), 40);
        assert_eq!(svg.matches("<polygon").count(), 2);
        for words in ["relu", "gelu", "step", "accuracy", "Lines &amp; &lt;bands&gt;"] {
            assert!(svg.contains(words), "{words}");
        }
        assert!(svg.contains("prefers-color-scheme: dark"));
        assert!(svg.contains("[fill=\"#000000\"]{fill:#E6E6E6}"));
    }

    #[test]
    fn a_png_is_twice_as_dense_and_not_blank() {
        let png = plot().png().unwrap();
        let mut reader =
            png::Decoder::new(std::io::Cursor::new(png.as_slice())).read_info().unwrap();
        assert_eq!(reader.info().width, 1520);
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let gelu = [0xd5, 0x5e, 0x00];
        let drawn = pixels.chunks_exact(3).filter(|pixel| *pixel == gelu).count();
        assert!(drawn > 2_000, "{drawn}");
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
        assert!(plot.svg().is_ok());
        plot.series.clear();
        assert!(plot.is_empty() && plot.svg().is_ok() && plot.png().is_ok());
    }
}
