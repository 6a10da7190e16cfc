use super::*;
use crate::{Evaluation, Event, Gradients, LayerGradient, Prediction, Stamped, TrainStep};

fn step(step: u64, loss: f64) -> Event {
    Event::Train(TrainStep {
        step,
        epoch: 0.5,
        loss,
        metrics: [("accuracy", 0.25)].into(),
        learning_rate: 0.1,
        gradient_norm: 1.5,
        seconds: 0.01,
    })
}

#[test]
fn a_torn_last_line_ends_the_stream_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(METRICS);
    let mut writer = MetricsWriter::create(path.clone(), &[]).unwrap();
    writer.write(&step(1, 2.0)).unwrap();
    writer.write(&step(2, 1.0)).unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 5]).unwrap();

    let mut reader = MetricsReader::open(path.clone()).unwrap();
    let mut events = || reader.by_ref().map(|event| event.unwrap().event).collect::<Vec<_>>();
    assert_eq!(events(), [step(1, 2.0)]);
    assert_eq!(events(), []);
    // A writer continues.
    fs::write(&path, &whole).unwrap();
    assert_eq!(events(), [step(2, 1.0)]);
    assert!(!reader.torn());
    fs::write(&path, [&whole[..], b"{"].concat()).unwrap();
    assert!(reader.next().is_none());
    assert!(reader.torn());
}

#[test]
fn lines_without_a_time_are_read() {
    let line = r#"{"event":"validation","step":1,"epoch":0.5,"loss":"nan","accuracy":0.5}"#;
    let stamped: Stamped = serde_json::from_str(line).unwrap();
    assert_eq!(stamped.time, None);
    let Event::Validation(evaluation) = stamped.event else { panic!("{line}") };
    assert!(evaluation.loss.is_nan());
}

#[test]
fn a_timeline_has_every_evaluation_and_some_of_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::at(folder.path().to_owned());
    let mut writer = MetricsWriter::create(folder.path().join(METRICS), &[]).unwrap();
    for number in 1..=10 {
        writer.write(&step(number, 1.0)).unwrap();
        let evaluation =
            Evaluation { step: number, epoch: 0.5, loss: 1.0, metrics: [("accuracy", 0.5)].into() };
        writer.write(&Event::Validation(evaluation)).unwrap();
        let layer = LayerGradient { layer: "stem".into(), norm: 0.5 };
        let gradients = Gradients { step: number, layers: vec![layer] };
        writer.write(&Event::Gradients(gradients)).unwrap();
    }
    let steps = |most| {
        let timeline = dir.timeline(most).unwrap();
        assert_eq!(timeline.validations.len(), 10);
        timeline.gradients.iter().map(|gradients| gradients.step).collect::<Vec<_>>()
    };
    assert_eq!(steps(10), (1..=10).collect::<Vec<_>>());
    assert_eq!(steps(4), [1, 4, 7, 10]);
    assert_eq!(steps(1), [10]);
}

#[test]
fn a_run_resumes_where_a_checkpoint_was_taken() {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::at(folder.path().to_owned());
    let mut writer = MetricsWriter::create(folder.path().join(METRICS), &[]).unwrap();
    for number in 1..=3 {
        writer.write(&step(number, 1.0)).unwrap();
        dir.write_checkpoint(&writer, number, &[number as u8]).unwrap();
    }
    writer.write(&step(4, 1.0)).unwrap();
    // The last two, the newest first.
    let found = dir.checkpoints().unwrap();
    assert_eq!(found.iter().map(|one| one.step).collect::<Vec<_>>(), [3, 2]);
    let saved = dir.read_checkpoint(&found[1]).unwrap();
    assert_eq!(saved.checkpoint, [2]);
    assert_eq!(saved.last_step(), Some(2));
    let mut writer = dir.resume(&saved).unwrap();
    writer.write(&step(9, 1.0)).unwrap();
    let events: Vec<_> = dir.metrics().unwrap().map(|event| event.unwrap().event).collect();
    assert_eq!(events, [step(1, 1.0), step(2, 1.0), step(9, 1.0)]);
    // The later one belongs to a stream that was cut off.
    assert!(dir.read_checkpoint(&found[0]).is_err());
    dir.write_checkpoint(&writer, 9, &[9]).unwrap();
    let found = dir.checkpoints().unwrap();
    assert_eq!(found.iter().map(|one| one.step).collect::<Vec<_>>(), [9, 2]);
    assert_eq!(dir.read_checkpoint(&found[0]).unwrap().checkpoint, [9]);
    dir.remove_checkpoints().unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_flipped_bit_in_a_checkpoint_or_the_stream_before_it_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::at(folder.path().to_owned());
    let stream = folder.path().join(METRICS);
    let mut writer = MetricsWriter::create(stream.clone(), &[]).unwrap();
    writer.write(&step(1, 1.0)).unwrap();
    dir.write_checkpoint(&writer, 1, b"weights").unwrap();
    writer.write(&step(2, 1.0)).unwrap();
    let file = dir.checkpoints().unwrap().remove(0);
    assert!(dir.read_checkpoint(&file).is_ok());
    for path in [file.path(), &stream] {
        let whole = fs::read(path).unwrap();
        let mut flipped = whole.clone();
        flipped[5] ^= 1;
        for damaged in [&flipped[..], &[], &whole[..6]] {
            fs::write(path, damaged).unwrap();
            let error = dir.read_checkpoint(&file).unwrap_err().to_string();
            assert!(error.contains("is damaged"), "{error}");
        }
        fs::write(path, whole).unwrap();
        assert!(dir.read_checkpoint(&file).is_ok());
    }
}

#[test]
fn a_write_that_fails_leaves_no_part_of_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::at(folder.path().to_owned());
    let path = folder.path().join(METRICS);
    let mut writer = MetricsWriter::create(path.clone(), &[]).unwrap();
    writer.write(&step(1, 1.0)).unwrap();
    // As a full disk leaves it.
    writer.tear(b"{\"time\":1.0,\"event\":\"tra");
    writer.write(&step(2, 1.0)).unwrap();
    let events: Vec<_> = dir.metrics().unwrap().map(|event| event.unwrap().event).collect();
    assert_eq!(events, [step(1, 1.0), step(2, 1.0)]);
    dir.write_checkpoint(&writer, 2, b"weights").unwrap();
    assert!(dir.read_checkpoint(&dir.checkpoints().unwrap()[0]).is_ok());
}

#[test]
fn a_checkpoint_after_the_evaluation_of_a_step_is_newer() {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::at(folder.path().to_owned());
    let mut writer = MetricsWriter::create(folder.path().join(METRICS), &[]).unwrap();
    writer.write(&step(1, 1.0)).unwrap();
    dir.write_checkpoint(&writer, 1, b"before").unwrap();
    let evaluation =
        Evaluation { step: 1, epoch: 0.5, loss: 1.0, metrics: [("accuracy", 0.5)].into() };
    writer.write(&Event::Validation(evaluation)).unwrap();
    dir.write_checkpoint(&writer, 1, b"after").unwrap();
    let found = dir.checkpoints().unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(dir.read_checkpoint(&found[0]).unwrap().checkpoint, b"after");
    // Where the older one is resumed, the newer one fits no more.
    dir.resume(&dir.read_checkpoint(&found[1]).unwrap()).unwrap();
    assert_eq!(dir.checkpoints().unwrap().len(), 1);
}

#[test]
fn a_reader_of_a_stream_is_not_disturbed_by_its_new_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::at(folder.path().to_owned());
    let mut writer = MetricsWriter::create(folder.path().join(METRICS), &[]).unwrap();
    writer.write(&step(1, 1.0)).unwrap();
    dir.write_checkpoint(&writer, 1, &[]).unwrap();
    writer.write(&step(2, 1.0)).unwrap();
    let mut reader = dir.metrics().unwrap();
    assert!(reader.next().is_some());
    let saved = dir.read_checkpoint(&dir.checkpoints().unwrap()[0]).unwrap();
    let mut writer = dir.resume(&saved).unwrap();
    writer.write(&step(9, 1.0)).unwrap();
    assert_eq!(
        reader.by_ref().map(|event| event.unwrap().event).collect::<Vec<_>>(),
        [step(2, 1.0)]
    );
    assert!(!reader.torn());
}

#[test]
fn one_process_writes_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::at(folder.path().join("run"));
    let lock = dir.lock().unwrap();
    assert!(lock.is_some());
    assert!(dir.lock().unwrap().is_none());
    drop(lock);
    let first = dir.lock().unwrap();
    assert!(first.is_some());
    // The file that was locked is gone: another process would lock a new one.
    let young = dir.path().join(".young.tmp");
    fs::write(&young, "of a tracker").unwrap();
    let old = dir.path().join(".old.tmp");
    let file = File::create(&old).unwrap();
    file.set_modified(std::time::SystemTime::now() - 2 * LITTER_AGE).unwrap();
    dir.tidy(&record());
    assert!(young.exists() && !old.exists());
    assert!(dir.lock().unwrap().is_some());
}

#[test]
fn a_run_whose_process_was_killed_after_the_record_is_cleared_up() {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::at(folder.path().join("run"));
    let mut writer = dir.begin(&record().spec).unwrap();
    writer.write(&step(1, 1.0)).unwrap();
    let attempt = Attempt {
        token: "1".to_owned(),
        host: "here".to_owned(),
        process: 1,
        started_unix: 0.0,
        run_started_unix: None,
        after_step: 0,
        steps: 1,
    };
    let leave_behind = || {
        dir.write_checkpoint(&writer, 1, b"weights").unwrap();
        dir.write_attempt(&attempt).unwrap();
    };
    let left = || dir.checkpoints().unwrap().len();
    // Without a record the checkpoints are still needed.
    leave_behind();
    dir.tidy_after_kill();
    assert_eq!(left(), 1);
    dir.finish(&record()).unwrap();
    assert_eq!(left(), 0);
    leave_behind();
    let lock = dir.lock().unwrap();
    dir.tidy_after_kill();
    assert_eq!(left(), 1, "another process works on the run");
    drop(lock);
    dir.tidy_after_kill();
    assert!(left() == 0 && dir.attempt().is_none() && !dir.lock_path().exists());
}

#[test]
fn damaged_predictions_are_told_by_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::at(folder.path().to_owned());
    let prediction = |index, predicted| Prediction {
        index,
        label: 1,
        predicted,
        probability: 0.5,
        confidence: Some(0.5),
    };
    let predictions = Predictions::Classes(vec![prediction(0, 1), prediction(1, 0)]);
    dir.write_predictions(&predictions).unwrap();
    assert_eq!(dir.predictions().unwrap(), predictions);
    let damaged = vec![prediction(0, 1), prediction(usize::MAX, 0)];
    dir.write_predictions(&Predictions::Classes(damaged)).unwrap();
    assert!(dir.predictions().unwrap_err().to_string().contains("line 3"));
}

#[test]
fn a_damaged_line_in_the_middle_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(METRICS);
    fs::write(&path, "{\"event\":\"train\"}\n{}\n").unwrap();
    let error = MetricsReader::open(path).unwrap().next().unwrap().unwrap_err();
    assert!(error.to_string().contains("not a valid metrics stream"), "{error}");
}

#[test]
fn non_finite_losses_survive() {
    for loss in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1 + 0.2] {
        let stamped = Stamped { time: Some(1.5), event: step(1, loss) };
        let json = serde_json::to_string(&stamped).unwrap();
        let back: Stamped = serde_json::from_str(&json).unwrap();
        let Event::Train(back) = back.event else { panic!("{json}") };
        assert_eq!(back.loss.to_bits(), loss.to_bits(), "{json}");
    }
}

fn record() -> RunRecord {
    serde_json::from_str(include_str!("record_of_tests.json")).unwrap()
}

/// A run that has ended.
fn finished(runs: &Path) -> RunDir {
    let record = record();
    let dir = RunDir::of(runs, &record.spec);
    let mut writer = dir.begin(&record.spec).unwrap();
    writer.write(&step(1, 1.0)).unwrap();
    dir.write_predictions(&Predictions::default()).unwrap();
    dir.finish(&record).unwrap();
    dir
}

#[test]
fn a_record_knows_its_files_and_is_whole() {
    let runs = tempfile::tempdir().unwrap();
    let dir = finished(runs.path());
    assert_eq!(dir.state(), RunState::Finished);
    assert_eq!(dir.outcome().unwrap(), Some(Outcome::Completed));
    let stored = StoredRun::read(dir.clone()).unwrap();
    assert_eq!(stored.record.files.keys().collect::<Vec<_>>(), [METRICS, PREDICTIONS]);
    assert!(stored.timeline(1).is_ok());
    assert!(stored.predictions().is_ok());
    for name in [METRICS, PREDICTIONS] {
        let path = dir.path().join(name);
        let whole = fs::read(&path).unwrap();
        for damaged in [&[][..], &whole[1..]] {
            fs::write(&path, damaged).unwrap();
            let error = match name {
                METRICS => stored.timeline(1).unwrap_err(),
                _ => stored.predictions().unwrap_err(),
            };
            assert!(error.to_string().contains("and the record says"), "{error}");
        }
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn a_record_that_is_none_is_no_end() {
    let runs = tempfile::tempdir().unwrap();
    let dir = finished(runs.path());
    let path = dir.path().join(RECORD);
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    let place = whole.windows(4).position(|part| part == b"seed").unwrap();
    flipped[place + 7] ^= 1;
    let damages: [&[u8]; 6] = [b"", &whole[..whole.len() / 2], &[0; 64], b"{}", b"[1]", &flipped];
    for damaged in damages {
        fs::write(&path, damaged).unwrap();
        assert!(dir.outcome().is_err(), "{}", String::from_utf8_lossy(damaged));
        assert!(dir.record().is_err());
        assert_eq!(dir.state(), RunState::Damaged);
    }
    // The record of another run, whole.
    let mut other = record();
    other.spec.seed += 1;
    other.id = other.spec.id();
    let elsewhere = RunDir::of(runs.path(), &other.spec);
    elsewhere.finish(&other).unwrap();
    fs::copy(elsewhere.path().join(RECORD), &path).unwrap();
    assert!(dir.outcome().unwrap_err().to_string().contains("it is the record of run"));
    assert_eq!(dir.state(), RunState::Damaged);
    // What cannot be used is kept when the run begins anew, each time under another name.
    let foreign = fs::read(&path).unwrap();
    dir.begin(&record().spec).unwrap();
    assert_eq!(dir.state(), RunState::Unfinished);
    assert_eq!(fs::read(dir.path().join(UNUSABLE)).unwrap(), foreign);
    fs::write(&path, "of a newer version").unwrap();
    dir.begin(&record().spec).unwrap();
    let second = dir.path().join(format!("{UNUSABLE}-2"));
    assert_eq!(fs::read(second).unwrap(), b"of a newer version");
    assert!(!dir.path().join(PREDICTIONS).exists(), "those of an earlier end");
}

#[test]
fn early_records_without_a_checksum_are_read() {
    let runs = tempfile::tempdir().unwrap();
    let dir = finished(runs.path());
    let path = dir.path().join(RECORD);
    let mut value: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let fields = value.as_object_mut().unwrap();
    fields.remove("sha256");
    fields.remove("files");
    fs::write(&path, serde_json::to_vec_pretty(&value).unwrap()).unwrap();
    assert_eq!(dir.state(), RunState::Finished);
    assert_eq!(dir.outcome().unwrap(), Some(Outcome::Completed));
    // Its spec must be the one that its id stands for.
    value["spec"]["seed"] = 99.into();
    fs::write(&path, serde_json::to_vec_pretty(&value).unwrap()).unwrap();
    assert!(dir.outcome().is_err());
    assert_eq!(dir.state(), RunState::Damaged);
}

#[test]
fn a_folder_lies_below_the_others_whatever_the_spec_says() {
    let mut spec = record().spec;
    for task in ["/../../../escaped/evil", "..", "a/b", "C:\\x", "é\n\u{1b}[31m"] {
        spec.task = task.into();
        let dir = RunDir::of(Path::new("runs"), &spec);
        assert_eq!(dir.path().parent(), Some(Path::new("runs")), "{task}");
        assert_eq!(dir.path().components().count(), 2, "{task}");
        assert_eq!(dir.id(), Some(spec.id().as_str()));
    }
}

#[test]
fn a_label_that_is_too_long_is_cut() {
    let runs = tempfile::tempdir().unwrap();
    let mut record = record();
    record.spec.activation.label = format!("leaky_relu(slope=0.{}1)", "0".repeat(300));
    record.id = record.spec.id();
    let dir = RunDir::of(runs.path(), &record.spec);
    assert_eq!(dir.path().file_name().unwrap().len(), LONGEST_NAME);
    assert_eq!(dir.path().parent(), Some(runs.path()));
    dir.finish(&record).unwrap();
    assert_eq!(dir.outcome().unwrap(), Some(Outcome::Completed));
}
