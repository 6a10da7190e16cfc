//! A function and its derivative in characters.

/// Inputs of a plot: from minus to plus this.
pub(super) const INPUTS: f64 = 5.0;

/// Values beyond this are not shown.
const HIGHEST: f64 = 5.0;

/// Lines of a plot.
const ROWS: usize = 15;

/// Columns in front of a plot, for the values of the vertical axis.
const MARGIN: usize = 7;

/// Most columns of a plot without its margin.
const WIDEST: usize = 60;

/// Dots of a character across and down.
const DOTS: [usize; 2] = [2, 4];

/// Dots of braille characters, by column and row.
const BRAILLE: [[u32; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// f as a line of dots and f′ as points, with axes, in at most `width` columns. `f` gives value and derivative.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few dots"
)]
pub(super) fn plot(width: usize, f: impl Fn(f64) -> (f64, f64)) -> String {
    let columns = width.saturating_sub(MARGIN).clamp(20, WIDEST);
    let across = columns * DOTS[0];
    let input = |dot: usize| -INPUTS + 2.0 * INPUTS * dot as f64 / (across - 1) as f64;
    let values: Vec<(f64, f64)> = (0..across).map(|dot| f(input(dot))).collect();
    let all = values.iter().flat_map(|(y, slope)| [*y, *slope]).filter(|y| y.is_finite());
    let [low, high] = all.fold([0.0_f64, 0.0_f64], |[low, high], y| [low.min(y), high.max(y)]);
    let (low, high) = (low.max(-HIGHEST), high.min(HIGHEST));
    let high = if high - low < 1e-9 { low + 1.0 } else { high };
    let down = ROWS * DOTS[1];
    let dot_of = |y: f64| {
        let shown = y.is_finite() && (low - 1e-9..=high + 1e-9).contains(&y);
        shown.then(|| {
            (((high - y) / (high - low) * (down - 1) as f64).round() as usize).min(down - 1)
        })
    };

    let mut cells = vec![[0_u32; WIDEST]; ROWS];
    let mut before: Option<usize> = None;
    for (x, (y, _)) in values.iter().enumerate() {
        let at = dot_of(*y);
        if let Some(at) = at {
            // A steep line has dots all the way from its neighbour.
            let from = before.unwrap_or(at);
            for dot in from.min(at)..=from.max(at) {
                cells[dot / DOTS[1]][x / DOTS[0]] |= BRAILLE[x % DOTS[0]][dot % DOTS[1]];
            }
        }
        before = at;
    }
    let zero = dot_of(0.0).map(|dot| dot / DOTS[1]);
    let slopes: Vec<Option<usize>> = (0..columns)
        .map(|column| dot_of(values[column * DOTS[0]].1).map(|dot| dot / DOTS[1]))
        .collect();
    let mut text = String::new();
    for (row, cells) in cells.iter().enumerate() {
        let label = match row {
            0 => Some(high),
            row if Some(row) == zero => Some(0.0),
            row if row == ROWS - 1 => Some(low),
            _ => None,
        };
        text += &label.map_or_else(|| " ".repeat(MARGIN - 1), |y| format!("{y:>6.2}"));
        text.push('┤');
        let line: String = (0..columns)
            .map(|column| match cells[column] {
                0 if slopes[column] == Some(row) => '·',
                0 if column == columns / 2 => '│',
                0 if Some(row) == zero => '─',
                0 => ' ',
                dots => char::from_u32(0x2800 + dots).unwrap_or(' '),
            })
            .collect();
        text += line.trim_end();
        text.push('\n');
    }
    let half = columns / 2;
    let ends = format!("{:<half$}0{:>rest$}", -INPUTS, INPUTS, rest = columns - half - 1);
    text + &format!("{}{ends}\n", " ".repeat(MARGIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_keeps_to_its_width() {
        for width in [10, 40, 67, 200] {
            let text = plot(width, |x| (libm::tanh(x), 1.0 - libm::tanh(x).powi(2)));
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= width.clamp(27, 67), "{width}: {widest}");
            assert_eq!(text.lines().count(), ROWS + 1);
        }
    }

    #[test]
    fn what_is_not_finite_is_left_out() {
        let text = plot(67, |x| (1.0 / x, f64::NAN));
        assert_eq!(text.lines().count(), ROWS + 1);
        let text = plot(67, |_| (0.0, 0.0));
        assert!(text.contains("1.00┤") && text.contains("0.00┤"), "{text}");
    }
}
