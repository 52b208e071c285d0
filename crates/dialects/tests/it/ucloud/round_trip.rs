//! What the client's half writes the server's half reads, and the other way round, as far as the
//! vendor's format goes.

use keystow_dialects::{
    AddressLimit, BackupRow, Call, CopyEnd, CreateBackup, Dialect, Endpoint, Fault, InstanceRow, LinkBackup,
    LinkRow, ListBackups, ListInstances, Page, Place, ReadError, Reply, Response, Topology, ucloud::Ucloud,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::shared::{
    self, NOW, REQUEST_ID, answer, ask, at, backup, create_backup, credentials, endpoint, instance, second,
    token, word,
};

fn place() -> impl Strategy<Value = Place> {
    let zone = || option::of("zone[a-z]{1,6}");
    ("[a-z0-9-]{1,12}", zone(), option::of("other[a-z]{1,6}"), any::<bool>(), option::of(word())).prop_map(
        |(region, zone, replica_zone, spans_zones, project)| Place {
            region: Some(region),
            zone,
            replica_zone,
            spans_zones,
            project,
        },
    )
}

/// An instance of either edition; the distributed one's calls name a zone.
fn of_either() -> impl Strategy<Value = (String, Place)> {
    (any::<bool>(), "[a-z0-9]{1,9}", place()).prop_map(|(space, id, place)| {
        if space {
            let zone = place.zone.or(Some("cn-bj2-04".to_owned()));
            (format!("umem-{id}"), Place { zone, ..place })
        } else {
            (format!("uredis-{id}"), place)
        }
    })
}

fn page() -> impl Strategy<Value = Page> {
    (0_u64..10_000, 1_u64..=100).prop_map(|(offset, limit)| Page { offset, limit })
}

fn call() -> impl Strategy<Value = Call> {
    let topologies = prop::sample::select(vec![
        vec![],
        vec![Topology::Cluster],
        vec![Topology::Standalone, Topology::Sentinel],
    ]);
    let instances = (place(), option::of(word()), topologies, page());
    let instances = instances.prop_map(|(place, id, topologies, page)| {
        let ids = id.into_iter().collect();
        Call::ListInstances(ListInstances { place, ids, topologies, page, ..ListInstances::default() })
    });
    let copies = prop::sample::select(vec![None, Some(CopyEnd::Source), Some(CopyEnd::Target)]);
    let backups = (of_either(), any::<bool>(), option::of(word()), copies, page());
    let backups = backups.prop_map(|((instance, place), all, backup, copies, page)| {
        let list = ListBackups { place, page, ..ListBackups::default() };
        Call::ListBackups(if instance.starts_with("umem-") {
            ListBackups { instance: Some(instance), ..list }
        } else {
            ListBackups { instance: (!all).then_some(instance), backup, copies, ..list }
        })
    });
    let create = (of_either(), "[A-Za-z0-9_-]{6,63}").prop_map(|((instance, place), name)| {
        Call::CreateBackup(CreateBackup { place, instance, name: Some(name), ..CreateBackup::default() })
    });
    let link = (of_either(), any::<bool>(), word(), option::of(word()), any::<bool>());
    let link = link.prop_map(|((instance, place), named, backup, shard, other_region)| {
        Call::LinkBackup(if instance.starts_with("umem-") {
            LinkBackup { shard, ..LinkBackup::new(place, Some(instance), backup) }
        } else {
            LinkBackup { other_region, ..LinkBackup::new(place, named.then_some(instance), backup) }
        })
    });
    prop_oneof![instances, backups, create, link]
}

fn list_of(instance: &str) -> Call {
    let place = Place { zone: Some("z".to_owned()), ..Place::in_region(Some("r".to_owned())) };
    let page = Page { offset: 0, limit: 10 };
    Call::ListBackups(ListBackups {
        place,
        instance: Some(instance.to_owned()),
        page,
        ..ListBackups::default()
    })
}

fn link_of(instance: &str) -> Call {
    let place = Place { zone: Some("z".to_owned()), ..Place::in_region(Some("r".to_owned())) };
    Call::LinkBackup(LinkBackup::new(place, Some(instance.to_owned()), "b-1".to_owned()))
}

fn list_instances() -> Call {
    let (place, page) = (Place::in_region(Some("r".to_owned())), Page { offset: 0, limit: 20 });
    Call::ListInstances(ListInstances { place, page, ..ListInstances::default() })
}

/// A backup with what both editions tell.
fn told() -> impl Strategy<Value = BackupRow> {
    (backup(), word(), word(), second(), any::<u8>()).prop_map(|(row, id, name, started_at, memory)| {
        BackupRow {
            id,
            name,
            instance: row.instance,
            state: row.state,
            automated: row.automated,
            shards: 1,
            memory_bytes: u64::from(memory) << 30,
            started_at,
            ..BackupRow::default()
        }
    })
}

proptest! {
    #[test]
    fn it_reads_what_it_asks(call in call(), token in token()) {
        prop_assert_eq!(ask(&Ucloud, &call, token), call);
    }

    #[test]
    fn backups_of_groups_come_back(rows in vec((told(), word(), word(), 0_u64..1 << 50), 0..4), total in 1_u64..1 << 31) {
        let rows = rows.into_iter().map(|(row, instance_name, zone, size_bytes)| BackupRow {
            instance_name,
            region: "cn-bj2".to_owned(),
            zone,
            version: "7.0".to_owned(),
            size_bytes,
            ..row
        });
        let reply = Reply::Backups { total, full_bytes: 0, rows: rows.collect() };
        prop_assert_eq!(answer(&Ucloud, &list_of("uredis-1"), &Ok(reply.clone())), Ok(reply));
    }

    #[test]
    fn backups_of_spaces_come_back(rows in vec((told(), 1_u32..100), 0..4), total in 1_u64..1 << 31) {
        let rows = rows.into_iter().map(|(row, shards)| BackupRow {
            topology: Topology::Cluster,
            shards,
            memory_bytes: row.memory_bytes * u64::from(shards),
            ..row
        });
        let reply = Reply::Backups { total, full_bytes: 0, rows: rows.collect() };
        prop_assert_eq!(answer(&Ucloud, &list_of("umem-1"), &Ok(reply.clone())), Ok(reply));
    }

    #[test]
    fn instances_come_back(rows in vec(instance(), 0..4), total in 0_u64..1 << 31) {
        let rows = rows.into_iter().map(|row| InstanceRow {
            region: String::new(),
            project: String::new(),
            valkey: false,
            busy: false,
            shards: u32::from(row.topology != Topology::Cluster),
            replicas: row.replicas.min(1),
            memory_bytes: (row.memory_bytes >> 30) << 30,
            ..row
        });
        let reply = Reply::Instances { total, rows: rows.collect() };
        prop_assert_eq!(answer(&Ucloud, &list_instances(), &Ok(reply.clone())), Ok(reply));
    }

    #[test]
    fn links_come_back(links in vec(shared::link(), 1..4), backup in word()) {
        let shown = |link: &LinkRow| LinkRow {
            public_url: link.public_url.clone(),
            intranet_url: link.intranet_url.clone(),
            ..LinkRow::default()
        };
        let one = Reply::Links(vec![shown(&links[0])]);
        prop_assert_eq!(answer(&Ucloud, &link_of("uredis-1"), &Ok(one.clone())), Ok(one));
        let public = links.iter().map(|link| LinkRow {
            public_url: link.public_url.clone().or(link.intranet_url.clone()),
            ..LinkRow::default()
        });
        let all = answer(&Ucloud, &link_of("umem-1"), &Ok(Reply::Links(links.clone())));
        prop_assert_eq!(all, Ok(Reply::Links(public.collect())));
        let started = Reply::Started { job: 0, backup };
        let create = Call::CreateBackup(CreateBackup {
            place: Place::in_region(Some("r".to_owned())),
            instance: "uredis-1".to_owned(),
            name: Some("nightly".to_owned()),
            ..CreateBackup::default()
        });
        prop_assert_eq!(answer(&Ucloud, &create, &Ok(started.clone())), Ok(started));
    }
}

#[test]
fn a_refusal_comes_back_with_the_vendors_code() {
    let refused = answer(&Ucloud, &list_of("uredis-1"), &Err(Fault::UnknownKey)).unwrap_err();
    let ReadError::Refused { status, code, request_id, message } = refused else { panic!() };
    assert_eq!((status, code.as_str(), message.as_str()), (200, "172", "User Not Exists"));
    assert_eq!(request_id.as_deref(), Some(REQUEST_ID));
}

#[test]
fn what_the_vendor_cannot_ask_is_refused() {
    let asked = |call: &Call, region: &str| {
        let endpoint = Endpoint { region: region.to_owned(), ..endpoint() };
        Ucloud.ask(call, &endpoint, &credentials(None), at(NOW), "n")
    };
    assert!(matches!(asked(&Call::ListRegions, "r"), Err(Fault::NotSupported(_))));
    let Call::ListBackups(list) = list_of("uredis-1") else { panic!() };
    let by_job = Call::ListBackups(ListBackups { job: Some(1), ..list.clone() });
    assert!(matches!(asked(&by_job, "r"), Err(Fault::BadParameter { .. })));
    let nowhere = Call::ListBackups(ListBackups { place: Place::default(), ..list });
    assert_eq!(asked(&nowhere, "").unwrap_err(), Fault::MissingParameter("Region".to_owned()));
    assert!(asked(&nowhere, "r").is_ok());
    let unnamed = asked(&create_backup(), "r");
    assert_eq!(unnamed.unwrap_err(), Fault::MissingParameter("BackupName".to_owned()));
    let Call::LinkBackup(link) = link_of("umem-1") else { panic!() };
    let limited = Call::LinkBackup(LinkBackup { limit: AddressLimit::None, ..link.clone() });
    assert!(matches!(asked(&limited, "r"), Err(Fault::BadParameter { .. })));
    let zoneless = Call::LinkBackup(LinkBackup { place: Place::default(), ..link });
    assert_eq!(asked(&zoneless, "r").unwrap_err(), Fault::MissingParameter("Zone".to_owned()));
    let bad = Endpoint { authority: "not a host".to_owned(), region: "r".to_owned(), ..endpoint() };
    let asked = Ucloud.ask(&list_instances(), &bad, &credentials(None), at(NOW), "n");
    assert!(matches!(asked, Err(Fault::BadParameter { .. })));
}

#[test]
fn real_answers_of_other_servers_are_read() {
    let response = |body: &str| Response::new(body.to_owned().into());
    let links = |body: &str| match Ucloud.read(&link_of("uredis-1"), &response(body)) {
        Ok(Reply::Links(rows)) => rows,
        other => panic!("{other:?}"),
    };
    // The page of the action shows a line feed at the end, an escaped & and a code as text.
    let rows = links(r#"{"RetCode":"0","Action":"x","BackupURL":"http://h/f?a=1\u0026b=x+y\n"}"#);
    assert_eq!(rows[0].public_url.as_deref(), Some("http://h/f?a=1&b=x+y"));
    let rows = links(r#"{"RetCode":0,"BackupPath":["http://1","http://2"],"BackupURL":"http://3"}"#);
    assert_eq!(rows.len(), 2);
    let refused = Ucloud
        .read(&list_instances(), &response(r#"{"RetCode":"171","Message":"Signature VerifyAC Error"}"#));
    assert!(matches!(refused, Err(ReadError::Refused { code, .. }) if code == "171"));
    for broken in ["<html>", "{}", r#"{"RetCode":0}"#, r#"{"RetCode":true}"#] {
        let read = Ucloud.read(&link_of("uredis-1"), &response(broken));
        assert!(matches!(read, Err(ReadError::Malformed(_))), "{broken}");
    }
    let old = r#"{"RetCode":0,"TotalCount":1,"DataSet":[{"BackupId":"b","BackupType":1,"State":"Expired","Zone":null}]}"#;
    let Ok(Reply::Backups { rows, .. }) = Ucloud.read(&list_of("uredis-1"), &response(old)) else { panic!() };
    assert_eq!(rows[0].id, "b");
}
