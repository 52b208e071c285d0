//! The contract on real S3 servers, and what stores do that they should not.

use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::model::{AccountId, BackupId, Encoding, Secret};
use crate::vault::contract;

#[path = "../../../examples/s3_server/server.rs"]
mod server;

/// An S3 server in this process, with one bucket.
struct Store {
    address: SocketAddr,
    folder: TempDir,
    _server: JoinSet<()>,
}

impl Store {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("backups")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, path) = (listener.local_addr().unwrap(), folder.path().to_owned());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            server::serve(listener, &path, "AKtests", "SKtestsecret").await.unwrap();
        });
        Self { address, folder, _server: tasks }
    }

    fn vault(&self, secret: &str) -> ObjectVault {
        vault(
            &format!("s3://backups/some/prefix?endpoint=http://{}", self.address),
            secret,
            self.folder.path(),
        )
    }
}

fn vault(url: &str, secret: &str, work_dir: &Path) -> ObjectVault {
    ObjectVault::open(StoreOptions {
        url: url.to_owned(),
        credentials: Credentials::Keys {
            id: "AKtests".to_owned(),
            secret: Secret::new(secret),
            session_token: None,
        },
        direct_links: true,
        public_endpoint: None,
        intranet_endpoint: Some("http://in.example:1".to_owned()),
        spool_bytes: 4 << 20,
        work_dir: work_dir.to_owned(),
    })
    .unwrap()
}

fn part() -> ObjectKey {
    let attempt = AttemptKey {
        account: AccountId::default(),
        instance: "crs-1".parse().unwrap(),
        backup: BackupId::mint(jiff::Timestamp::UNIX_EPOCH),
        attempt: 1,
    };
    ObjectKey::Part(attempt, 0, Encoding::PLAIN)
}

/// Files of the server that are no whole objects of ours.
fn leftovers(folder: &Path) -> Vec<String> {
    let names =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains("upload") || name.contains(".part")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let store = Store::start().await;
    contract::run(Arc::new(store.vault("SKtestsecret"))).await;
    for _ in 0..600 {
        if leftovers(store.folder.path()).is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("dropped uploads are not aborted: {:?}", leftovers(store.folder.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_a_missing_bucket_and_a_dead_store_are_told_apart() {
    let store = Store::start().await;
    let denied = store.vault("wrong").put(&part(), Bytes::from_static(b"x")).await.unwrap_err();
    assert_eq!(denied.code, "REPOSITORY_DENIED", "{denied}");
    let url = format!("s3://nowhere?endpoint=http://{}", store.address);
    let missing = vault(&url, "SKtestsecret", store.folder.path());
    assert_eq!(missing.free_bytes().await.unwrap_err().code, "REPOSITORY_MISSING");
    let dead = vault("s3://b?endpoint=http://127.0.0.1:1", "SKtestsecret", store.folder.path());
    for _ in 0..4 {
        let lost = dead.free_bytes().await.unwrap_err();
        assert!(lost.code == "REPOSITORY_UNREACHABLE" && lost.worth_retrying(), "{lost:?}");
    }
    let told = dead.free_bytes().await.unwrap_err();
    assert!(told.cause.as_ref().is_some_and(|cause| cause.contains("asked again soon")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_hangs_holds_up_nobody_who_asks_to_stop() {
    // It takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("s3://b?endpoint=http://{}", silent.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let vault = Arc::new(vault(&url, "SKtestsecret", folder.path()));
    let (cancel, mut writing) = (CancellationToken::new(), JoinSet::new());
    let (told, mut begun) = tokio::sync::mpsc::channel(2);
    for seals in [false, true] {
        let (vault, cancel, told) = (vault.clone(), cancel.clone(), told.clone());
        writing.spawn_blocking(move || {
            let mut writer = vault.create(&part()).unwrap();
            writer.stop_with(&cancel);
            if seals {
                writer.write(b"all of it").unwrap();
            }
            told.blocking_send(()).unwrap();
            if seals {
                return writer.seal().unwrap_err().code;
            }
            loop {
                // Until memory and spool are full.
                if let Err(error) = writer.write(&vec![7; 1024 * 1024]) {
                    return error.code;
                }
            }
        });
    }
    for _ in 0..2 {
        begun.recv().await.unwrap();
    }
    cancel.cancel();
    let limit = Duration::from_secs(15);
    assert_eq!(tokio::time::timeout(limit, writing.join_all()).await.unwrap(), ["CANCELLED"; 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_changes_under_its_reader_is_an_error() {
    let store = Store::start().await;
    let vault = store.vault("SKtestsecret");
    let key = part();
    vault.put(&key, Bytes::from(vec![1; 600_000])).await.unwrap();
    let reader = vault.open(&key).await.unwrap().unwrap();
    assert_eq!(reader.read_at(0, 10).await.unwrap(), [1; 10].as_slice());
    let name = path(&key);
    vault.0.small.write(&name, vec![2; 600_000]).await.unwrap();
    assert_eq!(reader.read_at(10, 10).await.unwrap_err().code, "OBJECT_CHANGED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_presigned_url_delivers_the_bytes_and_names_the_right_endpoint() {
    let store = Store::start().await;
    let vault = store.vault("SKtestsecret");
    let key = part();
    vault.put(&key, Bytes::from_static(b"bytes")).await.unwrap();
    let life = Duration::from_mins(1);
    let url = vault.presigned(&key, Network::Public, life, "a.rdb").await.unwrap().unwrap();
    assert!(url.starts_with(&format!("http://{}/backups/some/prefix/accounts/", store.address)), "{url}");
    assert!(url.contains("X-Amz-Signature=") && url.contains("X-Amz-Expires=60"), "{url}");
    let inside = vault.presigned(&key, Network::Intranet, life, "a.rdb").await.unwrap().unwrap();
    assert!(inside.starts_with("http://in.example:1/backups/"), "{inside}");
    assert!(vault.presigned(&key, Network::Public, LONGEST_PRESIGNED * 2, "a").await.unwrap().is_none());
}

/// rclone's S3 server on a folder with one bucket. It ignores conditions, and its tags of objects are its own.
struct Rclone {
    child: std::process::Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Rclone {
    async fn start() -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/py/bin/rclone");
        assert!(program.exists(), "{} is missing: tools/setup.sh sdk", program.display());
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("backups")).unwrap();
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = std::process::Command::new(program)
            .args(["serve", "s3", "--auth-key", "AKtests,SKtestsecret", "--addr", &address.to_string()])
            .arg(folder.path())
            .env("RCLONE_CONFIG", "/dev/null")
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let rclone = Self { child, address, folder };
        for _ in 0..6000 {
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return rclone;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("rclone does not listen");
    }
}

impl Drop for Rclone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_on_a_store_that_ignores_conditions() {
    let rclone = Rclone::start().await;
    let url = format!("s3://backups/some/prefix?endpoint=http://{}", rclone.address);
    contract::run(Arc::new(vault(&url, "SKtestsecret", rclone.folder.path()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_others_is_listed_and_read() {
    let store = Store::start().await;
    let root = store.folder.path().join("backups");
    for (name, bytes) in [
        ("dumps/2.rdb", &b"second"[..]),
        ("dumps/a/1.rdb", b"first"),
        ("dumps/notes.txt", b"x"),
        ("0.rdb", b"0"),
    ] {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let open = |place: &str, secret: &str| {
        let url = format!("s3://{place}?endpoint=http://{}", store.address);
        let credentials =
            Credentials::Keys { id: "AKtests".to_owned(), secret: Secret::new(secret), session_token: None };
        Bucket::open(&url, credentials, ".rdb")
    };
    let bucket = open("backups/dumps/", "SKtestsecret").unwrap();
    let files = bucket.files(".rdb").await.unwrap();
    let shown: Vec<_> = files.iter().map(|file| (bucket.url_of(file), file.size_bytes)).collect();
    let expected = [("s3://backups/dumps/2.rdb", 6), ("s3://backups/dumps/a/1.rdb", 5)];
    assert_eq!(shown, expected.map(|(url, size)| (url.to_owned(), size)));
    assert!(files.iter().all(|file| file.written_at.is_some()));
    let reader = bucket.read("a/1.rdb").await.unwrap();
    assert_eq!(reader.read_at(1, 100).await.unwrap(), "irst");

    let one = open("backups/dumps/a/1.rdb", "SKtestsecret").unwrap().files(".rdb").await.unwrap();
    assert_eq!((one.len(), one[0].name.as_str()), (1, "1.rdb"));
    let whole = open("backups", "SKtestsecret").unwrap().files(".rdb").await.unwrap();
    assert_eq!(
        whole.iter().map(|file| &file.name).collect::<Vec<_>>(),
        ["0.rdb", "dumps/2.rdb", "dumps/a/1.rdb"]
    );
    assert_eq!(bucket.read("absent").await.err().unwrap().code, "BUCKET_FILE_MISSING");
    assert_eq!(open("backups", "wrong").unwrap().files(".rdb").await.unwrap_err().code, "BUCKET_DENIED");
    assert_eq!(
        open("absent", "SKtestsecret").unwrap().files(".rdb").await.unwrap_err().code,
        "BUCKET_MISSING"
    );
    for wrong in ["", "b/../c"] {
        assert_eq!(open(wrong, "SKtestsecret").err().unwrap().code, "INVALID_VALUE", "{wrong}");
    }
}
