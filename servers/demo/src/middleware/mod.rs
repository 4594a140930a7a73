//! What can be wrapped around any application. It knows neither engines nor files.

mod access_log;
mod served_by;
mod server_timing;

pub use access_log::AccessLog;
pub use served_by::ServedBy;
pub use server_timing::ServerTiming;
