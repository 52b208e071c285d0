//! How things stand.

use super::*;

pub(super) async fn run(open: &impl AsyncFn() -> Arc<dyn Catalog>) {
    the_newest_good_backup_of_each_instance_is_told(&fixture(open).await).await;
}

async fn the_newest_good_backup_of_each_instance_is_told(catalog: &Fixture) {
    catalog.available(acme(), "crs-1", 1, 3).await;
    catalog.available(acme(), "crs-1", 5, 2).await;
    catalog.available(rival(), "crs-1", 6, 1).await;
    catalog.request(acme(), "crs-1", 7).await;
    catalog.request(rival(), "crs-1", 8).await;
    let all = catalog.vitals(None, None).await.unwrap();
    let told: Vec<_> = all
        .instances
        .iter()
        .map(|found| (found.account.as_str(), found.instance.as_str(), found.last_good))
        .collect();
    assert_eq!(
        told,
        [
            ("acme", "crs-1", Some((at(5), 200))),
            ("acme", "crs-2", None),
            ("rival", "crs-1", Some((at(6), 100))),
        ]
    );
    assert_eq!(all.instances[0].added_at, at(0));
    assert_eq!(all.jobs, [("take_backup".to_owned(), "queued".to_owned(), 2)]);
    catalog.claim(9).await.unwrap();
    let own = catalog.vitals(Some(&acme()), None).await.unwrap();
    assert_eq!((own.instances.len(), own.jobs.len()), (2, 1));
    assert_eq!(own.jobs[0], ("take_backup".to_owned(), "running".to_owned(), 1));
    let web = catalog.vitals(Some(&acme()), Some(&id("web"))).await.unwrap();
    assert_eq!((web.instances.len(), &web.jobs), (1, &own.jobs));
    catalog.request(acme(), "crs-2", 10).await;
    let web = catalog.vitals(Some(&acme()), Some(&id("web"))).await.unwrap();
    assert_eq!(web.jobs, own.jobs, "not what waits beyond the project");
    assert!(catalog.vitals(Some(&acme()), Some(&id("shop"))).await.unwrap().jobs.is_empty());
}
