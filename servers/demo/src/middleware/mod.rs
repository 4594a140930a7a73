//! What can be wrapped around any application. It knows neither engines nor files.

mod served_by;
mod server_timing;

pub use served_by::ServedBy;
pub use server_timing::ServerTiming;
