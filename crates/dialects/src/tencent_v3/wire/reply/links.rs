//! Links, and who may use them unless a call says otherwise.

use serde::{Deserialize, Serialize};

use crate::vocabulary::{AddressLimit, LinkRow, Networks, Restriction};

/// `DescribeBackupUrl`: the lists are what older clients read, `BackupInfos` what newer ones do. Every link is there
/// twice, so what is written borrows it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct LinksAnswer<T: Default> {
    download_url: Vec<T>,
    inner_download_url: Vec<T>,
    filenames: Vec<T>,
    backup_infos: Vec<LinkAnswer<T>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct LinkAnswer<T: Default> {
    file_name: T,
    file_size: u64,
    download_url: T,
    inner_download_url: T,
}

/// `DescribeBackupDownloadRestriction`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RestrictionAnswer {
    limit_type: &'static str,
    vpc_comparison_symbol: &'static str,
    ip_comparison_symbol: &'static str,
    limit_vpc: Vec<VpcAnswer>,
    limit_ip: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct VpcAnswer {
    region: String,
    vpc_list: Vec<String>,
}

pub(super) fn write(rows: &[LinkRow]) -> LinksAnswer<&str> {
    LinksAnswer {
        download_url: rows.iter().filter_map(public).collect(),
        inner_download_url: rows.iter().filter_map(intranet).collect(),
        filenames: rows.iter().map(|row| row.file_name.as_str()).collect(),
        backup_infos: rows
            .iter()
            .map(|row| LinkAnswer {
                file_name: row.file_name.as_str(),
                file_size: row.size_bytes,
                download_url: public(row).unwrap_or_default(),
                inner_download_url: intranet(row).unwrap_or_default(),
            })
            .collect(),
    }
}

fn public(row: &LinkRow) -> Option<&str> {
    row.public_url.as_deref()
}

fn intranet(row: &LinkRow) -> Option<&str> {
    row.intranet_url.as_deref()
}

/// The symbols mean something for `Customize` only, but are always there.
pub(super) fn write_restriction(restriction: &Restriction) -> RestrictionAnswer {
    let (limit_type, except, addresses, vpcs) = match (&restriction.limit, restriction.networks) {
        (AddressLimit::Custom { except, addresses, vpcs }, _) => {
            ("Customize", *except, &addresses[..], &vpcs[..])
        }
        (AddressLimit::Default | AddressLimit::None, Networks::Intranet) => {
            ("LimitOnlyIntranet", false, &[][..], &[][..])
        }
        (AddressLimit::Default | AddressLimit::None, Networks::Both) => ("NoLimit", false, &[][..], &[][..]),
    };
    let groups = vpcs.chunk_by(|one, other| one.1 == other.1);
    let vpcs = groups.map(|group| VpcAnswer {
        region: group.first().map(|(_, region)| region.clone()).unwrap_or_default(),
        vpc_list: group.iter().map(|(id, _)| id.clone()).collect(),
    });
    RestrictionAnswer {
        limit_type,
        vpc_comparison_symbol: "In",
        ip_comparison_symbol: if except { "NotIn" } else { "In" },
        limit_vpc: vpcs.collect(),
        limit_ip: addresses.to_vec(),
    }
}

/// Older answers have the lists only, newer ones `BackupInfos`. The end of a link's life is not told
/// and reads as the epoch.
pub(super) fn read(answer: LinksAnswer<String>) -> Vec<LinkRow> {
    let some = |url: String| Some(url).filter(|url| !url.is_empty());
    if !answer.backup_infos.is_empty() {
        let row = |link: LinkAnswer<String>| LinkRow {
            file_name: link.file_name,
            size_bytes: link.file_size,
            public_url: some(link.download_url),
            intranet_url: some(link.inner_download_url),
            ..LinkRow::default()
        };
        return answer.backup_infos.into_iter().map(row).collect();
    }
    let count = answer.download_url.len().max(answer.inner_download_url.len());
    let (mut public, mut intranet) = (answer.download_url.into_iter(), answer.inner_download_url.into_iter());
    let mut names = answer.filenames.into_iter();
    let row = |_| LinkRow {
        file_name: names.next().unwrap_or_default(),
        size_bytes: 0,
        public_url: public.next().and_then(some),
        intranet_url: intranet.next().and_then(some),
        ..LinkRow::default()
    };
    (0..count).map(row).collect()
}
