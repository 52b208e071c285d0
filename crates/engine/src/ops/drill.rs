//! Loads a backup into a throw-away server, to know that it can be loaded.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Engine, Meter};
use crate::access::Principal;
use crate::error::{Error, Result};
use crate::model::{BackupRef, Job};

impl Engine {
    /// Adds the job that loads a backup into a throw-away server.
    pub async fn request_drill(
        &self,
        _who: &Principal,
        _which: BackupRef,
        _server: Option<String>,
    ) -> Result<Job> {
        Err(Error::invalid("drills are not built yet"))
    }

    /// Does one attempt of a drill.
    pub(crate) async fn drill(
        &self,
        _job: &Job,
        _meter: &Arc<Meter>,
        _cancel: &CancellationToken,
    ) -> Result<()> {
        Err(Error::invalid("drills are not built yet"))
    }
}
