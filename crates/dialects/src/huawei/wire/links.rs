//! Download links: `ShowBackupDownloadLink` of DDS and its twin of RDS.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::parameters::{Query, bad, missing};
use super::request::{Asked, Writing};
use super::{KILOBYTE, kilobytes, times, whole};
use crate::ReadError;
use crate::huawei::route::Action;
use crate::vocabulary::{AddressLimit, Call, Fault, LinkBackup, LinkRow, Networks, Reply};

/// The name of the storage bucket; an object store may be behind it or not.
pub(super) const BUCKET: &str = "keystow";

/// `ShowBackupDownloadLink` of DDS.
pub(super) fn of_instance(asked: &Asked<'_>) -> Result<Call, Fault> {
    let query = Query::read(asked.request, &["instance_id", "backup_id"])?;
    let (instance, backup) = (query.required("instance_id")?, query.required("backup_id")?);
    Ok(Call::LinkBackup(LinkBackup::new(asked.place.clone(), Some(instance), backup)))
}

/// The same of RDS, which names the backup only.
pub(super) fn of_backup(asked: &Asked<'_>) -> Result<Call, Fault> {
    let backup = Query::read(asked.request, &["backup_id"])?.required("backup_id")?;
    Ok(Call::LinkBackup(LinkBackup::new(asked.place.clone(), None, backup)))
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct LinksAnswer {
    files: Vec<LinkAnswer>,
    bucket: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct LinkAnswer {
    name: String,
    /// Kilobytes.
    #[serde(deserialize_with = "whole")]
    size: u64,
    download_link: String,
    link_expired_time: String,
    /// The shard.
    #[serde(skip_serializing_if = "Option::is_none")]
    group_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_name: Option<String>,
    /// Of RDS.
    #[serde(skip_serializing_if = "Option::is_none")]
    database_name: Option<String>,
}

/// Writes the links. The vendor's are public; without a public one the download is switched off.
pub(super) fn answer(action: Action, rows: &[LinkRow]) -> Result<Value, Fault> {
    let files = rows.iter().map(|row| {
        let node = Some(row.node.clone()).filter(|node| !node.is_empty());
        Ok(LinkAnswer {
            name: row.file_name.clone(),
            size: kilobytes(row.size_bytes),
            download_link: row.public_url.clone().ok_or(Fault::DownloadClosed)?,
            link_expired_time: times::write(row.expires_at, times::ZONED),
            group_id: node.clone(),
            group_name: node,
            database_name: (action == Action::ShowBackupFiles).then(String::new),
        })
    });
    let files = files.collect::<Result<Vec<_>, Fault>>()?;
    if files.is_empty() {
        Err(Fault::Internal)
    } else {
        Ok(json!(LinksAnswer { files, bucket: BUCKET.to_owned() }))
    }
}

/// Writes a call for the client.
pub(super) fn ask(link: &LinkBackup) -> Result<Writing, Fault> {
    let plain = link.networks == Networks::Both && link.limit == AddressLimit::Default;
    if !plain || link.shard.is_some() || link.other_region || link.ttl.is_some() {
        return Err(bad(
            "backup_id",
            "this vendor gives links of a whole backup, without limits of a call's own",
        ));
    }
    let instance = link.instance.clone().filter(|id| !id.is_empty()).ok_or_else(|| missing("instance_id"))?;
    if link.backup.is_empty() {
        return Err(missing("backup_id"));
    }
    let query = vec![("instance_id", instance), ("backup_id", link.backup.clone())];
    Ok(Writing::get("/backups/download-file", query))
}

/// Reads the answer.
pub(super) fn read(answer: Value) -> Result<Reply, ReadError> {
    let answer: LinksAnswer = super::reply::shape(answer)?;
    let rows = answer.files.into_iter().map(|file| {
        Ok(LinkRow {
            node: file.group_id.unwrap_or_default(),
            file_name: file.name,
            size_bytes: file.size.saturating_mul(KILOBYTE),
            public_url: Some(file.download_link).filter(|url| !url.is_empty()),
            expires_at: super::reply::time(&file.link_expired_time)?,
            ..LinkRow::default()
        })
    });
    Ok(Reply::Links(rows.collect::<Result<_, ReadError>>()?))
}
