//! How cloud vendors ask for backups: requests, signatures and replies as values.
//!
//! Pure by rule: no socket, no clock, no catalog. Time and secrets are parameters, so the same functions
//! check a request on the server and sign one on the client.

pub mod alibaba;
mod canonical;
pub mod huawei;
pub mod tencent_v2;
pub mod tencent_v3;
pub mod ucloud;
pub mod vocabulary;

use std::time::SystemTime;

pub use canonical::Workings;
pub use vocabulary::{
    AccountRow, AddressLimit, BackupRow, BackupState, Call, Claim, CopyEnd, CreateBackup, Credentials,
    DeleteBackups, Endpoint, ExportBackup, Fault, InstanceOrder, InstanceRow, IssueToken, IssuedToken,
    JobKind, JobRow, JobState, LinkBackup, LinkRow, ListBackups, ListInstances, ListJobs, ListProjects,
    ListShards, Networks, Page, Place, Policy, PolicyChange, ProjectRow, RegionRow, Reply, Request, Response,
    Restore, RestoreFrom, Restriction, Secret, SetExpiry, SetPolicy, SetRestriction, ShardRow, ShowPolicy,
    ShowRestriction, StopBackup, Topology, Unit, Verified, Weekdays,
};

/// Facts about an exchange that a response may have to name.
#[derive(Debug, Clone)]
pub struct Exchange<'a> {
    /// Id of the request, a lower-case hyphenated UUID; vendors that write it otherwise change it.
    pub request_id: &'a str,
    /// The moment of the answer.
    pub now: SystemTime,
}

/// One vendor's way of asking for backups.
pub trait Dialect: Send + Sync {
    /// Folder name, configuration key and metric label.
    fn name(&self) -> &'static str;

    /// Whether a request carries this vendor's marks, signed well or not.
    fn recognises(&self, request: &Request) -> bool;

    /// The answer to a request that needs no caller, such as the list of API versions.
    fn open_answer(&self, _request: &Request, _exchange: &Exchange<'_>) -> Option<Response> {
        None
    }

    /// The token of the server's own making that the request shows in place of a signature. With one,
    /// neither [`Dialect::claim`] nor [`Dialect::verify`] is asked.
    fn bearer(&self, _request: &Request) -> Result<Option<Secret>, Fault> {
        Ok(None)
    }

    /// Reads who claims to call. Nothing is trusted yet.
    fn claim(&self, request: &Request) -> Result<Claim, Fault>;

    /// Checks signature and age with that key's secret, in constant time.
    fn verify(&self, request: &Request, secret: &Secret, now: SystemTime) -> Result<Verified, Fault>;

    /// How the signature of a request comes about with a secret: one entry for each accepted reading of it.
    /// For showing a caller where his own differs; nothing is checked.
    fn workings(&self, request: &Request, secret: &Secret) -> Result<Vec<Workings>, Fault>;

    /// The vendor's name of the action asked for, for throttling and logs; `None` when absent.
    fn action(&self, request: &Request) -> Option<String>;

    /// Reads what is asked for.
    fn decode(&self, request: &Request) -> Result<Call, Fault>;

    /// Writes the answer in the form that the request wants.
    fn encode(&self, request: &Request, exchange: &Exchange<'_>, outcome: &Result<Reply, Fault>) -> Response;

    /// The client's half: writes and signs a call. `decode(ask(call)) == call`, as far as the vendor's format goes.
    /// `nonce` must be new on every call.
    fn ask(
        &self,
        call: &Call,
        endpoint: &Endpoint,
        credentials: &Credentials,
        now: SystemTime,
        nonce: &str,
    ) -> Result<Request, Fault>;

    /// The client's half: reads the answer to `call`. `read(encode(reply)) == reply`, as far as the vendor's format goes.
    fn read(&self, call: &Call, response: &Response) -> Result<Reply, ReadError>;
}

/// Why an answer of a vendor could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The vendor refused; its own code and message.
    #[error("{code}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The vendor's error code.
        code: String,
        /// The vendor's message.
        message: String,
        /// The vendor's id of the request, if it gave one.
        request_id: Option<String>,
    },
    /// The answer is not what the vendor's format says.
    #[error("the answer cannot be read: {0}")]
    Malformed(String),
}

/// Every dialect, one line each: a new vendor is one folder and one line here.
pub static ALL: &[&dyn Dialect] =
    &[&tencent_v3::TencentV3, &tencent_v2::TencentV2, &alibaba::Alibaba, &huawei::Huawei, &ucloud::Ucloud];

/// The dialect that a request speaks, if any.
pub fn recognise(request: &Request) -> Option<&'static dyn Dialect> {
    ALL.iter().copied().find(|dialect| dialect.recognises(request))
}
