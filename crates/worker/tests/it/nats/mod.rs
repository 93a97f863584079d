//! On a real server, which `BIPVL_TEST_NATS` names (a path of `nats-server`). Each test has its own.

mod dead_letters;
mod deliveries;
mod limits;
mod scene;
mod server;
