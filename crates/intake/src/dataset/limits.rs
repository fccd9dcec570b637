//! How large a dataset may be.

/// How large a dataset may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes, unpacked.
    pub bytes: u64,
    /// The most rows.
    pub rows: usize,
}

/// A dataset is larger than it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// It has more bytes, unpacked.
    #[error("a dataset may have at most {0} bytes, unpacked")]
    Bytes(u64),
    /// It has more rows.
    #[error("a dataset may have at most {0} rows")]
    Rows(usize),
}
