//! A connection keeps its promises to the engine, the client and the application, whatever bytes arrive.
//!
//! Property: for any bytes in any pieces, any writes, and a client, an application and a server that may stall, fail or
//! stop, nothing panics. The bytes transferred bound the number of polls; the limits and the bytes sent bound the
//! memory. The output is well-formed, and each response is the one of the application. A request is served only if a
//! strict reader delimits it in the same way, and never after an error. No complete request is lost. A 101 is sent only
//! if the client asks for the protocol and has sent its content, and then all bytes after that are handed over. If
//! nothing stalls, fails or stops, the result does not depend on how the bytes are split.
//!
//! Input: limits, three pieces, two writes, scenario, line feed, as `plan` reads them; then the bytes of the client.

use crate::{
    engine,
    plan::{Plan, Scenario},
};

/// Checks the property of this target for one input.
pub fn check(data: &[u8]) {
    let Some((line, input)) = data.split_first_chunk() else { return };
    let plan = Plan::of(*line);
    let outcome = engine::run(input, &plan);
    // After a failed stream, for example, the number of requests parsed depends on how many bytes had arrived.
    if plan.scenario == Scenario::Normal && outcome.closed.is_some() {
        assert_eq!(outcome, engine::run(input, &plan.unsplit()), "the result depends on the split");
    }
}
