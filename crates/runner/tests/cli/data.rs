use crate::support::{actlab, place};
use insta::assert_snapshot;

#[test]
fn bundled_data_is_what_its_card_says() {
    assert_snapshot!(actlab(&["data", "verify", "fashion-mnist-mini"]).ok());
    assert_snapshot!(actlab(&["data", "verify", "movie-reviews"]).ok());
    assert!(actlab(&["data", "fetch", "movie-reviews"]).ok().contains("nothing to fetch"));
}

#[test]
fn list_shows_what_is_here() {
    assert_snapshot!(place().run(&["data", "list"]).ok());
}

#[test]
fn missing_and_damaged_files_are_told() {
    let place = place();
    let missing = place.run(&["data", "verify", "mnist"]).refused();
    assert!(missing.contains("fetch it with `actlab data fetch mnist`"), "{missing}");

    std::fs::create_dir(place.path("here")).unwrap();
    for name in [
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ] {
        place.write(&format!("here/{name}.gz"), "not gzip");
    }
    let damaged = place.run(&["data", "verify", "mnist", "--folder", "here"]).refused();
    assert!(damaged.contains("train-images-idx3-ubyte.gz: cannot be unpacked"), "{damaged}");
    let unknown = place.run(&["data", "verify", "minst"]).refused();
    assert!(unknown.contains("unknown data set `minst`; known are"), "{unknown}");
}
