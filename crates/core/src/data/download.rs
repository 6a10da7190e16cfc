//! Fetching data sets: with progress, resumed where it broke off, checked, and put in place whole.

use super::catalogue::{Download, Entry, Format, Source};
use super::files::{bad, io_error, sha256_of_file};
use crate::Error;
use flate2::read::MultiGzDecoder;
use reqwest::StatusCode;
use reqwest::blocking::Client;
use reqwest::header::RANGE;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Is told how a download goes.
pub trait Progress {
    /// `done` of `total` bytes of `file` are here.
    fn bytes(&mut self, file: &str, done: u64, total: u64);
    /// Whether to stop; what is here is kept, and resumed next time.
    fn interrupted(&self) -> bool;
}

/// Fetches every file of `entry` that `folder` lacks.
///
/// A file is fetched under the name `*.part`, from where an earlier try ended, and takes its own name
/// when its checksum is right: nothing half-loaded is ever seen, and a good copy is never touched.
///
/// # Errors
/// If the network, the disk, or the checksum fails.
pub fn fetch(entry: &Entry, folder: &Path, progress: &mut dyn Progress) -> Result<(), Error> {
    let Source::Remote { downloads, .. } = &entry.source else { return Ok(()) };
    fs::create_dir_all(folder).map_err(io_error("create", folder))?;
    for download in *downloads {
        fetch_one(download, folder, progress)?;
    }
    Ok(())
}

fn fetch_one(download: &Download, folder: &Path, progress: &mut dyn Progress) -> Result<(), Error> {
    let name = download.name();
    let target = folder.join(name);
    if target.is_dir() {
        return Err(bad(&target, "is a folder, but the file is to lie there: rename or remove it"));
    }
    // An unpacked archive leaves its checksum behind, as the sign that all of it is there.
    let receipt = folder.join(format!("{name}.sha256"));
    let have = match download.format {
        Format::File => target.exists() && sha256_of_file(&target)? == download.sha256,
        Format::TarGz | Format::Zip => {
            fs::read_to_string(&receipt).is_ok_and(|text| holds(&text, download.sha256, folder))
        }
    };
    if have {
        return Ok(());
    }
    // An archive that was put there by hand need not be fetched, and stays.
    if download.format != Format::File
        && target.is_file()
        && sha256_of_file(&target)? == download.sha256
    {
        return place_all(download, &target, folder, &receipt);
    }
    let part = folder.join(format!("{name}.part"));
    receive(download, name, &part, progress)?;
    let found = sha256_of_file(&part)?;
    if found != download.sha256 {
        fs::remove_file(&part).map_err(io_error("remove", &part))?;
        return Err(Error::Download {
            url: download.url.to_owned(),
            reason: format!(
                "SHA-256 is {found}, but must be {}; it was thrown away",
                download.sha256
            ),
        });
    }
    if download.format == Format::File {
        return fs::rename(&part, &target).map_err(io_error("write", &target));
    }
    place_all(download, &part, folder, &receipt)?;
    fs::remove_file(&part).map_err(io_error("remove", &part))
}

/// Unpacks `archive` into `folder`, and leaves `receipt` as the sign that all of it is there.
fn place_all(
    download: &Download,
    archive: &Path,
    folder: &Path,
    receipt: &Path,
) -> Result<(), Error> {
    let placed = match download.format {
        Format::File => Vec::new(),
        Format::TarGz => untar(archive, folder)?,
        Format::Zip => unzip(archive, folder)?,
    };
    let mut text = format!("{}\n", download.sha256);
    for (name, bytes) in placed {
        text.push_str(&format!("{bytes} {name}\n"));
    }
    fs::write(receipt, text).map_err(io_error("write", receipt))
}

/// Whether a receipt is of the archive `sha256`, and every file that it lists is there in its size.
fn holds(receipt: &str, sha256: &str, folder: &Path) -> bool {
    let mut lines = receipt.lines();
    lines.next() == Some(sha256)
        && lines.all(|line| {
            line.split_once(' ').is_some_and(|(bytes, name)| {
                let found = fs::metadata(folder.join(name)).map(|metadata| metadata.len());
                found.is_ok_and(|found| bytes.parse() == Ok(found))
            })
        })
}

/// Appends to `part` what the server still has to give.
fn receive(
    download: &Download,
    name: &str,
    part: &Path,
    progress: &mut dyn Progress,
) -> Result<(), Error> {
    let error = |reason: String| Error::Download { url: download.url.to_owned(), reason };
    let mut done = fs::metadata(part).map_or(0, |metadata| metadata.len());
    if done >= download.bytes {
        // Whole, or not ours: the checksum tells.
        return Ok(());
    }
    // A second provider in the process would make this fail, and then that one serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .connect_timeout(Duration::from_secs(20))
        // Of each read, not of the whole: after a minute of silence the connection is taken for dead,
        // and the next try resumes.
        .timeout(Duration::from_secs(60))
        .user_agent(concat!("actlab/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|cause| error(chain(&cause)))?;
    let mut request = client.get(download.url);
    if done > 0 {
        request = request.header(RANGE, format!("bytes={done}-"));
    }
    let mut response = request.send().map_err(|cause| error(chain(&cause)))?;
    let mut file = match response.status() {
        StatusCode::PARTIAL_CONTENT => {
            OpenOptions::new().append(true).open(part).map_err(io_error("write", part))?
        }
        status if status.is_success() => {
            done = 0;
            File::create(part).map_err(io_error("write", part))?
        }
        status => return Err(error(format!("the server answers {status}"))),
    };
    let mut buffer = vec![0; 1 << 16];
    loop {
        if progress.interrupted() {
            return Err(Error::Interrupted(
                "what is here is kept, and the next fetch resumes there",
            ));
        }
        let n = response.read(&mut buffer).map_err(|cause| {
            error(format!("{cause}; {done} bytes are kept, and the next fetch resumes there"))
        })?;
        if n == 0 {
            break;
        }
        file.write_all(&buffer[..n]).map_err(io_error("write", part))?;
        done += n as u64;
        progress.bytes(name, done, download.bytes);
    }
    file.sync_all().map_err(io_error("write", part))?;
    if done < download.bytes {
        return Err(error(format!(
            "the connection ended early; {done} bytes are kept, and the next fetch resumes there"
        )));
    }
    Ok(())
}

/// An error with its causes: reqwest tells the address in the outer one and the reason in the inner.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Places the files of an archive in `folder`, without their own folders, each whole or not at all;
/// returns their names and sizes.
fn untar(archive: &Path, folder: &Path) -> Result<Vec<(String, u64)>, Error> {
    let mut placed = Vec::new();
    let file = File::open(archive).map_err(io_error("read", archive))?;
    let mut tar = tar::Archive::new(MultiGzDecoder::new(file));
    for entry in tar.entries().map_err(io_error("read", archive))? {
        let mut entry = entry.map_err(io_error("read", archive))?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path().map_err(io_error("read", archive))?.into_owned();
        placed.extend(place(&path, folder, &mut entry)?);
    }
    Ok(placed)
}

fn unzip(archive: &Path, folder: &Path) -> Result<Vec<(String, u64)>, Error> {
    let mut placed = Vec::new();
    let file = File::open(archive).map_err(io_error("read", archive))?;
    let mut zip = zip::ZipArchive::new(file).map_err(|error| bad(archive, error.to_string()))?;
    for i in 0..zip.len() {
        let mut entry = zip.by_index(i).map_err(|error| bad(archive, error.to_string()))?;
        if entry.is_file() {
            let path = PathBuf::from(entry.name());
            placed.extend(place(&path, folder, &mut entry)?);
        }
    }
    Ok(placed)
}

fn place(
    path: &Path,
    folder: &Path,
    content: &mut dyn Read,
) -> Result<Option<(String, u64)>, Error> {
    // The last part alone: an archive cannot write outside the folder.
    let Some(name) = path.file_name() else { return Ok(None) };
    let target = folder.join(name);
    let mut temporary = name.to_owned();
    temporary.push(".part");
    let temporary = folder.join(temporary);
    let mut file = File::create(&temporary).map_err(io_error("write", &temporary))?;
    let bytes = std::io::copy(content, &mut file).map_err(io_error("write", &temporary))?;
    file.sync_all().map_err(io_error("write", &temporary))?;
    fs::rename(&temporary, &target).map_err(io_error("write", &target))?;
    Ok(Some((name.to_string_lossy().into_owned(), bytes)))
}

#[cfg(test)]
mod tests {
    use super::super::files::sha256;
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};

    /// One that is told to stop.
    struct Stopping;

    impl Progress for Stopping {
        fn bytes(&mut self, _: &str, _: u64, _: u64) {}
        fn interrupted(&self) -> bool {
            true
        }
    }

    struct Quiet;

    impl Progress for Quiet {
        fn bytes(&mut self, _: &str, _: u64, _: u64) {}
        fn interrupted(&self) -> bool {
            false
        }
    }

    /// A server on loopback that gives `content`, honours ranges, and breaks its first answer off
    /// after `first` bytes. Returns its address and the ranges that it was asked for.
    fn server(content: Vec<u8>, first: usize) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/file.bin", listener.local_addr().unwrap());
        let ranges = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&ranges);
        std::thread::spawn(move || {
            for (i, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                let mut range = String::new();
                for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                    let line = line.unwrap();
                    if let Some(value) = line.to_lowercase().strip_prefix("range: ") {
                        range = value.to_owned();
                    }
                    if line.is_empty() {
                        break;
                    }
                }
                let from = range
                    .strip_prefix("bytes=")
                    .and_then(|range| range.trim_end_matches('-').parse().ok())
                    .unwrap_or(0);
                seen.lock().unwrap().push(range);
                let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
                let rest = &content[from..];
                write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    rest.len()
                )
                .unwrap();
                let end = if i == 0 { first.min(rest.len()) } else { rest.len() };
                stream.write_all(&rest[..end]).unwrap();
            }
        });
        (address, ranges)
    }

    fn download(url: String, content: &[u8], format: Format) -> Download {
        Download {
            url: url.leak(),
            sha256: sha256(content).leak(),
            bytes: content.len() as u64,
            format,
        }
    }

    #[test]
    fn a_broken_download_is_resumed_and_checked() {
        let content: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
        let (url, ranges) = server(content.clone(), 70_000);
        let download = download(url, &content, Format::File);
        let folder = tempfile::tempdir().unwrap();
        let error = fetch_one(&download, folder.path(), &mut Quiet).unwrap_err().to_string();
        assert!(error.contains("the next fetch resumes there"), "{error}");
        assert!(!folder.path().join("file.bin").exists());

        fetch_one(&download, folder.path(), &mut Quiet).unwrap();
        assert_eq!(fs::read(folder.path().join("file.bin")).unwrap(), content);
        assert_eq!(*ranges.lock().unwrap(), ["", "bytes=70000-"]);

        // A third call has it and asks for nothing.
        fetch_one(&download, folder.path(), &mut Quiet).unwrap();
        assert_eq!(ranges.lock().unwrap().len(), 2);
    }

    #[test]
    fn what_stops_a_download_is_said_and_kept() {
        let (url, _) = server(vec![7; 200_000], usize::MAX);
        let download = download(url, &[7; 200_000], Format::File);
        let folder = tempfile::tempdir().unwrap();
        let error = fetch_one(&download, folder.path(), &mut Stopping).unwrap_err();
        assert!(matches!(error, Error::Interrupted(_)), "{error}");
        assert!(error.to_string().contains("the next fetch resumes there"), "{error}");
        fetch_one(&download, folder.path(), &mut Quiet).unwrap();
    }

    #[test]
    fn a_wrong_checksum_leaves_the_good_copy() {
        let (url, _) = server(b"something other!!".to_vec(), usize::MAX);
        let download = download(url, b"what it should be", Format::File);
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("file.bin");
        fs::write(&target, b"an older copy").unwrap();
        let error = fetch_one(&download, folder.path(), &mut Quiet).unwrap_err().to_string();
        assert!(error.contains("SHA-256"), "{error}");
        assert_eq!(fs::read(&target).unwrap(), b"an older copy");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn archives_are_unpacked_without_folders() {
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(
            Vec::new(),
            flate2::Compression::fast(),
        ));
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append_data(&mut header, "cifar-10-batches-bin/data.bin", &b"hello"[..]).unwrap();
        let content = tar.into_inner().unwrap().finish().unwrap();
        let (url, ranges) = server(content.clone(), usize::MAX);
        let download = download(url, &content, Format::TarGz);
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            fetch_one(&download, folder.path(), &mut Quiet).unwrap();
            assert_eq!(fs::read(folder.path().join("data.bin")).unwrap(), b"hello");
        }
        assert_eq!(ranges.lock().unwrap().len(), 1);

        // A file that went missing is fetched again.
        fs::remove_file(folder.path().join("data.bin")).unwrap();
        fetch_one(&download, folder.path(), &mut Quiet).unwrap();
        assert_eq!(fs::read(folder.path().join("data.bin")).unwrap(), b"hello");
        assert_eq!(ranges.lock().unwrap().len(), 2);

        // An archive that is in the folder already is unpacked, and kept.
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("file.bin");
        fs::write(&archive, &content).unwrap();
        fetch_one(&download, folder.path(), &mut Quiet).unwrap();
        assert_eq!(fs::read(folder.path().join("data.bin")).unwrap(), b"hello");
        assert_eq!(fs::read(&archive).unwrap(), content);
        assert_eq!(ranges.lock().unwrap().len(), 2);
    }
}
