//! The letters of pictures, as outlines: measured, and drawn where a form has no text of its own.

use ab_glyph::{Font as _, FontRef, FontVec, Glyph, OutlineCurve, Point};
use std::sync::{Arc, LazyLock};

/// The font that pictures are drawn with.
static DEJAVU: LazyLock<Option<FontRef<'static>>> =
    LazyLock::new(|| FontRef::try_from_slice(dejavu::sans::regular()).ok());

/// A font: a family, and its outlines where they are not those of DejaVu Sans.
#[derive(Debug, Clone, Default)]
pub(crate) struct Font {
    family: Option<String>,
    own: Option<Arc<FontVec>>,
}

/// A piece of an outline, in pixels.
#[derive(Debug, Clone, Copy)]
pub(super) enum Piece {
    Move([f64; 2]),
    Line([f64; 2]),
    Cubic([f64; 2], [f64; 2], [f64; 2]),
}

impl Font {
    /// A family that a viewer has; pictures without text of their own keep DejaVu Sans.
    pub(crate) fn family(name: &str) -> Self {
        Self { family: Some(name.to_owned()), own: None }
    }

    /// The font in a TrueType or OpenType file.
    ///
    /// # Errors
    /// If the bytes are no such file.
    pub(crate) fn file(name: &str, bytes: Vec<u8>) -> Result<Self, String> {
        let own = FontVec::try_from_vec(bytes).map_err(|error| error.to_string())?;
        Ok(Self { family: Some(name.to_owned()), own: Some(Arc::new(own)) })
    }

    /// What an SVG names.
    pub(super) fn css(&self) -> String {
        let plain = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
        match &self.family {
            Some(name) => {
                format!("'{}', sans-serif", name.chars().filter(plain).collect::<String>())
            }
            None => "'DejaVu Sans', sans-serif".to_owned(),
        }
    }

    /// Width of `text` at `size` pixels.
    pub(super) fn width(&self, text: &str, size: f64) -> f64 {
        self.placed(text).map_or(0.6 * text.chars().count() as f64, |(_, width)| width) * size
    }

    /// The outlines of `text`, whose baseline begins at 0, y downwards.
    pub(super) fn outlines(&self, text: &str, size: f64) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let Some((glyphs, _)) = self.placed(text) else { return pieces };
        for (glyph, x) in glyphs {
            let (outline, units) = match &self.own {
                Some(font) => (font.outline(glyph.id), font.units_per_em()),
                None => {
                    let font = DEJAVU.as_ref();
                    (
                        font.and_then(|font| font.outline(glyph.id)),
                        font.and_then(|font| font.units_per_em()),
                    )
                }
            };
            let (Some(outline), Some(units)) = (outline, units) else { continue };
            let scale = size / f64::from(units);
            let at =
                |point: Point| [x * size + f64::from(point.x) * scale, -f64::from(point.y) * scale];
            let mut end: Option<Point> = None;
            for curve in outline.curves {
                let (from, to) = match curve {
                    OutlineCurve::Line(a, b) => (a, b),
                    OutlineCurve::Quad(a, _, c) => (a, c),
                    OutlineCurve::Cubic(a, _, _, d) => (a, d),
                };
                if end != Some(from) {
                    pieces.push(Piece::Move(at(from)));
                }
                pieces.push(match curve {
                    OutlineCurve::Line(_, b) => Piece::Line(at(b)),
                    OutlineCurve::Quad(a, b, c) => {
                        let (a, b, c) = (at(a), at(b), at(c));
                        let towards =
                            |p: [f64; 2]| [0, 1].map(|i| p[i] + (b[i] - p[i]) * 2.0 / 3.0);
                        Piece::Cubic(towards(a), towards(c), c)
                    }
                    OutlineCurve::Cubic(_, b, c, d) => Piece::Cubic(at(b), at(c), at(d)),
                });
                end = Some(to);
            }
        }
        pieces
    }

    /// The glyphs of `text` with their places, and its width, in units of the size.
    fn placed(&self, text: &str) -> Option<(Vec<(Glyph, f64)>, f64)> {
        match &self.own {
            Some(font) => placed(font.as_ref(), text),
            None => placed(DEJAVU.as_ref()?, text),
        }
    }
}

fn placed(font: &impl ab_glyph::Font, text: &str) -> Option<(Vec<(Glyph, f64)>, f64)> {
    let units = f64::from(font.units_per_em()?);
    let mut x = 0.0;
    let mut last = None;
    let mut glyphs = Vec::new();
    for c in text.chars() {
        // A no-break space is as wide as any other.
        let id = font.glyph_id(if c == '\u{a0}' { ' ' } else { c });
        if let Some(last) = last {
            x += f64::from(font.kern_unscaled(last, id)) / units;
        }
        glyphs.push((id.with_scale(1.0), x));
        x += f64::from(font.h_advance_unscaled(id)) / units;
        last = Some(id);
    }
    Some((glyphs, x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_have_widths_and_outlines() {
        let font = Font::default();
        assert!(font.width("mm", 10.0) > 2.0 * font.width("i", 10.0));
        assert!((font.width("a b", 20.0) - font.width("a\u{a0}b", 20.0)).abs() < 1e-9);
        assert!(font.outlines("Δ′", 10.0).len() > 8);
        assert!(font.outlines(" ", 10.0).is_empty());
        assert!(Font::file("x", vec![1, 2, 3]).is_err());
    }
}
