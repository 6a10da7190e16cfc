use crate::support::{Place, actlab, place};
use insta::assert_snapshot;

#[test]
fn bundled_data_is_what_its_card_says() {
    assert_snapshot!(actlab(&["data", "verify", "fashion-mnist-mini"]).ok());
    assert_snapshot!(actlab(&["data", "verify", "movie-reviews"]).ok());
    let text = actlab(&["data", "verify", "king-james-bible"]).ok();
    assert!(text.contains("test        66,392 tokens"), "{text}");
    let here = actlab(&["data", "fetch", "king-james-bible"]).ok();
    assert!(here.contains("ships with the program, so there is nothing to fetch"), "{here}");
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
    assert!(
        unknown.contains("unknown data set `minst` (did you mean `mnist`?); known are"),
        "{unknown}"
    );
}

/// The files of a small MNIST in `folder`, each under the name that `called` gives it.
fn small_mnist(place: &Place, folder: &str, called: fn(&str) -> String) {
    std::fs::create_dir(place.path(folder)).unwrap();
    for (name, images, count) in [
        ("train-images-idx3-ubyte", true, 20_u32),
        ("train-labels-idx1-ubyte", false, 20),
        ("t10k-images-idx3-ubyte", true, 5),
        ("t10k-labels-idx1-ubyte", false, 5),
    ] {
        let sizes: &[u32] = if images { &[0x803, count, 8, 8] } else { &[0x801, count] };
        let mut bytes: Vec<u8> = sizes.iter().flat_map(|size| size.to_be_bytes()).collect();
        let body = if images { 64 * count } else { count };
        bytes.extend((0..body).map(|i| {
            // Every image is another; labels are below ten.
            if images { (i * 7 + i / 64 + count) as u8 } else { (i % 10) as u8 }
        }));
        std::fs::write(place.path(&format!("{folder}/{}", called(name))), bytes).unwrap();
    }
}

#[test]
fn data_that_is_not_as_published_is_told_once() {
    let place = place();
    small_mnist(&place, "dotted", |name| name.replace("-idx", ".idx"));
    let verified = place.run(&["data", "verify", "mnist", "--folder", "dotted"]);
    // Its numbers tell that it is other data, no altered copy.
    assert_eq!(verified.code, Some(0), "{verified:?}");
    assert!(verified.out.contains("train       18 examples"), "{}", verified.out);
    assert_snapshot!(verified.err);

    let planned = place.run(&[
        "sweep",
        "tiny.toml",
        "--dry-run",
        "--set",
        "data_folders.mnist=dotted",
        "--set",
        "tasks.images.data={ name = \"mnist\" }",
        "--set",
        "tasks.images.training.batch_size=16",
    ]);
    assert_eq!(planned.code, Some(0), "{planned:?}");
    assert_eq!(planned.err.matches("is not as published").count(), 1, "{}", planned.err);
    assert!(planned.err.contains("and 3 other files of it differ"), "{}", planned.err);
}
