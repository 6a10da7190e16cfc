//! What is written beside a report: the page, tables for other tools, plots.

use crate::common::{IMAGES, WORDS, evaluation, sweep};
use crate::report::{options, unlucky};
use analysis::{Report, ReportOptions, Shape};
use polars_io::prelude::{ParquetReader, SerReader};
use record::{Event, Gradients, LayerGradient, Prediction, Predictions, RunDir, Site, StoredRun};

/// One file: nothing is fetched, and what users and plugins name is text.
#[test]
fn the_page_stands_alone() {
    let mut runs = sweep(1..=3);
    let title = "<script>alert(1)</script> & \"more\"".to_owned();
    for run in runs.iter_mut().filter(|run| run.record.spec.activation.label == "silu") {
        run.record.spec.activation.label = "</script><img src=x>".into();
    }
    let options = ReportOptions { title, ..options() };
    let page = Report::from_runs(&runs, &options).unwrap().html();
    // Without JavaScript there are the pictures beside the page.
    let fallback = "<noscript><img src=\"plots/";
    let (plots, images) = (page.matches("<div data-plot=").count(), page.matches("<img").count());
    assert_eq!((page.matches(fallback).count(), images), (plots, plots));
    for fetched in ["<link", "<script src", "@import", "url(", "fetch("] {
        assert!(!page.contains(fetched), "{fetched}");
    }
    assert!(page.contains(">&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;more&quot;</h1>"));
    // The style's and script's own ends, and that of the figures.
    assert_eq!(page.matches("</script>").count(), 2);
    // Verdicts come before anything else.
    let place = |words: &str| page.find(words).unwrap_or_else(|| panic!("{words}"));
    assert!(place("These 3 seeds cannot tell") < place("data-plot="));
    assert!(place("data-plot=\"fashion_resnet8-difference") < place("<table>"));
    // Every run, every plot, every figure.
    assert_eq!(page.matches("<tr><td>fashion_resnet8</td>").count(), 15);
    let figures = page.split("id=\"figures\">").nth(1).unwrap();
    let figures = figures.split("</script>").next().unwrap();
    let figures: Vec<serde_json::Value> = serde_json::from_str(figures).unwrap();
    assert_eq!(page.matches("<div data-plot=").count(), figures.len());
    let plot = |name: &str| {
        let plot = figures.iter().find(|plot| plot["name"] == name);
        &plot.unwrap_or_else(|| panic!("{name}"))["series"]
    };
    let dots = |series: &serde_json::Value| {
        let marks = series["marks"].as_array().unwrap();
        marks.iter().filter(|mark| mark["mark"] == "dot").count()
    };
    let scores = &plot("fashion_resnet8-scores")[0];
    assert_eq!((scores["label"].as_str(), dots(scores)), (Some("relu"), 3));
    assert_eq!(dots(&plot("fashion_resnet8-dead")[0]), 3);
    assert_ne!(scores["colour"], plot("fashion_resnet8-scores")[2]["colour"]);
    assert_eq!(scores["colour"], plot("sentiment_bert_mini-cost")[1]["colour"]);
    // Two tasks are too few for a critical difference.
    assert!(figures.iter().all(|plot| plot["name"] != "ranks"));
    for name in ["profile", "sentiment_bert_mini-variance"] {
        plot(name);
    }
}

/// One row a run, one row a number; what cannot be read is named.
#[test]
fn other_tools_get_parquet() {
    let folder = tempfile::tempdir().unwrap();
    let mut runs = sweep(1..=2);
    for (i, run) in runs.iter_mut().enumerate() {
        run.dir = record::RunDir::of(folder.path(), &run.record.spec);
        let mut stream = run.dir.begin(&run.record.spec).unwrap();
        for step in 1..=3 {
            let evaluation = evaluation(step, 1.0, f64::NAN, 0.5);
            stream.write(&record::Event::Validation(evaluation)).unwrap();
        }
        if i == 0 {
            std::fs::write(run.dir.path().join("metrics.jsonl"), "no event\n").unwrap();
        }
    }
    let report = Report::from_runs(&runs, &options()).unwrap();
    let exported = report.export(&runs, folder.path()).unwrap();
    assert_eq!(exported.unread.len(), 1);
    let read = |path: &std::path::Path| {
        ParquetReader::new(std::fs::File::open(path).unwrap()).finish().unwrap()
    };
    assert_eq!(read(&exported.records).height(), 20);
    let metrics = read(&exported.metrics);
    assert_eq!(metrics.height(), 19 * 3 * 3);
    let names = metrics.column("metric").unwrap().str().unwrap();
    assert_eq!(names.get(1), Some("validation/loss"));
    assert!(metrics.column("value").unwrap().f64().unwrap().get(1).unwrap().is_nan());
}

/// Runs in folders of their own, with what they measured on their way: every activation reaches its end, and
/// `slow` ones only there.
fn on_disk(folder: &std::path::Path, slow: &str) -> Vec<StoredRun> {
    let mut runs = sweep(1..=3);
    for stored in &mut runs {
        let spec = &stored.record.spec;
        stored.dir = RunDir::of(folder, spec);
        let mut metrics = stored.dir.begin(spec).unwrap();
        for step in 1..=4 {
            let late = spec.activation.label == slow && step < 4;
            let accuracy = if step < 2 || late { 0.5 } else { 0.9 };
            let evaluation = evaluation(step, step as f64, 1.0, accuracy);
            metrics.write(&Event::Validation(evaluation)).unwrap();
            for site in &stored.record.summary.as_ref().unwrap().sites {
                metrics.write(&Event::Site(Site { step, ..site.clone() })).unwrap();
            }
            let layer = |layer: &str, norm| LayerGradient { layer: layer.into(), norm };
            let layers = vec![layer("stem", 0.1 * step as f64), layer("head", 1.0)];
            metrics.write(&Event::Gradients(Gradients { step, layers })).unwrap();
        }
        // Every fourth example is wrong; those of the baseline, every third.
        let every = if spec.activation.label == "relu" { 3 } else { 4 };
        let said = |index: usize| Prediction {
            index,
            label: 1,
            predicted: usize::from(!index.is_multiple_of(every)),
            probability: 0.5,
            confidence: Some(0.5),
        };
        let said = Predictions::Classes((0..1_200).map(said).collect());
        stored.dir.write_predictions(&said).unwrap();
        stored.dir.finish(&stored.record).unwrap();
    }
    runs
}

#[test]
fn what_was_measured_on_the_way_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let runs = on_disk(folder.path(), "silu");
    let shapes = vec![Shape::of("relu".into(), |x| (x.max(0.0), f64::from(x > 0.0)))];
    let options = ReportOptions { shapes, ..options() };
    let report = Report::from_runs(&runs, &options).unwrap();
    let text = report.markdown();
    let section = text.split("## Time to the baseline's accuracy").nth(1).unwrap();
    let row = |label: &str| {
        let row = section.lines().find(|line| line.starts_with(&format!("| {label} ")));
        row.unwrap().split('|').map(str::trim).skip(2).take(3).collect::<Vec<_>>()
    };
    assert_eq!(row("gelu"), ["2", "2", "1.000"]);
    // Twice the steps: (4 − 2) / (4 − 1).
    assert_eq!(row("silu"), ["4", "4", "0.667"]);
    // Three quarters against two thirds, whichever seeds are drawn; the examples alone spread.
    let header = text.lines().find(|line| line.contains("Δ, seeds and examples")).unwrap();
    let column = header.split('|').position(|cell| cell.contains("seeds and examples")).unwrap();
    let after = text.split(header).nth(1).unwrap();
    let gelu = after.lines().find(|line| line.starts_with("| gelu")).unwrap();
    let interval = gelu.split('|').nth(column).unwrap().trim().trim_matches(['[', ']']);
    let bounds: Vec<f64> =
        interval.split(", ").map(|bound| bound.replace('−', "-").parse().unwrap()).collect();
    // The deviation of an example's difference is √(5/12 − 1/144), of 1 200 examples 0.0185. Three seeds leave two
    // degrees of freedom, with t = 4.30 at 95 %; the correction can only widen it.
    let reach = (bounds[1] - bounds[0]) / 2.0;
    assert!((f64::midpoint(bounds[0], bounds[1]) - 8.33).abs() < 0.01, "{bounds:?}");
    assert!(reach > 4.30 * 1.84 && reach < 30.0, "{bounds:?}");
    for plot in ["curve", "dead-over-time", "gradient", "gradient-over-time", "cost", "scores"] {
        assert!(text.contains(&format!("](plots/fashion_resnet8-{plot}.svg)")), "{plot}");
    }
    assert!(text.contains("](plots/activations-shape.svg)"));
    assert!(text.contains("](plots/activations-slope.svg)"));
}

#[test]
fn tables_for_papers_and_programs_have_every_baseline() {
    let folder = tempfile::tempdir().unwrap();
    let further_baselines = vec!["gelu".into()];
    let options = ReportOptions { further_baselines, ..options() };
    let report = Report::from_runs(&on_disk(folder.path(), "silu"), &options).unwrap();
    report.write(folder.path()).unwrap();
    let mut table = csv::Reader::from_path(folder.path().join("summary.csv")).unwrap();
    let header = table.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|one| one == name).unwrap();
    let first_alone =
        ["steps_to_baseline_median", "difference_examples_low", "difference_sd_seeds"];
    let columns = ["task", "baseline", "activation", "difference_mean"].map(column);
    let columns = [&columns[..], &first_alone.map(column)].concat();
    let rows: Vec<Vec<String>> = table
        .records()
        .map(|row| row.unwrap())
        .map(|row| columns.iter().map(|&column| row[column].to_owned()).collect())
        .collect();
    // Two tasks, two baselines, five activations.
    assert_eq!(rows.len(), 20);
    let difference = |baseline: &str, activation: &str| -> f64 {
        let same = |row: &&Vec<String>| row[..3] == [IMAGES, baseline, activation];
        rows.iter().find(same).unwrap()[3].parse().unwrap()
    };
    let (forth, back) = (difference("relu", "gelu"), difference("gelu", "relu"));
    assert!(forth != 0.0 && (forth + back).abs() < 1e-12, "{forth} {back}");
    // What is known of the first baseline alone is not said of another.
    for known in 4..columns.len() {
        assert!(rows.iter().any(|row| row[1] == "relu" && !row[known].is_empty()), "{known}");
        assert!(rows.iter().all(|row| row[1] == "relu" || row[known].is_empty()), "{known}");
    }
    let latex = report.latex();
    assert_eq!(latex.matches("\\begin{table}").count(), 4);
    assert_eq!(latex.matches("mean difference to gelu").count(), 2);
}

#[test]
fn files_are_written_and_the_tables_in_them_are_complete() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("deep").join("report");
    let runs = unlucky();
    let report = Report::from_runs(&runs, &options()).unwrap();
    let written = report.write(&target).unwrap();
    assert_eq!(std::fs::read_to_string(&written.markdown).unwrap(), report.markdown());
    assert_eq!(std::fs::read_to_string(&written.html).unwrap(), report.html());
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 6);
    // The report shows every picture, and every picture is there in both forms.
    assert_eq!(written.undrawn, Vec::<String>::new());
    let text = report.markdown();
    let shown: Vec<&str> =
        text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap().trim()).collect();
    let drawn = std::fs::read_dir(&written.plots).unwrap().count();
    assert_eq!(drawn, 2 * shown.len());
    for path in shown {
        let svg = std::fs::read_to_string(target.join(path)).unwrap();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{path}");
        let png = std::fs::read(target.join(path.replace(".svg", ".png"))).unwrap();
        assert!(png.starts_with(b"\x89PNG"), "{path}");
    }

    let mut table = csv::Reader::from_path(&written.runs).unwrap();
    let header = table.headers().unwrap().clone();
    let rows: Vec<_> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), runs.len());
    let column = |name: &str| header.iter().position(|column| column == name).unwrap();
    for row in &rows {
        let run = runs.iter().find(|run| run.record.id.to_string() == row[column("id")]).unwrap();
        let test = run.record.summary.as_ref().and_then(|summary| summary.test.clone());
        let accuracy = test.and_then(|test| test.metrics.get("accuracy"));
        let expected = accuracy.map(|accuracy| accuracy.to_string()).unwrap_or_default();
        assert_eq!(row[column("test_accuracy")], expected);
        assert_eq!(row[column("seed")], run.record.spec.seed.to_string());
        let time: f64 = row[column("train_seconds")].parse().unwrap();
        assert_eq!(time.to_bits(), run.record.timing.train_seconds.to_bits());
    }

    let mut table = csv::Reader::from_path(&written.summary).unwrap();
    let header = table.headers().unwrap().clone();
    let rows: Vec<_> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 10);
    let column = |name: &str| header.iter().position(|column| column == name).unwrap();
    let row = rows.iter().find(|row| &row[0] == IMAGES && &row[1] == "swiglu").unwrap();
    assert_eq!(&row[column("runs")], "3");
    assert_eq!(&row[column("completed")], "2");
    assert_eq!(&row[column("diverged")], "1");
    assert_eq!(&row[column("steps_to_target_median")], "");
    let row = rows.iter().find(|row| &row[0] == WORDS && &row[1] == "silu").unwrap();
    assert_eq!(&row[column("test_accuracy_mean")], "");
    assert_eq!(&row[column("pairs")], "0");
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let report = Report::from_runs(&sweep([1]), &options()).unwrap();
    let error = report.write(&file.join("report")).unwrap_err();
    assert!(error.to_string().starts_with("cannot create"), "{error}");
}
