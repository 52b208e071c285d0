//! Links, and who may use them unless a call says otherwise.

use std::net::IpAddr;

use serde_json::json;

use super::super::parameters::{Parameters, bad, texts};
use super::{Members, put};
use crate::tencent_v3::fault::WRONG_TYPE;
use crate::vocabulary::{
    AddressLimit, Call, Fault, LinkBackup, Networks, Place, Restriction, SetRestriction, ShowRestriction,
};

/// The parameters that limit a link.
const LIMITS: [&str; 5] = ["LimitType", "VpcComparisonSymbol", "IpComparisonSymbol", "LimitVpc", "LimitIp"];

/// `DescribeBackupUrl`.
pub(super) fn backup_url(parameters: &Parameters, place: Place) -> Result<Call, Fault> {
    parameters.only(&[&["InstanceId", "BackupId"], &LIMITS[..]].concat())?;
    let (networks, limit) = limit(parameters)?.unwrap_or((Networks::Both, AddressLimit::Default));
    Ok(Call::LinkBackup(LinkBackup {
        networks,
        limit,
        ..LinkBackup::new(place, Some(parameters.required("InstanceId")?), parameters.required("BackupId")?)
    }))
}

/// `DescribeBackupDownloadRestriction`.
pub(super) fn show_restriction(parameters: &Parameters, place: Place) -> Result<Call, Fault> {
    parameters.only(&[])?;
    Ok(Call::ShowRestriction(ShowRestriction { place }))
}

/// `ModifyBackupDownloadRestriction`.
pub(super) fn set_restriction(parameters: &Parameters, place: Place) -> Result<Call, Fault> {
    parameters.only(&LIMITS)?;
    let (networks, limit) =
        limit(parameters)?.ok_or_else(|| Fault::MissingParameter("LimitType".to_owned()))?;
    Ok(Call::SetRestriction(SetRestriction { place, restriction: Restriction { networks, limit } }))
}

/// What the parameters allow; `None` when they leave it to the stored setting.
fn limit(parameters: &Parameters) -> Result<Option<(Networks, AddressLimit)>, Fault> {
    match parameters.text("LimitType")? {
        // A caller who lists addresses believes the link to be limited to them.
        None | Some("NoLimit" | "LimitOnlyIntranet")
            if parameters.is_set("LimitIp") || parameters.is_set("LimitVpc") =>
        {
            Err(bad("LimitType", "must be Customize for LimitIp and LimitVpc to count"))
        }
        None => Ok(None),
        Some("NoLimit") => Ok(Some((Networks::Both, AddressLimit::None))),
        Some("LimitOnlyIntranet") => Ok(Some((Networks::Intranet, AddressLimit::None))),
        Some("Customize") => Ok(Some((Networks::Both, customized(parameters)?))),
        Some(_) => Err(bad("LimitType", "must be NoLimit, LimitOnlyIntranet or Customize")),
    }
}

fn customized(parameters: &Parameters) -> Result<AddressLimit, Fault> {
    if !matches!(parameters.text("VpcComparisonSymbol")?, None | Some("In")) {
        return Err(bad("VpcComparisonSymbol", "must be In"));
    }
    let except = match parameters.text("IpComparisonSymbol")? {
        None | Some("In") => false,
        Some("NotIn") => true,
        Some(_) => return Err(bad("IpComparisonSymbol", "must be In or NotIn")),
    };
    let addresses = parameters.texts("LimitIp")?;
    if !addresses.iter().all(|address| is_address(address)) {
        return Err(bad("LimitIp", "must hold IP addresses or CIDRs"));
    }
    let mut vpcs = Vec::new();
    for item in parameters.list("LimitVpc")? {
        let region = item["Region"].as_str().ok_or_else(|| bad("LimitVpc", WRONG_TYPE))?;
        let ids = item["VpcList"].as_array().ok_or_else(|| bad("LimitVpc", WRONG_TYPE))?;
        vpcs.extend(texts("LimitVpc", ids)?.into_iter().map(|id| (id, region.to_owned())));
    }
    if addresses.is_empty() && vpcs.is_empty() {
        return Err(bad("LimitType", "Customize needs LimitIp or LimitVpc"));
    }
    Ok(AddressLimit::Custom { except, addresses, vpcs })
}

/// An IP address, or one with a prefix length that fits it.
fn is_address(text: &str) -> bool {
    let (address, length) =
        text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    address.parse::<IpAddr>().is_ok_and(|address| {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        length.is_none_or(|length| length.parse::<u8>().is_ok_and(|length| length <= bits))
    })
}

/// Writes [`Call::LinkBackup`].
pub(super) fn ask(link: &LinkBackup) -> Result<Members, Fault> {
    if link.shard.is_some() || link.other_region || link.ttl.is_some() {
        return Err(bad("BackupId", "this vendor's links are of all shards, here, and live their time"));
    }
    let mut members = Members::new();
    let instance =
        link.instance.as_deref().ok_or_else(|| Fault::MissingParameter("InstanceId".to_owned()))?;
    put(&mut members, "InstanceId", instance);
    put(&mut members, "BackupId", link.backup.as_str());
    match (link.networks, &link.limit) {
        (Networks::Both, AddressLimit::Default) => {}
        (Networks::Both, AddressLimit::None) => put(&mut members, "LimitType", "NoLimit"),
        (Networks::Intranet, AddressLimit::None) => put(&mut members, "LimitType", "LimitOnlyIntranet"),
        (Networks::Both, AddressLimit::Custom { except, addresses, vpcs }) => {
            put(&mut members, "LimitType", "Customize");
            put(&mut members, "VpcComparisonSymbol", "In");
            put(&mut members, "IpComparisonSymbol", if *except { "NotIn" } else { "In" });
            put(&mut members, "LimitIp", addresses.clone());
            let groups = vpcs.chunk_by(|one, other| one.1 == other.1);
            let groups = groups.map(|group| {
                let ids: Vec<&str> = group.iter().map(|(id, _)| id.as_str()).collect();
                json!({"Region": group.first().map(|(_, region)| region), "VpcList": ids})
            });
            put(&mut members, "LimitVpc", groups.collect::<Vec<_>>());
        }
        (Networks::Intranet, _) => {
            return Err(bad("LimitType", "one network and other limits do not go together"));
        }
    }
    Ok(members)
}
