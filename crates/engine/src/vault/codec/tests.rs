use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;

use super::age::Identity;
use super::*;
use crate::model::hex;

/// An object in memory, and how many requests it saw.
#[derive(Default)]
struct Store {
    bytes: Vec<u8>,
    requests: AtomicUsize,
    /// Gives no more than this at a time.
    most: usize,
}

#[async_trait]
impl ObjectReader for Store {
    fn size_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_now(&self, _: u64, _: &mut [u8]) -> Option<Result<usize>> {
        None
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let rest = &self.bytes[usize::try_from(offset).unwrap().min(self.bytes.len())..];
        Ok(Bytes::copy_from_slice(&rest[..rest.len().min(len).min(self.most)]))
    }
}

#[derive(Clone, Default)]
struct Sheet(Arc<Mutex<Vec<u8>>>);

impl ObjectWriter for Sheet {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(())
    }

    fn seal(self: Box<Self>) -> Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }
}

/// Compressible bytes that say where they stand.
fn plain(length: usize) -> Vec<u8> {
    (0..length.div_ceil(8)).flat_map(|at| (at as u64 / 3).to_le_bytes()).take(length).collect()
}

fn encode(sealing: &Sealing, bytes: &[u8]) -> (Vec<u8>, Stored) {
    let sheet = Sheet::default();
    let mut writer = Codec::default().writer(Box::new(sheet.clone()), sealing).unwrap();
    for chunk in bytes.chunks(300_000) {
        writer.write(chunk).unwrap();
    }
    let stored = writer.finish().unwrap();
    let bytes = sheet.0.lock().unwrap().clone();
    (bytes, stored)
}

async fn open(
    bytes: Vec<u8>,
    sealing: &Sealing,
    size: usize,
    own: &[Identity],
) -> Result<Arc<dyn ObjectReader>> {
    let store = Arc::new(Store { bytes, most: usize::MAX, ..Store::default() });
    Codec::default().reader(store, sealing.encoding(), size as u64, own).await
}

async fn drain(mut stream: Box<dyn crate::vault::ObjectStream>) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let piece = stream.next().await?;
        if piece.is_empty() {
            return Ok(all);
        }
        all.extend_from_slice(piece);
    }
}

/// Each way to store bytes.
fn ways(own: &Identity) -> [Sealing; 3] {
    let recipient = Some(own.recipient());
    [(true, None), (false, recipient), (true, recipient)]
        .map(|(compress, recipient)| Sealing { compress, recipient })
}

const LENGTH: usize = 5 * 1024 * 1024 + 4321;

#[tokio::test(flavor = "multi_thread")]
async fn plain_bytes_come_back_whole_and_in_any_range() {
    let own = Identity::generate().unwrap();
    let whole = plain(LENGTH);
    let edges = [0, 1, 65_535, 65_536, 2 << 20, (2 << 20) + 1, 4 << 20, LENGTH - 1, LENGTH];
    for sealing in ways(&own) {
        let (bytes, stored) = encode(&sealing, &whole);
        assert_eq!((stored.plain_bytes, stored.bytes), (LENGTH as u64, bytes.len() as u64));
        let sha256 = hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes).as_ref());
        assert_eq!(stored.sha256, Some(sha256));
        assert_eq!(stored.encoding, sealing.encoding());
        let reader = open(bytes, &sealing, LENGTH, std::slice::from_ref(&own)).await.unwrap();
        assert_eq!(reader.size_bytes(), LENGTH as u64);
        for (index, from) in edges.into_iter().enumerate() {
            for to in edges.into_iter().skip(index) {
                let stream = reader.stream(from as u64..to as u64).unwrap();
                assert!(drain(stream).await.unwrap() == whole[from..to], "{from}..{to} of {sealing:?}");
                let read = reader.read_at(from as u64, to - from).await.unwrap();
                assert!(whole[from..to].starts_with(&read) && (read.is_empty() == (from == to)));
            }
        }
        assert!(reader.read_at(LENGTH as u64 + 5, 10).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_and_one_byte_are_objects_too() {
    let own = Identity::generate().unwrap();
    for sealing in ways(&own) {
        for length in [0, 1] {
            let (bytes, _) = encode(&sealing, &plain(length));
            let reader = open(bytes, &sealing, length, std::slice::from_ref(&own)).await.unwrap();
            assert_eq!(*reader.read_at(0, 10).await.unwrap(), plain(length));
            assert_eq!(drain(reader.stream(0..length as u64).unwrap()).await.unwrap(), plain(length));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_costs_one_request_even_of_a_store_that_gives_little() {
    let own = Identity::generate().unwrap();
    let whole = plain(LENGTH);
    for sealing in ways(&own) {
        let (bytes, _) = encode(&sealing, &whole);
        for most in [usize::MAX, 10_000] {
            let store = Arc::new(Store { bytes: bytes.clone(), most, ..Store::default() });
            let codec = Codec::default();
            let opened = codec
                .reader(store.clone(), sealing.encoding(), LENGTH as u64, std::slice::from_ref(&own))
                .await;
            let reader = opened.unwrap();
            let opening = store.requests.swap(0, Ordering::Relaxed);
            let read = reader.read_at(2_000_000, 1_000_000).await.unwrap();
            assert!(read == whole[2_000_000..3_000_000]);
            if most == usize::MAX {
                assert!(opening <= 2, "{opening} requests to open {sealing:?}");
                assert_eq!(store.requests.load(Ordering::Relaxed), 1, "{sealing:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_readers_share_little_memory_and_none_starves() {
    let own = Identity::generate().unwrap();
    let whole = Arc::new(plain(LENGTH));
    let sealing = Sealing { compress: true, recipient: Some(own.recipient()) };
    let (bytes, _) = encode(&sealing, &whole);
    let store = Arc::new(Store { bytes, most: usize::MAX, ..Store::default() });
    let codec = Codec::default();
    let reader = codec.reader(store, sealing.encoding(), LENGTH as u64, &[own]).await.unwrap();
    // Readers that stand still with what they were given.
    let mut standing = Vec::new();
    for _ in 0..40 {
        let mut stream = reader.stream(0..LENGTH as u64).unwrap();
        let first = stream.next().await.unwrap().to_vec();
        assert!(whole.starts_with(&first) && !first.is_empty());
        standing.push((stream, first));
    }
    assert!(codec.decoders.available_permits() >= 4, "some memory is always free");
    let done = drain(reader.stream(1_000_000..3_000_000).unwrap()).await.unwrap();
    assert!(done == whole[1_000_000..3_000_000]);
    for (stream, mut read) in standing {
        read.extend(drain(stream).await.unwrap());
        assert!(read == *whole);
    }
    assert_eq!(codec.decoders.available_permits(), MOST_DECODERS);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_anywhere_is_an_error_and_never_other_bytes() {
    let own = Identity::generate().unwrap();
    let whole = plain(LENGTH);
    for sealing in ways(&own) {
        let (bytes, _) = encode(&sealing, &whole);
        let (mut found, mut harmless) = (0, 0);
        let places =
            (0..60).chain((60..bytes.len()).step_by(bytes.len() / 60)).chain(bytes.len() - 60..bytes.len());
        for at in places {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            let read = match open(changed, &sealing, LENGTH, std::slice::from_ref(&own)).await {
                Ok(reader) => drain(reader.stream(0..LENGTH as u64).unwrap()).await,
                Err(error) => Err(error),
            };
            match read {
                Ok(read) => {
                    // Some bits of a frame and of a seek table mean nothing.
                    assert!(read == whole, "byte {at} of {sealing:?}");
                    assert!(sealing.recipient.is_none(), "byte {at} of {sealing:?}");
                    harmless += 1;
                }
                Err(error) => {
                    assert!(["OBJECT_DAMAGED", "IDENTITY_MISSING"].contains(&error.code), "{error:?}");
                    found += 1;
                }
            }
        }
        assert!(found > 150 && harmless < 20, "{found} found, {harmless} harmless of {sealing:?}");
        for changed in
            [&bytes[..bytes.len() - 1], &[&bytes[..], b"x"].concat(), &bytes[..bytes.len() / 2], b""]
        {
            let opened = open(changed.to_vec(), &sealing, LENGTH, std::slice::from_ref(&own)).await;
            assert!(opened.is_err(), "{} bytes of {sealing:?}", changed.len());
        }
        let other = open(bytes.clone(), &sealing, LENGTH + 1, std::slice::from_ref(&own)).await;
        assert_eq!(other.err().unwrap().code, "OBJECT_DAMAGED", "another size in the catalog");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_identity_opens_nothing() {
    let (own, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let sealing = Sealing { compress: true, recipient: Some(own.recipient()) };
    let (bytes, _) = encode(&sealing, &plain(1000));
    assert!(open(bytes.clone(), &sealing, 1000, &[other.clone(), own]).await.is_ok());
    assert_eq!(open(bytes, &sealing, 1000, &[other]).await.err().unwrap().code, "IDENTITY_MISSING");
}

struct Full(usize);

impl ObjectWriter for Full {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.0 = self
            .0
            .checked_sub(bytes.len())
            .ok_or_else(|| Error::io("cannot write", &std::io::Error::from_raw_os_error(28)))?;
        Ok(())
    }

    fn seal(self: Box<Self>) -> Result<u64> {
        Ok(0)
    }
}

#[test]
fn a_full_store_stops_the_writer_with_its_own_error() {
    let sealing = Sealing { compress: false, recipient: Some(Identity::generate().unwrap().recipient()) };
    for room in [0, 1_000_000] {
        let mut writer = Codec::default().writer(Box::new(Full(room)), &sealing).unwrap();
        let failed = (0..20).find_map(|_| writer.write(&[7; 500_000]).err());
        assert_eq!(failed.unwrap().code, "DISK_FULL");
        assert!(writer.finish().is_err());
    }
}

fn program(name: &str, words: &[&str], input: Vec<u8>) -> Vec<u8> {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let mut child = Command::new(name)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}; tools/setup.sh redis installs it"));
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success(), "{name} failed");
    output.stdout
}

#[test]
fn the_stock_programs_read_what_is_written() {
    let own = Identity::generate().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("identity.txt");
    std::fs::write(&key, own.expose().expose()).unwrap();
    let whole = plain(LENGTH);
    for sealing in ways(&own) {
        let (mut bytes, _) = encode(&sealing, &whole);
        if sealing.recipient.is_some() {
            bytes = program("age", &["-d", "-i", key.to_str().unwrap()], bytes);
        }
        if sealing.compress {
            bytes = program("zstd", &["-d", "-c"], bytes);
        }
        assert!(bytes == whole, "{sealing:?}");
    }
    let sealed = program("age", &["-r", &own.recipient().to_string()], whole.clone());
    assert!(*age::open(&[own], &sealed).unwrap() == whole, "and the reverse");
}
