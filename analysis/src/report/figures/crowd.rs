//! What plots of many activations leave out, so that the others can be seen.

use crate::plot::{Mark, Plot};

/// Activations up to which a plot shows everything of each.
const MANY: usize = 8;

/// How many of the best are shown with everything, beside the baseline.
const BEST: usize = 3;

/// Width of the curves of the others.
const THIN: f64 = 1.2;

/// The activations that are shown with everything where there are many: the baseline and the best.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Crowd {
    kept: Vec<String>,
}

impl Crowd {
    /// The baseline and the best of activations with their merits, of which larger ones are better.
    pub(super) fn new<'a>(baseline: &str, merits: impl Iterator<Item = (&'a str, f64)>) -> Self {
        let mut others: Vec<(&str, f64)> = merits.filter(|(label, _)| *label != baseline).collect();
        others.sort_by(|a, b| b.1.total_cmp(&a.1));
        let best = others.iter().take(BEST).map(|(label, _)| *label);
        Self { kept: [baseline].into_iter().chain(best).map(str::to_owned).collect() }
    }

    /// Where a plot shows many activations, takes away intervals and names of those that are not kept, draws their
    /// curves thinner, and says so in the note.
    pub(super) fn calm(&self, plot: &mut Plot) {
        let drawn = |label: &Option<String>, marks: &[Mark]| label.is_some() && !marks.is_empty();
        let series = plot.series.iter().filter(|one| drawn(&one.label, &one.marks));
        if series.count() <= MANY {
            return;
        }
        let any = |is: fn(&Mark) -> bool| {
            let of_arms = plot.series.iter().filter(|one| one.label.is_some());
            of_arms.flat_map(|one| &one.marks).any(is)
        };
        let bands = any(|mark| matches!(mark, Mark::Band { .. }));
        let shown = match any(|mark| matches!(mark, Mark::Curve { .. })) {
            true if bands => "Thick curves and bands",
            true => "Thick curves",
            false if any(|mark| matches!(mark, Mark::Line { .. })) => "Intervals and names",
            false => "Names",
        };
        let kept = |label: &str| self.kept.iter().any(|one| one == label);
        let others = plot
            .series
            .iter_mut()
            .filter(|one| one.label.as_deref().is_some_and(|label| !kept(label)));
        for one in others {
            one.marks.retain(|mark| {
                !matches!(mark, Mark::Band { .. } | Mark::Line { .. } | Mark::Label { .. })
            });
            for mark in &mut one.marks {
                if let Mark::Curve { width, .. } = mark {
                    *width = width.min(THIN);
                }
            }
        }
        let drawn: Vec<&str> = self
            .kept
            .iter()
            .map(String::as_str)
            .filter(|label| {
                let of_label = |one: &&crate::plot::Series| one.label.as_deref() == Some(label);
                plot.series.iter().find(of_label).is_some_and(|one| !one.marks.is_empty())
            })
            .collect();
        let [others @ .., last] = &drawn[..] else { return };
        let whose =
            match self.kept.first().is_some_and(|baseline| drawn.contains(&baseline.as_str())) {
                true => "the baseline and the best on test data",
                false => "the best on test data",
            };
        let names = if others.is_empty() {
            (*last).to_owned()
        } else {
            format!("{} and {last}", others.join(", "))
        };
        plot.note += &format!(" {shown} are those of {whose} alone: {names}.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::{Axis, Palette, Series};

    fn calmed(activations: usize) -> Plot {
        let labels: Vec<String> = (0..activations).map(|i| format!("a{i}")).collect();
        let palette = Palette::new(labels.iter().map(String::as_str));
        let series = labels.iter().map(|label| {
            let mut one = Series::of(label, &palette);
            one.marks.push(Mark::Band { points: vec![[0.0, 0.0, 1.0], [1.0, 0.0, 1.0]] });
            one.marks.push(Mark::Curve { points: vec![[0.0, 0.5], [1.0, 0.5]], width: 2.0 });
            one
        });
        let mut plot = Plot {
            name: "t-curve".into(),
            title: String::new(),
            note: "Means.".into(),
            x: Axis::number("step"),
            y: Axis::number("accuracy"),
            series: series.collect(),
        };
        // The last is the best.
        let merits = labels.iter().enumerate().map(|(i, label)| (label.as_str(), i as f64));
        Crowd::new("a0", merits).calm(&mut plot);
        plot
    }

    #[test]
    fn of_many_the_baseline_and_the_best_three_have_bands() {
        let plot = calmed(9);
        let banded: Vec<&str> = plot
            .series
            .iter()
            .filter(|one| one.marks.iter().any(|mark| matches!(mark, Mark::Band { .. })))
            .filter_map(|one| one.label.as_deref())
            .collect();
        assert_eq!(banded, ["a0", "a6", "a7", "a8"]);
        let right = "Means. Thick curves and bands are those of the baseline and the best on test data alone: a0, a8, a7 and a6.";
        assert_eq!(plot.note, right);
        assert_eq!(plot.series[1].marks.len(), 1, "its curve stays");
    }

    #[test]
    fn eight_are_not_many() {
        let plot = calmed(8);
        assert!(plot.series.iter().all(|one| one.marks.len() == 2));
        assert_eq!(plot.note, "Means.");
    }
}
