//! Reports lead to the runs on every tracker.

use crate::common::{IMAGES, sweep};
use analysis::{Report, ReportOptions};
use record::{RunDir, StoredRun};

#[test]
fn reports_link_to_every_tracker() {
    let mut runs = sweep(1..=2);
    let options = ReportOptions::default();
    let plain = Report::from_runs(&runs, &options).unwrap();
    assert!(!plain.markdown().contains("Runs on trackers"));
    assert!(!plain.latex().contains("href") && !plain.html().contains(">open</a>"));

    let folder = tempfile::tempdir().unwrap();
    for (seed, notes) in [
        (1, vec![("one.json", "One & Co", "https://one/a_b#c%d|</script>")]),
        (2, vec![("one.json", "One & Co", "https://one/2"), ("two.json", "Two", "http://two/2")]),
    ] {
        let wanted = |run: &&mut StoredRun| {
            let spec = &run.record.spec;
            spec.task == IMAGES && spec.activation.label == "gelu" && spec.seed == seed
        };
        let run = runs.iter_mut().find(wanted).unwrap();
        let path = folder.path().join(seed.to_string());
        std::fs::create_dir(&path).unwrap();
        for (file, sink, url) in notes {
            let note = format!(r#"{{ "sink": "{sink}", "id": "x", "url": "{url}" }}"#);
            std::fs::write(path.join(file), note).unwrap();
        }
        run.dir = RunDir::at(path);
    }
    let report = Report::from_runs(&runs, &options).unwrap();
    let text = report.markdown();
    let section = text.split("## Runs on trackers\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    assert_eq!(
        section.split_whitespace().collect::<Vec<_>>().join(" "),
        "- One \\& Co: fashion_resnet8, gelu: seeds [1](<https://one/a_b#c%d%7C%3C/script%3E>), [2](<https://one/2>) \
         - Two: fashion_resnet8, gelu: seeds [2](<http://two/2>)"
    );
    let latex = report.latex();
    for line in [
        "\\providecommand{\\href}[2]{#2}\n",
        "One \\& Co: fashion\\_resnet8, gelu: seeds \\href{https://one/a_b\\#c\\%d\\%7C\\%3C/script\\%3E}{1}, \
         \\href{https://one/2}{2}.",
        "Two: fashion\\_resnet8, gelu: seeds \\href{http://two/2}{2}.",
    ] {
        assert!(latex.contains(line), "{line}: {latex}");
    }
    let page = report.html();
    for part in [
        ">One &amp; Co</button></th>",
        ">Two</button></th>",
        "<td><a href=\"https://one/2\" rel=\"noopener\">open</a></td><td><a href=\"http://two/2\" rel=\"noopener\">open</a></td>",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(page.matches(">open</a>").count(), 3);
    assert_eq!(page.matches("</script>").count(), 2);
}
