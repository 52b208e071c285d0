//! Instances.

use super::*;
use crate::model::{
    CaptureMethod, InstanceFilter, InstanceOrder, NodeFacts, Page, Place, ServerFacts, Slots, Topology,
};

pub(super) async fn run(open: &impl AsyncFn() -> Arc<dyn Catalog>) {
    an_instance_reads_back_in_its_account_only(&fixture(open).await).await;
    how_an_instance_is_reached_can_be_set(&fixture(open).await).await;
    an_instance_needs_its_account_and_project(&fixture(open).await).await;
    instances_are_found_by_every_filter(&fixture(open).await).await;
    an_instance_stays_while_a_backup_is_under_way(&fixture(open).await).await;
}

async fn an_instance_reads_back_in_its_account_only(catalog: &Fixture) {
    let crs1: InstanceId = id("crs-1");
    let read = catalog.instance(&acme(), &crs1).await.unwrap().unwrap();
    assert_eq!((read.project, read.region.as_deref()), (Some(id("web")), Some("north")));
    assert_eq!((read.username.as_deref(), read.sealed_password), (Some("backup"), Some(vec![0, 255, 7])));
    assert!(is_conflict(&catalog.add_instance(&instance(acme(), "crs-1")).await.unwrap_err()));
    assert!(catalog.instance(&rival(), &id("crs-2")).await.unwrap().is_none());

    let facts = ServerFacts {
        valkey: true,
        version: "9.1.2".to_owned(),
        role: "master".to_owned(),
        used_bytes: 5,
        max_bytes: 0,
        replicas: 2,
        topology: Topology::Standalone,
        shards: 1,
        nodes: vec![NodeFacts {
            shard: 0,
            url: "redis://h:1".to_owned(),
            primary: true,
            healthy: true,
            slots: Slots::default(),
        }],
    };
    catalog.record_contact(&acme(), &crs1, &facts).await.unwrap();
    assert_eq!(catalog.instance(&acme(), &crs1).await.unwrap().unwrap().facts, Some(facts));
    assert_eq!(catalog.instance(&rival(), &crs1).await.unwrap().unwrap().facts, None);
}

async fn how_an_instance_is_reached_can_be_set(catalog: &Fixture) {
    let before = catalog.instance(&acme(), &id("crs-1")).await.unwrap().unwrap();
    assert_eq!(before.capture, CaptureOptions::default());
    let capture = CaptureOptions { method: CaptureMethod::Logical, parallel: 9, ..CaptureOptions::default() };
    let after = Instance {
        url: "rediss://other:1".to_owned(),
        username: None,
        sealed_password: Some(vec![1]),
        sealed_login: Some(vec![2]),
        capture: capture.clone(),
        name: "not written".to_owned(),
        ..before.clone()
    };
    catalog.set_instance(&after).await.unwrap();
    let read = catalog.instance(&acme(), &id("crs-1")).await.unwrap().unwrap();
    assert_eq!(
        (read.url.as_str(), read.username, read.sealed_password),
        ("rediss://other:1", None, Some(vec![1]))
    );
    assert_eq!((read.sealed_login, read.capture, read.name), (Some(vec![2]), capture, before.name));
    let other = catalog.instance(&rival(), &id("crs-1")).await.unwrap().unwrap();
    assert_eq!(other.url, before.url, "the other account's is another one");
    assert!(is_missing(&catalog.set_instance(&instance(acme(), "crs-9")).await.unwrap_err()));
}

async fn an_instance_needs_its_account_and_project(catalog: &Fixture) {
    assert!(is_missing(&catalog.add_instance(&instance(id("nobody"), "crs-9")).await.unwrap_err()));
    let foreign = Instance { project: Some(id("web")), ..instance(rival(), "crs-9") };
    assert!(is_missing(&catalog.add_instance(&foreign).await.unwrap_err()));
}

async fn instances_are_found_by_every_filter(catalog: &Fixture) {
    catalog
        .add_instance(&Instance { region: Some("south".to_owned()), ..instance(acme(), "crs-3") })
        .await
        .unwrap();
    let found = async |filter: InstanceFilter| {
        let listed = catalog.instances(&acme(), &filter).await.unwrap();
        let ids: Vec<String> = listed.rows.iter().map(|instance| instance.id.to_string()).collect();
        (listed.total, ids.join(" "))
    };
    let all = InstanceFilter::default;
    assert_eq!(found(all()).await, (3, "crs-1 crs-2 crs-3".to_owned()));
    let ids = vec!["crs-3".to_owned(), "crs-1".to_owned(), "nope".to_owned()];
    assert_eq!(found(InstanceFilter { ids, ..all() }).await, (2, "crs-1 crs-3".to_owned()));
    let search = |text: &str| InstanceFilter { search: Some(text.to_owned()), ..all() };
    assert_eq!(found(search("rs-2")).await, (1, "crs-2".to_owned()), "by id");
    assert_eq!(found(search("name of crs-3")).await, (1, "crs-3".to_owned()), "by name");
    assert_eq!(found(search("crs_1")).await.0, 0, "no wildcards");
    assert_eq!(found(search("%")).await.0, 0, "no wildcards");
    assert_eq!(found(search("' OR 1=1 --")).await.0, 0);
    let any_of = |texts: &[&str]| InstanceFilter {
        any_of: texts.iter().map(|&text| text.to_owned()).collect(),
        ..all()
    };
    assert_eq!(found(any_of(&["crs-2", "name of crs-3", "rs-1"])).await.1, "crs-1 crs-2 crs-3");
    let moved = catalog.instance(&acme(), &id("crs-1")).await.unwrap().unwrap();
    let moved = Instance { url: "redis://far.example:6379".to_owned(), ..moved };
    catalog.set_instance(&moved).await.unwrap();
    assert_eq!(found(any_of(&["far.example"])).await.1, "crs-1", "by host");
    assert_eq!(found(any_of(&["far.exam", "ar.example", "%"])).await.0, 0, "the whole host");
    let ordered = |order, descending| InstanceFilter { order, descending, ..all() };
    assert_eq!(found(ordered(InstanceOrder::Id, true)).await.1, "crs-3 crs-2 crs-1");
    assert_eq!(found(ordered(InstanceOrder::Name, true)).await.1, "crs-3 crs-2 crs-1");
    assert_eq!(found(ordered(InstanceOrder::Project, true)).await.1, "crs-1 crs-3 crs-2", "one has one");
    assert_eq!(found(ordered(InstanceOrder::Created, false)).await.1, "crs-1 crs-2 crs-3");
    assert_eq!(found(ordered(InstanceOrder::Topology, true)).await.0, 3);
    let regions = |names: &[&str]| {
        let regions = names.iter().map(|&n| n.to_owned()).collect();
        InstanceFilter { place: Place { regions, ..Place::default() }, ..all() }
    };
    assert_eq!(found(regions(&["north"])).await, (2, "crs-1 crs-2".to_owned()), "no region is every region");
    assert_eq!(found(regions(&["north", "south"])).await.0, 3);
    assert_eq!(found(InstanceFilter { project: Some(id("web")), ..all() }).await, (1, "crs-1".to_owned()));
    let page = InstanceFilter { page: Page { offset: 1, limit: 1 }, ..all() };
    assert_eq!(found(page).await, (3, "crs-2".to_owned()));
    let beyond = InstanceFilter { page: Page { offset: u64::MAX, limit: u64::MAX }, ..all() };
    assert_eq!(found(beyond).await, (3, String::new()));
}

async fn an_instance_stays_while_a_backup_is_under_way(catalog: &Fixture) {
    let crs1: InstanceId = id("crs-1");
    let asked = catalog.request(acme(), "crs-1", 0).await;
    assert!(is_conflict(&catalog.delete_instance(&acme(), &crs1).await.unwrap_err()));
    catalog.delete_instance(&rival(), &crs1).await.unwrap();
    assert!(catalog.instance(&acme(), &crs1).await.unwrap().is_some(), "the other account's is another one");
    catalog.claim(1).await.unwrap();
    assert!(is_conflict(&catalog.delete_instance(&acme(), &crs1).await.unwrap_err()));
    catalog.cancel_job(&acme(), asked.job, at(2)).await.unwrap();
    let job = catalog.job(&acme(), asked.job).await.unwrap().unwrap();
    catalog.fail_attempt(&job.lease(), &crate::catalog::AttemptOutcome::Cancelled, at(3)).await.unwrap();
    catalog.delete_instance(&acme(), &crs1).await.unwrap();
    assert!(is_missing(&catalog.delete_instance(&acme(), &crs1).await.unwrap_err()));
    assert_eq!(catalog.row(&acme(), asked.id).await.instance, crs1, "its backups stay");
}
