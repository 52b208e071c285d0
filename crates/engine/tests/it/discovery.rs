//! Finding the servers of an instance, and looking how they are, with real ones.

use keystow_engine::model::Prefer;
use keystow_engine::model::Topology;
use keystow_engine::redis::{Address, Connection, Layout, Login, Timeouts, begin_snapshot, discover, look};
use keystow_engine::{Error, Result};
use tokio_util::sync::CancellationToken;

use crate::lab::{Server, fill_with_strings, free_port, until};

async fn blocking<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(act).await.unwrap()
}

async fn find(url: &str) -> Result<Layout> {
    let (address, credentials) = Address::parse(url)?;
    let login = Login { credentials, ..Login::default() };
    blocking(move || discover(&address, &login, Timeouts::default(), &CancellationToken::new())).await
}

async fn connect(server: &Server) -> Connection {
    let Ok(Address::Server(node)) = server.url().parse() else { panic!("{}", server.url()) };
    let open =
        move || Connection::open(&node, &Login::default(), Timeouts::default(), CancellationToken::new());
    blocking(open).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_address_is_the_server_that_it_names() {
    let primary = Server::start(&[]);
    let replica = Server::start(&["--replicaof", &format!("127.0.0.1 {}", primary.port)]);
    until("the replica's link", || {
        replica.connect().command(&["INFO"]).text().contains("master_link_status:up").then_some(())
    });
    for (server, is_primary) in [(&primary, true), (&replica, false)] {
        let layout = find(&server.url()).await.unwrap();
        assert!(layout.is_complete() && layout.topology == Topology::Standalone);
        let [shard] = &layout.shards[..] else { panic!("{layout:?}") };
        assert_eq!((shard.nodes.len(), shard.nodes[0].primary), (1, is_primary));
        assert_eq!(shard.candidates(Prefer::Replica)[0].node.to_string(), server.url());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_lost_its_primary_is_stale() {
    let replica = Server::start(&["--replicaof", &format!("127.0.0.1 {}", free_port())]);
    let refused: Error = find(&replica.url()).await.unwrap_err();
    assert_eq!(refused.code, "SOURCE_REPLICA_STALE");
    assert!(refused.worth_retrying());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_stands_for_its_whole_cluster() {
    let node = Server::start(&["--cluster-enabled", "yes"]);
    let nothing = find(&node.url()).await.unwrap();
    assert_eq!((nothing.topology, nothing.is_complete()), (Topology::Cluster, false));
    node.connect().run("CLUSTER ADDSLOTSRANGE 0 99 101 16383");
    let hole = find(&format!("redis-cluster://127.0.0.1:{}", node.port)).await.unwrap();
    assert_eq!(hole.uncovered.to_string(), "100");
    node.connect().run("CLUSTER ADDSLOTSRANGE 100 100");
    until("the cluster to be well", || {
        node.connect().command(&["CLUSTER", "INFO"]).text().contains("cluster_state:ok").then_some(())
    });
    let whole = find(&node.url()).await.unwrap();
    assert!(whole.is_complete(), "{whole:?}");
    assert!(whole.same_owners(&find(&node.url()).await.unwrap()));
    // Not allowed to look, it is a node of a cluster all the same.
    node.connect().run("ACL SETUSER keystow on >word +psync +replconf +ping +cluster");
    let blind = find(&format!("redis://keystow:word@127.0.0.1:{}", node.port)).await.unwrap();
    assert_eq!((blind.topology, blind.shards.len()), (Topology::Cluster, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_another_kind_of_server_are_told_apart() {
    let server = Server::start(&[]);
    let code = async |url: String| find(&url).await.unwrap_err().code;
    assert_eq!(code(format!("redis-cluster://127.0.0.1:{}", server.port)).await, "SOURCE_NOT_CLUSTER");
    assert_eq!(code(format!("redis-sentinel://127.0.0.1:{}/x", server.port)).await, "SOURCE_NOT_SENTINEL");
    let (one, two) = (free_port(), free_port());
    let gone = find(&format!("redis-sentinel://127.0.0.1:{one},127.0.0.1:{two}/x")).await.unwrap_err();
    assert_eq!(gone.code, "SENTINEL_UNREACHABLE");
    let told = gone.to_string();
    assert!(told.contains(&one.to_string()) && told.contains(&two.to_string()), "{told}");
    assert_eq!(code(format!("redis-cluster://127.0.0.1:{one}")).await, "CLUSTER_UNREACHABLE");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_for_a_snapshot_can_be_put_back_once_it_has_begun() {
    let server = Server::start(&["--rdbcompression", "no", "--repl-diskless-sync", "no"]);
    fill_with_strings(&server, 1000, 100);
    let mut connection = connect(&server).await;
    let seen = blocking(move || look(&mut connection)).await.unwrap();
    assert_eq!(
        (seen.rdb_compression, seen.diskless_sync, seen.replicas),
        (Some(false), Some(false), Some(0))
    );
    assert_eq!((seen.advice(), seen.knows_rdb_only()), (Vec::new(), Some(true)));

    let connection = connect(&server).await;
    let started = blocking(move || begin_snapshot(connection)).await.unwrap();
    assert!(started.rdb_only);
    server.connect().run("SET later x");
    let read = blocking(move || {
        let mut snapshot = started.payload()?.limit(Some(10_000_000));
        let (mut all, mut buffer) = (Vec::new(), vec![0; 65_536]);
        loop {
            match snapshot.read(&mut buffer)? {
                0 => return Ok::<_, Error>(all),
                read => all.extend_from_slice(&buffer[..read]),
            }
        }
    });
    let file = read.await.unwrap();
    let report = keystow_rdb::verify(&file[..], keystow_rdb::Limits::default()).unwrap();
    assert_eq!(report.keys, 1000, "the moment of the snapshot was before the change");
    until("nothing to be left connected", || {
        server.connect().command(&["INFO"]).text().contains("connected_slaves:0").then_some(())
    });
}
