//! A picture as a list of shapes in pixels, before it has a form.

use super::Colour;
use super::font::Font;

/// How a text lies at its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The point is in the middle of its left side.
    Right,
    /// The point is in the middle of its right side.
    Left,
    /// The point is in its middle.
    Middle,
    /// The point is in its middle, and it reads upwards.
    Upwards,
}

/// Something drawn.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    Line { points: Vec<[f64; 2]>, colour: Colour, width: f64, dash: &'static [f64] },
    Area { points: Vec<[f64; 2]>, colour: Colour, opacity: f64 },
    Circle { at: [f64; 2], radius: f64, colour: Colour },
    Text { text: String, at: [f64; 2], place: Place, colour: Colour, size: f64, bold: bool },
}

/// A picture of so many pixels.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub(super) size: [f64; 2],
    pub(super) shapes: Vec<Shape>,
    pub(super) font: Font,
}

/// Height of the letters above the middle of a text, as a share of its size.
pub(super) const HALF: f64 = 0.36;

impl Scene {
    pub(super) fn line(&mut self, points: Vec<[f64; 2]>, colour: Colour, width: f64) {
        self.dashed(points, colour, width, &[]);
    }

    pub(super) fn dashed(
        &mut self,
        points: Vec<[f64; 2]>,
        colour: Colour,
        width: f64,
        dash: &'static [f64],
    ) {
        if points.len() > 1 {
            self.shapes.push(Shape::Line { points, colour, width, dash });
        }
    }

    pub(super) fn area(&mut self, points: Vec<[f64; 2]>, colour: Colour, opacity: f64) {
        if points.len() > 2 {
            self.shapes.push(Shape::Area { points, colour, opacity });
        }
    }

    pub(super) fn text(
        &mut self,
        text: &str,
        at: [f64; 2],
        place: Place,
        colour: Colour,
        size: f64,
    ) {
        let text = text.to_owned();
        self.shapes.push(Shape::Text { text, at, place, colour, size, bold: false });
    }

    /// Whether a text of this width that begins at `at` would overlap no other one beside a point, and no marker.
    pub(super) fn is_clear(&self, [x, y]: [f64; 2], width: f64, size: f64) -> bool {
        // Markers are small; other areas lie behind.
        let apart = |corners: &[[f64; 2]]| {
            let ends = |i: usize| {
                let values = || corners.iter().map(move |corner| corner[i]);
                [values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max)]
            };
            let ([left, right], [top, bottom]) = (ends(0), ends(1));
            let small = right - left < size && bottom - top < size;
            !small
                || right < x
                || left > x + width
                || bottom < y - HALF * size
                || top > y + HALF * size
        };
        self.shapes.iter().all(|shape| match shape {
            Shape::Text { text, at, place: place @ (Place::Left | Place::Right), .. } => {
                let other = self.font.width(text, size);
                let start = if *place == Place::Left { at[0] - other } else { at[0] };
                x + width < start || start + other < x || (y - at[1]).abs() > 1.2 * size
            }
            Shape::Circle { at: [cx, cy], radius, .. } => {
                apart(&[[cx - radius, cy - radius], [cx + radius, cy + radius]])
            }
            Shape::Area { points, .. } => apart(points),
            _ => true,
        })
    }

    pub(super) fn bold(&mut self, text: &str, at: [f64; 2], size: f64) {
        let (text, place, colour) = (text.to_owned(), Place::Right, super::colour::TEXT);
        self.shapes.push(Shape::Text { text, at, place, colour, size, bold: true });
    }

    /// A marker of a radius: six kinds, which differ in print too.
    pub(super) fn marker(&mut self, [x, y]: [f64; 2], kind: usize, radius: f64, colour: Colour) {
        let r = radius;
        let around = |corners: &[[f64; 2]]| -> Vec<[f64; 2]> {
            corners.iter().map(|[dx, dy]| [x + r * dx, y + r * dy]).collect()
        };
        let points = match kind % super::MARKERS {
            0 => return self.shapes.push(Shape::Circle { at: [x, y], radius, colour }),
            1 => around(&[[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]]),
            2 => around(&[[0.0, -1.2], [1.1, 0.8], [-1.1, 0.8]]),
            3 => around(&[[0.0, -1.3], [1.3, 0.0], [0.0, 1.3], [-1.3, 0.0]]),
            4 => around(&[[0.0, 1.2], [1.1, -0.8], [-1.1, -0.8]]),
            _ => around(&[
                [-0.4, -1.2],
                [0.4, -1.2],
                [0.4, -0.4],
                [1.2, -0.4],
                [1.2, 0.4],
                [0.4, 0.4],
                [0.4, 1.2],
                [-0.4, 1.2],
                [-0.4, 0.4],
                [-1.2, 0.4],
                [-1.2, -0.4],
                [-0.4, -0.4],
            ]),
        };
        self.area(points, colour, 1.0);
    }

    /// Where the baseline of a text begins, and whether it reads upwards.
    pub(super) fn baseline(
        &self,
        text: &str,
        [x, y]: [f64; 2],
        place: Place,
        size: f64,
    ) -> ([f64; 2], bool) {
        let (width, drop) = (self.font.width(text, size), HALF * size);
        match place {
            Place::Right => ([x, y + drop], false),
            Place::Left => ([x - width, y + drop], false),
            Place::Middle => ([x - width / 2.0, y + drop], false),
            Place::Upwards => ([x + drop, y + width / 2.0], true),
        }
    }
}
