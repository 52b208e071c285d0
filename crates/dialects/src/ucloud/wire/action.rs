//! The actions that are served.

/// An action. The first group is the primary and replica edition's, the second the distributed one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ucloud) enum Action {
    DescribeURedisBackupURL,
    DescribeURedisBackup,
    CreateURedisBackup,
    DescribeURedisBackupState,
    UpdateURedisBackupStrategy,
    DescribeURedisGroup,
    DescribeUMemBackupURL,
    DescribeUMemBackup,
    CreateUMemBackup,
    DescribeUMemBlockInfo,
    DescribeUMemSpace,
    DescribeUMem,
    GetProjectList,
    GetRegion,
}

/// What an action does, as far as error codes tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ucloud) enum Kind {
    Read,
    Create,
    Update,
    Account,
}

/// Actions that the vendor has and this server does not: a backup makes a new resource there.
pub(super) const NOT_YET: [&str; 2] = ["CreateURedisGroup", "CreateUMemSpace"];

impl Action {
    /// Every action.
    pub(super) const ALL: [Self; 14] = [
        Self::DescribeURedisBackupURL,
        Self::DescribeURedisBackup,
        Self::CreateURedisBackup,
        Self::DescribeURedisBackupState,
        Self::UpdateURedisBackupStrategy,
        Self::DescribeURedisGroup,
        Self::DescribeUMemBackupURL,
        Self::DescribeUMemBackup,
        Self::CreateUMemBackup,
        Self::DescribeUMemBlockInfo,
        Self::DescribeUMemSpace,
        Self::DescribeUMem,
        Self::GetProjectList,
        Self::GetRegion,
    ];

    /// The action of that name; letter case counts.
    pub(in crate::ucloud) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    /// The vendor's name.
    pub(in crate::ucloud) fn name(self) -> &'static str {
        match self {
            Self::DescribeURedisBackupURL => "DescribeURedisBackupURL",
            Self::DescribeURedisBackup => "DescribeURedisBackup",
            Self::CreateURedisBackup => "CreateURedisBackup",
            Self::DescribeURedisBackupState => "DescribeURedisBackupState",
            Self::UpdateURedisBackupStrategy => "UpdateURedisBackupStrategy",
            Self::DescribeURedisGroup => "DescribeURedisGroup",
            Self::DescribeUMemBackupURL => "DescribeUMemBackupURL",
            Self::DescribeUMemBackup => "DescribeUMemBackup",
            Self::CreateUMemBackup => "CreateUMemBackup",
            Self::DescribeUMemBlockInfo => "DescribeUMemBlockInfo",
            Self::DescribeUMemSpace => "DescribeUMemSpace",
            Self::DescribeUMem => "DescribeUMem",
            Self::GetProjectList => "GetProjectList",
            Self::GetRegion => "GetRegion",
        }
    }

    /// Parameters beside the common ones.
    pub(super) fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::DescribeURedisBackupURL => {
                &["BackupId", "GroupId", "RegionFlag", "SlaveZone", "IsCrossRegion"]
            }
            Self::DescribeURedisBackup => {
                &["GroupId", "BackupId", "Offset", "Limit", "RegionType", "SlaveZone"]
            }
            Self::CreateURedisBackup => &["GroupId", "BackupName", "SlaveZone"],
            Self::DescribeURedisBackupState => &["GroupId", "BackupId"],
            Self::UpdateURedisBackupStrategy => &[
                "GroupId",
                "SlaveZone",
                "AutoBackup",
                "BackupTime",
                "OperationType",
                "DstRegion",
                "SaveDays",
            ],
            Self::DescribeURedisGroup => &["GroupId", "Offset", "Limit"],
            Self::DescribeUMemBackupURL => &["SpaceId", "BackupId", "BlockId"],
            Self::DescribeUMemBackup | Self::DescribeUMemBlockInfo => &["SpaceId", "Offset", "Limit"],
            Self::CreateUMemBackup => &["SpaceId", "BackupName"],
            Self::DescribeUMemSpace => &["SpaceId", "Protocol", "Offset", "Limit"],
            Self::DescribeUMem => &["Protocol", "ResourceId", "ResourceType", "Offset", "Limit"],
            Self::GetProjectList => &["IsFinance"],
            Self::GetRegion => &[],
        }
    }

    /// What the action calls an instance.
    pub(in crate::ucloud) fn instance_parameter(self) -> &'static str {
        match self {
            Self::DescribeURedisBackupURL
            | Self::DescribeURedisBackup
            | Self::CreateURedisBackup
            | Self::DescribeURedisBackupState
            | Self::UpdateURedisBackupStrategy
            | Self::DescribeURedisGroup => "GroupId",
            Self::DescribeUMemBackupURL
            | Self::DescribeUMemBackup
            | Self::CreateUMemBackup
            | Self::DescribeUMemBlockInfo
            | Self::DescribeUMemSpace => "SpaceId",
            Self::DescribeUMem | Self::GetProjectList | Self::GetRegion => "ResourceId",
        }
    }

    /// What it does.
    pub(in crate::ucloud) fn kind(self) -> Kind {
        match self {
            Self::CreateURedisBackup | Self::CreateUMemBackup => Kind::Create,
            Self::UpdateURedisBackupStrategy => Kind::Update,
            Self::GetProjectList | Self::GetRegion => Kind::Account,
            Self::DescribeURedisBackupURL
            | Self::DescribeURedisBackup
            | Self::DescribeURedisBackupState
            | Self::DescribeURedisGroup
            | Self::DescribeUMemBackupURL
            | Self::DescribeUMemBackup
            | Self::DescribeUMemBlockInfo
            | Self::DescribeUMemSpace
            | Self::DescribeUMem => Kind::Read,
        }
    }
}
