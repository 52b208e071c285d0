//! The rows of answers, field by field as the vendor types them. Go's SDK rejects a whole answer for
//! one field of another type.

#![expect(clippy::struct_field_names, reason = "they are the vendor's")]
#![expect(clippy::struct_excessive_bools, reason = "they are the vendor's")]

use serde::{Deserialize, Deserializer, Serialize};

/// A row of `DescribeURedisBackup`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct GroupBackup {
    pub(super) backup_id: String,
    pub(super) backup_name: String,
    pub(super) backup_time: u64,
    pub(super) backup_size: u64,
    #[serde(deserialize_with = "text_or_number")]
    pub(super) backup_type: String,
    pub(super) state: String,
    pub(super) group_id: String,
    pub(super) group_name: String,
    pub(super) zone: String,
    pub(super) memory_size: u64,
    pub(super) redis_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) src_region_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) dst_region_name: String,
}

/// A row of `DescribeUMemBackup`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct SpaceBackup {
    pub(super) backup_id: String,
    pub(super) backup_name: String,
    #[serde(deserialize_with = "text_or_number")]
    pub(super) backup_type: String,
    pub(super) state: String,
    pub(super) create_time: u64,
    pub(super) block_count: u32,
    pub(super) block_size: u64,
    pub(super) space_id: String,
    pub(super) protocol: String,
}

/// A row of `DescribeUMemBlockInfo`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Block {
    pub(super) block_id: String,
    pub(super) block_name: String,
    pub(super) block_vip: String,
    pub(super) block_port: u16,
    pub(super) block_size: u64,
    pub(super) block_used_size: u64,
    pub(super) block_slot_begin: u16,
    pub(super) block_slot_end: u16,
    pub(super) block_read_weight: u32,
    pub(super) block_state: &'static str,
    pub(super) block_type: &'static str,
}

/// A row of `DescribeURedisGroup`, with the old names beside the new ones.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Group {
    pub(super) group_id: String,
    pub(super) name: String,
    pub(super) group_name: String,
    pub(super) zone: String,
    pub(super) slave_zone: String,
    pub(super) version: String,
    pub(super) config_id: &'static str,
    #[serde(rename = "VirtualIP")]
    pub(super) virtual_ip: String,
    pub(super) tag: &'static str,
    #[serde(rename = "VPCId")]
    pub(super) vpc_id: &'static str,
    pub(super) subnet_id: &'static str,
    pub(super) protocol: &'static str,
    pub(super) role: &'static str,
    pub(super) rewrite_time: u32,
    #[serde(rename = "Type")]
    pub(super) kind: &'static str,
    pub(super) port: u16,
    pub(super) size: u64,
    pub(super) memory_size: u64,
    pub(super) used_size: u64,
    pub(super) create_time: u64,
    pub(super) modify_time: u64,
    pub(super) expire_time: u64,
    pub(super) auto_backup: &'static str,
    pub(super) backup_time: u16,
    pub(super) high_availability: &'static str,
    pub(super) charge_type: &'static str,
    pub(super) is_high_performance: bool,
    #[serde(rename = "SSLEnable")]
    pub(super) ssl_enable: bool,
    #[serde(rename = "UDACEnable")]
    pub(super) udac_enable: bool,
    pub(super) state: &'static str,
}

/// A row of `DescribeUMemSpace`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Space {
    pub(super) space_id: String,
    pub(super) name: String,
    pub(super) zone: String,
    pub(super) tag: &'static str,
    #[serde(rename = "Type")]
    pub(super) kind: &'static str,
    pub(super) protocol: &'static str,
    pub(super) state: &'static str,
    pub(super) charge_type: &'static str,
    #[serde(rename = "VPCId")]
    pub(super) vpc_id: &'static str,
    pub(super) subnet_id: &'static str,
    pub(super) size: u64,
    pub(super) used_size: u64,
    pub(super) create_time: u64,
    pub(super) expire_time: u64,
    pub(super) rewrite_time: u32,
    pub(super) support_aof_rollback: bool,
    pub(super) aof_rollback_enable: bool,
    pub(super) address: Vec<Address>,
}

/// A row of `DescribeUMem`. The client's half reads it too.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Resource {
    pub(super) resource_id: String,
    pub(super) name: String,
    pub(super) resource_type: String,
    pub(super) zone: String,
    pub(super) slave_zone: String,
    pub(super) state: String,
    #[serde(rename = "Type")]
    pub(super) kind: String,
    pub(super) protocol: String,
    pub(super) role: String,
    pub(super) version: String,
    pub(super) config_id: String,
    pub(super) auto_backup: String,
    pub(super) backup_time: u16,
    pub(super) high_availability: String,
    pub(super) charge_type: String,
    pub(super) tag: String,
    #[serde(rename = "VPCId")]
    pub(super) vpc_id: String,
    pub(super) subnet_id: String,
    pub(super) own_slave: String,
    pub(super) size: u64,
    pub(super) used_size: u64,
    pub(super) rewrite_time: u32,
    pub(super) create_time: u64,
    pub(super) expire_time: u64,
    pub(super) is_high_performance: bool,
    #[serde(rename = "IsRWMode")]
    pub(super) is_rw_mode: bool,
    pub(super) has_password: bool,
    pub(super) aof_rollback_enable: bool,
    pub(super) support_aof_rollback: bool,
    #[serde(rename = "SSLEnable")]
    pub(super) ssl_enable: bool,
    #[serde(rename = "UDACEnable")]
    pub(super) udac_enable: bool,
    pub(super) address: Vec<Address>,
}

/// Where an instance answers.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Address {
    #[serde(rename = "IP")]
    pub(super) ip: String,
    pub(super) port: u16,
}

/// A row of `GetProjectList`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Project {
    pub(super) project_id: String,
    pub(super) project_name: String,
    pub(super) create_time: u64,
    pub(super) member_count: u64,
    pub(super) resource_count: u64,
    pub(super) is_default: bool,
}

/// A row of `GetRegion`: one zone.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Zone {
    pub(super) region: String,
    pub(super) zone: String,
    pub(super) region_name: String,
    pub(super) bit_maps: &'static str,
    pub(super) region_id: usize,
    pub(super) is_default: bool,
}

/// An old page shows a number in the place of a word.
fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Number(i64),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::Text(text) => text,
        Either::Number(number) => number.to_string(),
    })
}
