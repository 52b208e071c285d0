//! What can go wrong, in no vendor's words.

/// Why not, in no vendor's words. Each dialect's `fault.rs` maps every one, without a wildcard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No signature, or a part of it is absent; names what is missing.
    #[error("the request is not signed: {0} is missing")]
    Unsigned(&'static str),
    /// The signature's fields cannot be read.
    #[error("the signature cannot be read: {0}")]
    MalformedSignature(String),
    /// The access key id is unknown or revoked.
    #[error("unknown access key")]
    UnknownKey,
    /// The session token is wrong or absent.
    #[error("the session token is not valid")]
    BadToken,
    /// The session token was right, and its time is over.
    #[error("the session token has expired")]
    TokenOver,
    /// The signature is not right. Carries the server's string to sign, for the vendors that show it.
    #[error("the signature does not match")]
    BadSignature {
        /// The string that the server signed; holds no secret.
        string_to_sign: String,
    },
    /// The signature's time is too far from the server's clock.
    #[error("the request is too old or too new")]
    Stale,
    /// The signature's time cannot be read.
    #[error("the time of the request cannot be read")]
    MalformedTime,
    /// The nonce was used before.
    #[error("the nonce was used before")]
    Replayed,
    /// The name or the password for a token is wrong.
    #[error("the user name or the password is wrong")]
    WrongPassword,
    /// The key has no right to this action at all.
    #[error("this key may not do this")]
    ActionDenied,
    /// The key has the action, but not on this instance.
    #[error("this key has no right on this instance")]
    InstanceDenied,
    /// The key may not be used from the caller's address.
    #[error("this key may not be used from this address")]
    AddressDenied,
    /// The account is not on the allow-list for links.
    #[error("the account is not on the allow-list")]
    NotAllowListed,
    /// The setting allows links for cluster instances only.
    #[error("only backups of cluster instances can be exported")]
    ClusterOnly,
    /// Public downloads are switched off for the account.
    #[error("public downloads are switched off")]
    DownloadClosed,
    /// Too many requests.
    #[error("too many requests; try again later")]
    Throttled,
    /// The action is not known, or not known to this version.
    #[error("unknown action {0}")]
    UnknownAction(String),
    /// The vendor has the action, but this server does not do it now.
    #[error("the action {0} is not supported now")]
    NotSupported(String),
    /// The API version is not the one served.
    #[error("unknown version {0}")]
    UnknownVersion(String),
    /// The region is not served, or not through this host name.
    #[error("unsupported region {0}")]
    UnsupportedRegion(String),
    /// A required parameter is absent.
    #[error("the parameter {0} is missing")]
    MissingParameter(String),
    /// A parameter that the action does not have.
    #[error("unknown parameter {0}")]
    UnknownParameter(String),
    /// A parameter's value does not fit.
    #[error("the parameter {name} is not valid: {why}")]
    BadParameter {
        /// The parameter, in the vendor's spelling.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The body or the method is not what the API takes.
    #[error("the request cannot be read: {0}")]
    MalformedRequest(String),
    /// The body is larger than the API takes.
    #[error("the request is too large")]
    TooLarge,
    /// No such instance, or not the caller's.
    #[error("no such instance: {0}")]
    NoSuchInstance(String),
    /// No such backup, or not of that instance.
    #[error("no such backup: {0}")]
    NoSuchBackup(String),
    /// No such job, or not the caller's.
    #[error("no such job: {0}")]
    NoSuchJob(String),
    /// No such project, or not the caller's.
    #[error("no such project: {0}")]
    NoSuchProject(String),
    /// The backup exists, but is not available.
    #[error("the backup {0} is not available")]
    BackupNotReady(String),
    /// The backup is still being taken, which what is asked for must not disturb.
    #[error("the backup {0} is still being taken")]
    BackupBusy(String),
    /// A backup or a restore of the instance is running already.
    #[error("another operation on {0} is running already")]
    InstanceBusy(String),
    /// The instance is not in a state for it, or keeps us out.
    #[error("the instance is not in a state for this: {0}")]
    InstanceAbnormal(String),
    /// The backup is protected and cannot be deleted.
    #[error("the backup {0} is protected")]
    BackupProtected(String),
    /// The server cannot do it now; trying later may help.
    #[error("the service is not available now: {0}")]
    Unavailable(String),
    /// The server's own fault. The text is for its log, not for the caller.
    #[error("internal error")]
    Internal,
}
