//! A picture as PDF 1.4, one page of its size. Letters are outlines, so that no font is missing.

use super::font::Piece;
use super::scene::{Scene, Shape};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Points of a CSS pixel: 96 pixels and 72 points are an inch.
const POINTS: f64 = 0.75;

/// The picture with a title.
pub(super) fn pdf(scene: &Scene, title: &str) -> Vec<u8> {
    let [width, height] = scene.size.map(|length| length * POINTS);
    let opacities: BTreeSet<u32> = scene.shapes.iter().filter_map(opacity).collect();
    let mut content = format!("{POINTS} 0 0 {} 0 {height:.3} cm\n1 J 1 j\n", -POINTS);
    for shape in &scene.shapes {
        // Writing to a string does not fail.
        let _ = write_shape(&mut content, scene, shape);
    }
    let states: String = opacities
        .iter()
        .map(|opacity| format!("/G{opacity} << /ca {:.3} >> ", f64::from(*opacity) / 1000.0))
        .collect();
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width:.3} {height:.3}] /Contents 4 0 R \
             /Resources << /ExtGState << {states}>> >> >>"
        ),
        format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()),
        format!("<< /Title <{}> /Producer (ActLab) >>", utf16(title)),
    ];
    let mut bytes = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let mut places = Vec::new();
    for (number, object) in objects.iter().enumerate() {
        places.push(bytes.len());
        bytes.extend(format!("{} 0 obj\n{object}\nendobj\n", number + 1).bytes());
    }
    let table = bytes.len();
    let mut end = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for place in places {
        end += &format!("{place:010} 00000 n \n");
    }
    end += &format!(
        "trailer\n<< /Size {} /Root 1 0 R /Info 5 0 R >>\nstartxref\n{table}\n%%EOF\n",
        objects.len() + 1
    );
    bytes.extend(end.bytes());
    bytes
}

/// The thousandths of a shape that is not opaque.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1 000")]
fn opacity(shape: &Shape) -> Option<u32> {
    match shape {
        Shape::Area { opacity, .. } => Some((opacity.clamp(0.0, 1.0) * 1000.0).round() as u32),
        _ => None,
    }
}

fn write_shape(out: &mut String, scene: &Scene, shape: &Shape) -> std::fmt::Result {
    let path = |out: &mut String, points: &[[f64; 2]]| -> std::fmt::Result {
        for (place, [x, y]) in points.iter().enumerate() {
            writeln!(out, "{x:.2} {y:.2} {}", if place == 0 { "m" } else { "l" })?;
        }
        Ok(())
    };
    let ink = |colour: &super::Colour| colour.rgb().map(|part| format!("{part:.3}")).join(" ");
    match shape {
        Shape::Line { points, colour, width, dash } => {
            let dash: Vec<String> = dash.iter().map(f64::to_string).collect();
            writeln!(out, "{} RG {width:.2} w [{}] 0 d", ink(colour), dash.join(" "))?;
            path(out, points)?;
            writeln!(out, "S")
        }
        Shape::Area { points, colour, .. } => {
            writeln!(out, "q /G{} gs {} rg", opacity(shape).unwrap_or(1000), ink(colour))?;
            path(out, points)?;
            writeln!(out, "h f Q")
        }
        Shape::Circle { at: [x, y], radius: r, colour } => {
            // Four cubic curves are a circle to 0.03 %.
            let k = 0.552_284_75 * r;
            writeln!(out, "{} rg\n{:.2} {y:.2} m", ink(colour), x + r)?;
            for [ax, ay, bx, by, cx, cy] in [
                [x + r, y + k, x + k, y + r, *x, y + r],
                [x - k, y + r, x - r, y + k, x - r, *y],
                [x - r, y - k, x - k, y - r, *x, y - r],
                [x + k, y - r, x + r, y - k, x + r, *y],
            ] {
                writeln!(out, "{ax:.2} {ay:.2} {bx:.2} {by:.2} {cx:.2} {cy:.2} c")?;
            }
            writeln!(out, "f")
        }
        Shape::Text { text, at, place, colour, size, .. } => {
            let ([x, y], upwards) = scene.baseline(text, *at, *place, *size);
            let turn = if upwards { "0 -1 1 0" } else { "1 0 0 1" };
            writeln!(out, "q {turn} {x:.2} {y:.2} cm {} rg", ink(colour))?;
            for piece in scene.font.outlines(text, *size) {
                match piece {
                    Piece::Move([x, y]) => writeln!(out, "{x:.3} {y:.3} m")?,
                    Piece::Line([x, y]) => writeln!(out, "{x:.3} {y:.3} l")?,
                    Piece::Cubic(a, b, c) => writeln!(
                        out,
                        "{:.3} {:.3} {:.3} {:.3} {:.3} {:.3} c",
                        a[0], a[1], b[0], b[1], c[0], c[1]
                    )?,
                }
            }
            writeln!(out, "f Q")
        }
    }
}

/// A text as PDF has it: UTF-16 with a byte order mark, in hexadecimal.
fn utf16(text: &str) -> String {
    std::iter::once(0xfeff).chain(text.encode_utf16()).map(|unit| format!("{unit:04X}")).collect()
}
