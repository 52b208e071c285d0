//! Downloads from a small server that misbehaves on request.

use std::convert::Infallible;
use std::io;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;

type Reply = Response<BoxBody<Bytes, io::Error>>;

const OUTPUT: Output = Output { json: false, quiet: true };
const EXPIRED: &str = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";

/// A file and how badly it is served.
struct Shop {
    bytes: Mutex<(Bytes, &'static str)>,
    ranges: bool,
    digest: bool,
    head: bool,
    expired: AtomicBool,
    /// Replies to cut in the middle.
    cuts: AtomicU64,
    /// Requests to answer with 503.
    refusals: AtomicU64,
    /// Bytes promised so far.
    sent: AtomicU64,
}

impl Shop {
    fn with(bytes: Bytes) -> Self {
        Self {
            bytes: Mutex::new((bytes, "\"one\"")),
            ranges: true,
            digest: true,
            head: true,
            expired: AtomicBool::new(false),
            cuts: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
            sent: AtomicU64::new(0),
        }
    }

    fn serve(&self, request: &Request<Incoming>) -> Reply {
        if self.expired.load(SeqCst) || (!self.head && request.method() == Method::HEAD) {
            return plain(StatusCode::FORBIDDEN, EXPIRED);
        }
        if request.method() == Method::GET && take_one(&self.refusals) {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "");
        }
        let (bytes, etag) = self.bytes.lock().unwrap().clone();
        let mut reply = Response::builder().header(header::ETAG, etag);
        if self.ranges {
            reply = reply.header(header::ACCEPT_RANGES, "bytes");
        }
        if self.digest {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
            let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, digest);
            reply = reply.header("repr-digest", format!("sha-256=:{encoded}:"));
        }
        let range =
            range_of(request.headers(), etag).filter(|_| self.ranges && request.method() == Method::GET);
        let (start, end) = range.unwrap_or((0, bytes.len()));
        if range.is_some() {
            let given = format!("bytes {start}-{}/{}", end - 1, bytes.len());
            reply = reply.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, given);
        }
        let body = if request.method() == Method::HEAD { Bytes::new() } else { bytes.slice(start..end) };
        self.sent.fetch_add(body.len() as u64, SeqCst);
        let cut = body.len() > 1000 && take_one(&self.cuts);
        reply.header(header::CONTENT_LENGTH, end - start).body(chunks(&body, cut)).unwrap()
    }
}

fn take_one(counter: &AtomicU64) -> bool {
    counter.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
}

fn range_of(headers: &HeaderMap, etag: &str) -> Option<(usize, usize)> {
    if headers.get(header::IF_RANGE).is_some_and(|asked| asked != etag) {
        return None;
    }
    let (first, last) = headers.get(header::RANGE)?.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse::<usize>().ok()? + 1))
}

fn chunks(body: &Bytes, cut: bool) -> BoxBody<Bytes, io::Error> {
    if cut {
        let half = Ok(Frame::data(body.slice(..body.len() / 2)));
        return BodyExt::boxed(StreamBody::new(stream::iter([half, Err(io::Error::other("cut"))])));
    }
    Full::new(body.clone()).map_err(|never| match never {}).boxed()
}

fn plain(status: StatusCode, text: &'static str) -> Reply {
    Response::builder().status(status).body(chunks(&Bytes::from_static(text.as_bytes()), false)).unwrap()
}

/// A shop that is open, and a folder to download to.
struct World {
    shop: Arc<Shop>,
    url: String,
    folder: tempfile::TempDir,
    _tasks: JoinSet<()>,
}

impl World {
    async fn new(shop: Shop) -> Self {
        let shop = Arc::new(shop);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/d/dump.rdb?Signature=secret", listener.local_addr().unwrap());
        let served = shop.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let shop = served.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let reply = shop.serve(&request);
                    async move { Ok::<_, Infallible>(reply) }
                });
                connections.spawn(async move {
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { shop, url, folder: tempfile::tempdir().unwrap(), _tasks: tasks }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("dump.rdb")
    }

    async fn fetch(&self) -> Result<Fetched, Failure> {
        self.fetch_known(None).await
    }

    async fn fetch_known(&self, known: Option<(String, u64, String)>) -> Result<Fetched, Failure> {
        let link = Linked { url: self.url.clone(), known };
        let remote = Arc::new(Remote::new(&link.url)?);
        let facts = ask(&remote, &link).await?;
        fetch_one(remote, facts, &link, Target::new(self.path(), false)?, 4, OUTPUT).await
    }

    /// Nothing but the file itself is left, and it is what the shop sells.
    fn assert_delivered(&self) {
        let bytes = self.shop.bytes.lock().unwrap().0.clone();
        assert!(std::fs::read(self.path()).unwrap() == bytes, "the file differs");
        assert_eq!(std::fs::read_dir(self.folder.path()).unwrap().count(), 1, "something is left over");
    }
}

/// Bytes that differ from piece to piece.
fn goods(length: usize, seed: usize) -> Bytes {
    (0..length).map(|at| u8::try_from((at / 251 + at * 7 + seed) % 256).unwrap()).collect::<Vec<_>>().into()
}

const LARGE: usize = 40 << 20;

#[tokio::test]
async fn a_file_comes_in_pieces_and_is_checked() {
    let world = World::new(Shop::with(goods(LARGE, 0))).await;
    let fetched = world.fetch().await.unwrap();
    assert!(fetched.checked);
    assert_eq!((fetched.size_bytes, fetched.resumed_bytes), (LARGE as u64, 0));
    assert_eq!(world.shop.sent.load(SeqCst), LARGE as u64, "a limited link must not be burnt by a probe");
    world.assert_delivered();
}

#[tokio::test]
async fn cut_connections_and_busy_servers_are_endured() {
    let shop = Shop::with(goods(LARGE, 0));
    shop.cuts.store(3, SeqCst);
    shop.refusals.store(2, SeqCst);
    let world = World::new(shop).await;
    world.fetch().await.unwrap();
    world.assert_delivered();
}

#[tokio::test]
async fn a_link_that_expires_keeps_what_has_arrived_for_the_next_one() {
    let shop = Shop::with(goods(LARGE, 0));
    let world = World::new(shop).await;
    let state = Target::new(world.path(), false).unwrap().state();
    std::fs::write(world.path().with_extension("rdb.part"), vec![0; LARGE]).unwrap();
    // An earlier run has brought the first piece.
    let file = std::fs::OpenOptions::new().write(true).open(world.path().with_extension("rdb.part")).unwrap();
    let first = world.shop.bytes.lock().unwrap().0.slice(..16 << 20);
    std::os::unix::fs::FileExt::write_all_at(&file, &first, 0).unwrap();
    let ledger = state::Ledger::new(state, state::PartState::fresh(LARGE as u64, Some("\"one\"".into())));
    ledger.add(0, 16 << 20);
    ledger.save_now().unwrap();

    world.shop.expired.store(true, SeqCst);
    let failure = world.fetch().await.unwrap_err();
    assert_eq!((failure.exit, failure.code.as_str()), (Exit::Auth, "LINK_EXPIRED"));
    assert!(!format!("{failure:?}").contains("secret"));

    world.shop.expired.store(false, SeqCst);
    let fetched = world.fetch().await.unwrap();
    assert_eq!(fetched.resumed_bytes, 16 << 20);
    assert_eq!(world.shop.sent.load(SeqCst), (LARGE - (16 << 20)) as u64);
    world.assert_delivered();
}

#[tokio::test]
async fn a_file_that_changed_is_begun_anew() {
    let world = World::new(Shop::with(goods(LARGE, 0))).await;
    let link = Linked { url: world.url.clone(), known: None };
    let remote = Arc::new(Remote::new(&world.url).unwrap());
    let facts = ask(&remote, &link).await.unwrap();
    *world.shop.bytes.lock().unwrap() = (goods(LARGE - 5000, 9), "\"two\"");
    let target = Target::new(world.path(), false).unwrap();
    let fetched = fetch_one(remote, facts, &link, target, 4, OUTPUT).await.unwrap();
    assert_eq!(fetched.size_bytes, LARGE as u64 - 5000);
    world.assert_delivered();
}

#[tokio::test]
async fn servers_without_ranges_heads_or_digests_will_do() {
    for (ranges, digest, head) in [(false, false, false), (false, true, true), (true, false, false)] {
        let shop = Shop { ranges, digest, head, ..Shop::with(goods(300_000, 1)) };
        shop.cuts.store(1, SeqCst);
        let world = World::new(shop).await;
        let fetched = world.fetch().await.unwrap();
        assert_eq!(fetched.checked, digest);
        world.assert_delivered();
    }
}

#[tokio::test]
async fn an_empty_file_is_a_file() {
    let world = World::new(Shop::with(Bytes::new())).await;
    assert_eq!(world.fetch().await.unwrap().size_bytes, 0);
    world.assert_delivered();
}

#[tokio::test]
async fn a_file_that_is_there_is_not_replaced() {
    let world = World::new(Shop::with(goods(5000, 0))).await;
    std::fs::write(world.path(), "mine").unwrap();
    assert_eq!(world.fetch().await.unwrap_err().exit, Exit::Conflict);
    assert_eq!(std::fs::read(world.path()).unwrap(), b"mine");
}

#[tokio::test]
async fn wrong_bytes_never_get_the_name() {
    let world = World::new(Shop { digest: false, ..Shop::with(goods(5000, 0)) }).await;
    let known = Some(("dump.rdb".to_owned(), 5000, "0".repeat(64)));
    let failure = world.fetch_known(known).await.unwrap_err();
    assert_eq!((failure.exit, failure.code.as_str()), (Exit::Integrity, "CHECKSUM_MISMATCH"));
    assert_eq!(std::fs::read_dir(world.folder.path()).unwrap().count(), 0);
    let known = Some(("dump.rdb".to_owned(), 4999, "0".repeat(64)));
    assert_eq!(world.fetch_known(known).await.unwrap_err().code, "LINK_MISMATCH");
}

#[test]
fn several_parts_need_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(choose(None, "a.rdb", 2).unwrap(), PathBuf::from("a.rdb"));
    assert_eq!(choose(Some(folder.path()), "a.rdb", 1).unwrap(), folder.path().join("a.rdb"));
    let fresh = folder.path().join("new");
    assert_eq!(choose(Some(&fresh), "a.rdb", 1).unwrap(), fresh);
    assert_eq!(choose(Some(&fresh), "a.rdb", 2).unwrap(), fresh.join("a.rdb"));
}
