//! A picture as SVG: its text is text, and it is light or dark as the reader's screen is.

use super::Palette;
use super::scene::{Place, Scene, Shape};
use std::fmt::Write;

/// The picture with a title and a description for readers that do not see it. With `measure`, its size in millimetres.
pub(super) fn svg(scene: &Scene, title: &str, note: &str, width_mm: Option<f64>) -> String {
    let [width, height] = scene.size;
    let size = width_mm.map_or(format!("width=\"{width:.0}\" height=\"{height:.0}\""), |mm| {
        format!("width=\"{mm}mm\" height=\"{:.2}mm\"", mm * height / width)
    });
    let dark: String = Palette::all()
        .map(|colour| {
            let (light, dark) = (colour.light, colour.dark);
            format!("[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}")
        })
        .collect();
    let mut text = format!(
        "<svg {size} viewBox=\"0 0 {width:.0} {height:.0}\" xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" \
         font-family=\"{}\">\n<title>{}</title>\n<desc>{}</desc>\n\
         <style>@media (prefers-color-scheme: dark){{{dark}}}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"{}\"/>\n",
        escape(&scene.font.css()),
        escape(title),
        escape(note),
        super::colour::GROUND.light
    );
    for shape in &scene.shapes {
        // Writing to a string does not fail.
        let _ = write_shape(&mut text, shape);
    }
    text + "</svg>\n"
}

fn write_shape(out: &mut String, shape: &Shape) -> std::fmt::Result {
    let list = |points: &[[f64; 2]]| -> String {
        points.iter().map(|[x, y]| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ")
    };
    match shape {
        Shape::Line { points, colour, width, dash } => {
            let dash: Vec<String> = dash.iter().map(f64::to_string).collect();
            let dash = if dash.is_empty() {
                String::new()
            } else {
                format!(" stroke-dasharray=\"{}\"", dash.join(" "))
            };
            writeln!(
                out,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"{dash}/>",
                list(points),
                colour.light
            )
        }
        Shape::Area { points, colour, opacity } => {
            let opacity = if *opacity < 1.0 {
                format!(" fill-opacity=\"{opacity:.3}\"")
            } else {
                String::new()
            };
            writeln!(
                out,
                "<polygon points=\"{}\" fill=\"{}\"{opacity}/>",
                list(points),
                colour.light
            )
        }
        Shape::Circle { at: [x, y], radius, colour } => {
            writeln!(
                out,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"{}\"/>",
                colour.light
            )
        }
        Shape::Text { text, at: [x, y], place, colour, size, bold } => {
            let (anchor, turned) = match place {
                Place::Right => ("start", false),
                Place::Left => ("end", false),
                Place::Middle => ("middle", false),
                Place::Upwards => ("middle", true),
            };
            let turn = if turned {
                format!(" transform=\"rotate(-90 {x:.1} {y:.1})\"")
            } else {
                String::new()
            };
            let weight = if *bold { " font-weight=\"bold\"" } else { "" };
            writeln!(
                out,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" dy=\"0.36em\" font-size=\"{size:.1}\" text-anchor=\"{anchor}\" fill=\"{}\"{weight}{turn}>{}</text>",
                colour.light,
                escape(text)
            )
        }
    }
}

fn escape(text: &str) -> String {
    crate::render::html::escape(text)
}
