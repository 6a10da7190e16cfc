//! The binary version of CIFAR-10: records of a label byte and 3 × 32 × 32 pixels.

use super::files::bad;
use super::idx::check_labels;
use super::{Images, Inputs, Part};
use crate::Error;
use std::path::Path;

const PIXELS: usize = 3 * 32 * 32;

/// Whole records in the content of a batch file.
pub(super) fn count(bytes: &[u8]) -> usize {
    bytes.len() / (PIXELS + 1)
}

/// The examples of several batch files, one behind the other; the paths are for errors.
pub(super) fn parse(files: &[(&Path, Vec<u8>)]) -> Result<Part, Error> {
    let (mut labels, mut pixels) = (Vec::new(), Vec::new());
    for (path, bytes) in files {
        if bytes.is_empty() || bytes.len() % (PIXELS + 1) != 0 {
            return Err(bad(
                path,
                format!(
                    "holds {} bytes, which is no whole number of records of {} bytes: it is truncated, or not CIFAR-10's \
                     binary version",
                    bytes.len(),
                    PIXELS + 1
                ),
            ));
        }
        let records = bytes.chunks_exact(PIXELS + 1);
        let found: Vec<u8> = records.clone().map(|record| record[0]).collect();
        labels.extend(check_labels(path, &found, 10)?);
        pixels.extend(records.flat_map(|record| &record[1..]));
    }
    let images = Images { channels: 3, height: 32, width: 32, pixels };
    Ok(Part { inputs: Inputs::Images(images), labels })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_in_order_and_bad_sizes_refused() {
        let record = |label: u8, fill: u8| {
            let mut record = vec![label];
            record.extend([fill; PIXELS]);
            record
        };
        let path = Path::new("data_batch_1.bin");
        let part =
            parse(&[(path, [record(3, 1), record(9, 2)].concat()), (path, record(0, 3))]).unwrap();
        assert_eq!(part.labels, [3, 9, 0]);
        let Inputs::Images(images) = part.inputs else { panic!() };
        assert_eq!(images.example(2), [3; PIXELS]);

        assert!(parse(&[(path, record(3, 1)[1..].to_vec())]).is_err());
        assert!(parse(&[(path, Vec::new())]).is_err());
        let error = parse(&[(path, record(10, 1))]).unwrap_err().to_string();
        assert!(error.contains("label 0 is 10"), "{error}");
    }
}
