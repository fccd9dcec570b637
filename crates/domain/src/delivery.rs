//! Events on their way to the webhooks of owners.

use crate::names::names;

names! {
    /// Where a delivery stands.
    pub enum DeliveryState: "delivery's state" {
        /// It is to be sent, or sent again.
        Pending = "pending",
        /// The receiver has taken it.
        Delivered = "delivered",
        /// It was tried as often as it may be, or the receiver wants no more.
        Failed = "failed",
    }
}
