//! Instances, their shards and nodes.

use super::super::parameters::{Parameters, bad};
use super::{Members, ONLY_ONE_FILTER, page, put, put_page};
use crate::vocabulary::{Call, Fault, InstanceOrder, ListInstances, ListShards, Place};

const MAX_INSTANCES: u64 = 1000;
/// Parameters of `DescribeInstances` that only put the list in order.
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
    let (name, key) = (parameters.text("InstanceName")?, parameters.text("SearchKey")?);
    if name.zip(key).is_some_and(|(name, key)| name != key) {
        return Err(bad("SearchKey", ONLY_ONE_FILTER));
    }
    let (order, descending) = order(parameters)?;
    Ok(Call::ListInstances(ListInstances {
        place,
        ids,
        search: name.or(key).map(str::to_owned),
        any_of: parameters.texts("SearchKeys")?,
        order,
        descending,
        page: page(parameters, MAX_INSTANCES)?,
        ..ListInstances::default()
    }))
}

/// What the list is in order of, and whether the last comes first, which it does unless the caller says otherwise.
/// Nothing here ends by contract, so that all are alike in their deadlines.
fn order(parameters: &Parameters) -> Result<(InstanceOrder, bool), Fault> {
    let descending = match parameters.integer("OrderType")? {
        None => None,
        Some(0) => Some(false),
        Some(1) => Some(true),
        Some(_) => return Err(bad("OrderType", "must be 0 or 1")),
    };
    let order = match parameters.text("OrderBy")?.map(|name| name.trim().to_ascii_lowercase()).as_deref() {
        None | Some("") => return Ok((InstanceOrder::default(), descending.unwrap_or_default())),
        Some("projectid") => InstanceOrder::Project,
        Some("createtime") => InstanceOrder::Created,
        Some("instancename") => InstanceOrder::Name,
        Some("type") => InstanceOrder::Topology,
        Some("curdeadline") => InstanceOrder::Id,
        Some(_) => {
            return Err(bad("OrderBy", "must be projectId, createtime, instancename, type or curDeadline"));
        }
    };
    Ok((order, descending.unwrap_or(true)))
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
    if !list.any_of.is_empty() {
        put(&mut members, "SearchKeys", list.any_of.clone());
    }
    let order = match list.order {
        InstanceOrder::Id => None,
        InstanceOrder::Created => Some("createtime"),
        InstanceOrder::Name => Some("instancename"),
        InstanceOrder::Project => Some("projectId"),
        InstanceOrder::Topology => Some("type"),
    };
    if let Some(order) = order {
        put(&mut members, "OrderBy", order);
    }
    if order.is_some() || list.descending {
        put(&mut members, "OrderType", i64::from(list.descending));
    }
    put_page(&mut members, list.page);
    Ok(members)
}
