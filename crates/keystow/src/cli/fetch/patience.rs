//! How often, and how soon, something is tried again.

use std::time::Duration;

use super::remote::Trouble;
use crate::failure::{Exit, Failure};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A number of tries, each after a longer pause.
pub(in crate::cli) struct Patience {
    tries: u32,
    used: u32,
}

impl Patience {
    /// For the first word with a server: a wrong address should be heard of soon.
    pub(in crate::cli) fn short() -> Self {
        Self { tries: 3, used: 0 }
    }

    /// For a transfer that has begun.
    pub(in crate::cli) fn long() -> Self {
        Self { tries: 8, used: 0 }
    }

    /// Starts anew, because something has arrived.
    pub(in crate::cli) fn renew(&mut self) {
        self.used = 0;
    }

    /// Waits before the next try, or gives the trouble back if there is no use in one.
    pub(in crate::cli) async fn endure(&mut self, trouble: Trouble, link: &str) -> Result<(), Trouble> {
        let Trouble::Passing { reason, wait } = trouble else { return Err(trouble) };
        if self.used >= self.tries {
            return Err(Failure::new(
                Exit::Unreachable,
                "LINK_UNREACHABLE",
                format!("cannot download {link}"),
            )
            .because(format!("{reason} ({} tries)", self.used + 1))
            .hint("check the network, then run the same command again; what has arrived is kept")
            .into());
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.used).min(LONGEST_PAUSE);
        self.used += 1;
        tokio::time::sleep(wait.unwrap_or(pause).max(pause)).await;
        Ok(())
    }
}
