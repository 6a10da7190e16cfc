//! Plots of a sweep for papers: one or all, in a form and size.

use super::report;
use crate::Error;
use crate::cli::{FormatArg, PlotArgs};
use crate::console::{fitted, outln};
use crate::sweep_dir::SweepDir;
use analysis::{Drawing, PictureFont};
use std::fs;
use std::path::Path;

/// A picture is at least so many times as wide as its text is high: names and data have room side by side.
const MOST_LETTERS: f64 = 18.0;

/// Widths that a picture can have, in millimetres.
const WIDTHS: [f64; 2] = [20.0, 1000.0];

/// Sizes that text can have, in points.
const SIZES: [f64; 2] = [4.0, 40.0];

/// Millimetres of each unit.
const UNITS: [(&str, f64); 5] =
    [("mm", 1.0), ("cm", 10.0), ("in", 25.4), ("pt", 25.4 / 72.0), ("px", 25.4 / 96.0)];

pub(crate) fn run(args: &PlotArgs) -> Result<(), Error> {
    let drawing = Drawing {
        format: args.format.into(),
        width_mm: millimetres(&args.width)?,
        points: fitting_points(args)?,
        font: font(args)?,
        title: args.title,
    };
    let sweep = SweepDir::new(args.dir.clone());
    let Some(made) = sweep.make_report(report::WIDTH, &[])? else {
        return Err(report::nothing_finished(&sweep)?);
    };
    if args.list {
        let rows = made.report.plots().into_iter().map(|(name, title)| vec![name, title]);
        outln!("{}", fitted(&["plot", "shows"], &rows.collect::<Vec<_>>(), &[1]).trim_end());
        return Ok(());
    }
    let drawn = made
        .report
        .draw(&args.plot, &drawing)
        .map_err(|reason| Error::Usage(format!("--plot or --font: {reason}")))?;
    let folder = args.output.clone().unwrap_or_else(|| args.dir.join("plots"));
    fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    for plot in drawn {
        let path = folder.join(&plot.file);
        record::write_atomically(&path, &plot.bytes)?;
        outln!("{}: {}", path.display(), plot.caption);
    }
    Ok(())
}

fn millimetres(text: &str) -> Result<f64, Error> {
    let wrong = || {
        Error::Usage(format!(
            "--width {text}: must be a number with a unit from {} to {} mm, as in 84mm, 3.3in or 240pt",
            WIDTHS[0], WIDTHS[1]
        ))
    };
    let unit = UNITS.iter().find_map(|(unit, size)| Some((text.trim().strip_suffix(unit)?, size)));
    let (number, size) = unit.ok_or_else(wrong)?;
    let width = number.trim().parse::<f64>().map_err(|_| wrong())? * size;
    if (WIDTHS[0]..=WIDTHS[1]).contains(&width) { Ok(width) } else { Err(wrong()) }
}

fn points(size: f64) -> Result<f64, Error> {
    if (SIZES[0]..=SIZES[1]).contains(&size) {
        return Ok(size);
    }
    Err(Error::Usage(format!(
        "--font-size {size}: must be from {} to {} points",
        SIZES[0], SIZES[1]
    )))
}

fn font(args: &PlotArgs) -> Result<PictureFont, Error> {
    let Some(font) = &args.font else { return Ok(PictureFont::Default) };
    let path = Path::new(font);
    let is_file = path.is_file();
    if is_file {
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        return Ok(PictureFont::File(name.unwrap_or_default(), bytes));
    }
    if args.format == FormatArg::Svg {
        return Ok(PictureFont::Family(font.clone()));
    }
    Err(Error::Usage(format!(
        "--font {font}: there is no such file. PNG and PDF need a font file (.ttf or .otf); the name of a family is for --format svg"
    )))
}

/// The size of text, which leaves room for the data.
fn fitting_points(args: &PlotArgs) -> Result<f64, Error> {
    let points = points(args.font_size)?;
    let most = millimetres(&args.width)? / 25.4 * 72.0 / MOST_LETTERS;
    if points > most {
        return Err(Error::Usage(format!(
            "--font-size {points}: is too large for a picture {} wide, in which text has at most {most:.1} points",
            args.width
        )));
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_have_units() {
        for (text, size) in
            [("84mm", 84.0), ("8.4cm", 84.0), ("3.5 in", 88.9), ("72pt", 25.4), ("96px", 25.4)]
        {
            assert!((millimetres(text).unwrap() - size).abs() < 1e-9, "{text}");
        }
        for text in ["84", "mm", "-3mm", "1e9mm", "5mm", "NaNmm", "infmm", ""] {
            assert!(millimetres(text).is_err(), "{text}");
        }
    }
}
