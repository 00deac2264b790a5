//! The server's program again, under a name that says what it is: in this build the disk can be
//! told to fail. Same source as `synap-server`, so that what is tested is what is shipped.

#[path = "../../src/main.rs"]
mod server;

fn main() -> std::process::ExitCode {
    server::main()
}
