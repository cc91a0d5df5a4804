//! The DimensionOS server. `--help` says what it takes.

use std::process::ExitCode;

fn main() -> ExitCode {
    dimensionos_graphql::cli::main()
}
