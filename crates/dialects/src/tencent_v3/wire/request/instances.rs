//! Instances, their shards and nodes.

use super::super::parameters::{Parameters, bad};
use super::{Members, ONLY_ONE_FILTER, page, put, put_page};
use crate::vocabulary::{Call, Fault, ListInstances, ListShards, Place};

const MAX_INSTANCES: u64 = 1000;
/// Parameters of `DescribeInstances` that only put the list in order; the order here is fixed.
const ORDER: [&str; 2] = ["OrderBy", "OrderType"];
/// Its filters that the server cannot apply; to ignore one would show too much.
const OTHER_FILTERS: [&str; 20] = [
    "AutoRenew",
    "AzMode",
    "BillingMode",
    "EngineName",
    "InstanceTags",
    "MonitorVersion",
    "ProductVersions",
    "ProjectIds",
    "RegionIds",
    "Status",
    "SubnetIds",
    "TagKeys",
    "TagList",
    "Type",
    "TypeList",
    "TypeVersion",
    "UniqSubnetIds",
    "UniqVpcIds",
    "VpcIds",
    "ZoneIds",
];

/// `DescribeInstances`.
pub(super) fn list(parameters: &Parameters, place: Place) -> Result<Call, Fault> {
    let own = ["Limit", "Offset", "InstanceId", "InstanceIds", "InstanceName", "SearchKey", "SearchKeys"];
    parameters.only(&[&own[..], &ORDER, &OTHER_FILTERS].concat())?;
    if let Some(filter) = OTHER_FILTERS.iter().find(|name| parameters.is_set(name)) {
        return Err(bad(filter, "is not supported as a filter"));
    }
    let mut ids = parameters.texts("InstanceIds")?;
    if let Some(id) = parameters.text("InstanceId")? {
        if !ids.is_empty() && !ids.iter().any(|other| other == id) {
            return Err(bad("InstanceId", ONLY_ONE_FILTER));
        }
        ids = vec![id.to_owned()];
    }
    let keys = parameters.texts("SearchKeys")?;
    let texts = [parameters.text("InstanceName")?, parameters.text("SearchKey")?];
    let mut searches: Vec<&str> =
        keys.iter().map(String::as_str).chain(texts.into_iter().flatten()).collect();
    searches.dedup();
    if searches.len() > 1 {
        return Err(bad("SearchKey", ONLY_ONE_FILTER));
    }
    Ok(Call::ListInstances(ListInstances {
        place,
        ids,
        search: searches.first().map(|&search| search.to_owned()),
        page: page(parameters, MAX_INSTANCES)?,
        ..ListInstances::default()
    }))
}

/// `DescribeInstanceShards`; `FilterSlave` leaves the replicas out.
pub(super) fn shards(parameters: &Parameters, place: Place) -> Result<Call, Fault> {
    parameters.only(&["InstanceId", "FilterSlave"])?;
    Ok(Call::ListShards(ListShards {
        place,
        instance: parameters.required("InstanceId")?,
        primaries_only: parameters.boolean("FilterSlave")?.unwrap_or_default(),
    }))
}

/// `DescribeInstanceNodeInfo`; the vendor ignores its two paging parameters.
pub(super) fn nodes(parameters: &Parameters, place: Place) -> Result<Call, Fault> {
    parameters.only(&["InstanceId", "Limit", "Offset"])?;
    let instance = parameters.required("InstanceId")?;
    Ok(Call::ListShards(ListShards { place, instance, primaries_only: false }))
}

/// Writes [`Call::ListInstances`].
pub(super) fn ask(list: &ListInstances) -> Result<Members, Fault> {
    if list.name.is_some() {
        return Err(bad("InstanceName", "this vendor cannot list by an exact name"));
    }
    if list.ids.iter().any(String::is_empty) {
        return Err(bad("InstanceIds", "holds an empty id"));
    }
    let mut members = Members::new();
    if !list.ids.is_empty() {
        put(&mut members, "InstanceIds", list.ids.clone());
    }
    if let Some(search) = &list.search {
        put(&mut members, "SearchKey", search.as_str());
    }
    put_page(&mut members, list.page);
    Ok(members)
}
