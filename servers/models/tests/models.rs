//! Runs each model as a test: `cargo test -p http-models`. `http_models::explore` describes the variables of the
//! environment.

/// A test for each model of each file.
macro_rules! models {
    ($($file:ident: $($model:ident)+;)+) => {
        $($(#[test] fn $model() { http_models::explore(stringify!($model), http_models::$file::$model); })+)+
    };
}

models! {
    blocking:
        a_thread_always_waits_for_a_connection
        spare_threads_leave_as_many_as_are_wanted
        registry_closes_idle_connections_for_new_ones
        registry_drains_until_all_threads_have_ended
        registry_ends_all_waits_after_the_grace_period;
    content:
        channel_delivers_all_that_is_sent
        channel_tells_the_sender_that_the_source_is_gone
        pipe_passes_all_content
        token_calls_each_callback_once_or_never;
    event_loop:
        completions_wake_the_event_loop;
    logs:
        log_writes_each_line_once;
    tasks:
        pool_runs_each_task_without_another_wake_up
        pool_rejects_what_its_queue_does_not_hold
        threads_are_waited_for
        shutdown_has_a_deadline_when_it_is_seen;
}
