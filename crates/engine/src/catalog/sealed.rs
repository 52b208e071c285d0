//! Secrets that rows hold sealed, for the day when the root key changes.

/// A column that holds secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedColumn {
    /// An access key's secret.
    KeySecret,
    /// An access key's secret before this one.
    KeyPrevious,
    /// An access key's session token.
    KeySessionToken,
    /// An instance's password.
    InstancePassword,
    /// What else it takes to sign in at an instance.
    InstanceLogin,
    /// What signs the notices of a webhook.
    WebhookSecret,
}

impl SealedColumn {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::KeySecret,
        Self::KeyPrevious,
        Self::KeySessionToken,
        Self::InstancePassword,
        Self::InstanceLogin,
        Self::WebhookSecret,
    ];

    /// Table and column.
    pub(super) fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::KeySecret => ("access_key", "sealed_secret"),
            Self::KeyPrevious => ("access_key", "sealed_previous"),
            Self::KeySessionToken => ("access_key", "sealed_session_token"),
            Self::InstancePassword => ("instance", "sealed_password"),
            Self::InstanceLogin => ("instance", "sealed_login"),
            Self::WebhookSecret => ("webhook", "sealed_secret"),
        }
    }
}

/// A secret as a row holds it.
#[derive(Debug, Clone)]
pub struct SealedSecret {
    /// Which column.
    pub column: SealedColumn,
    /// The row's account.
    pub account: String,
    /// The row's id.
    pub id: String,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
}
