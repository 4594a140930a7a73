//! Where Landlock is not built in, nothing is confined.

use super::{Confinement, Needs};
use std::io;

#[expect(clippy::unnecessary_wraps, reason = "with Landlock it can fail")]
pub(super) fn enforce(_: &Needs) -> io::Result<Confinement> {
    Ok(Confinement::Unavailable)
}
